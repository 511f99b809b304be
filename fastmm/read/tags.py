"""The tags that matter for images, turned into values by strict rules of our own."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fastmm.errors import DicomError
from fastmm.read.elements import Element, Scanner

__all__ = [
    "TAGS",
    "PixelElement",
    "Tags",
    "label",
    "quiet_pydicom",
    "read_meta",
    "read_tags",
    "shown",
]

# name: (tag, kind), kind one of "US" (2 bytes), "IS", "DS" (decimal text), "text", "raw"
# (bytes) and "sequence" (only whether it has a value)
TAGS: dict[str, tuple[int, str]] = {
    "MediaStorageSOPClassUID": (0x00020002, "text"),
    "TransferSyntaxUID": (0x00020010, "text"),
    "SOPClassUID": (0x00080016, "text"),
    "Modality": (0x00080060, "text"),
    "PatientID": (0x00100020, "raw"),
    "SliceThickness": (0x00180050, "DS"),
    "SeriesInstanceUID": (0x0020000E, "text"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "FrameOfReferenceUID": (0x00200052, "text"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "text"),
    "PlanarConfiguration": (0x00280006, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "PixelSpacing": (0x00280030, "DS"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "PixelPaddingValue": (0x00280120, "raw"),
    "PixelPaddingRangeLimit": (0x00280121, "raw"),
    "RescaleIntercept": (0x00281052, "DS"),
    "RescaleSlope": (0x00281053, "DS"),
    "RescaleType": (0x00281054, "text"),
    "ModalityLUTSequence": (0x00283000, "sequence"),
    "Units": (0x00541001, "text"),
    "SUVType": (0x00541006, "text"),
    "SharedFunctionalGroupsSequence": (0x52009229, "sequence"),
    "PerFrameFunctionalGroupsSequence": (0x52009230, "sequence"),
    "FloatPixelData": (0x7FE00008, "raw"),
    "DoubleFloatPixelData": (0x7FE00009, "raw"),
    "PixelData": (0x7FE00010, "raw"),
}
_NAMES = {tag: name for name, (tag, _) in TAGS.items()}
_LONGEST = 1 << 16  # of any value but sequences and pixels
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,12}\Z", re.ASCII)
_HARMLESS = re.compile(r"[0-9.,+\-eE \\]*\Z", re.ASCII)
_TERMS = {
    "NaN", "nan", "inf", "US", "HU", "HU_MOD", "OD", "PCT", "Z_EFF", "ED", "MGML", "EDW",
    "PALETTE COLOR", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420",
    "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT", "XYB",
}  # fmt: skip
_DECODER = threading.Lock()
_READING = threading.local()


def label(name: str) -> str:
    """Write a tag as people look it up: "Rows (0028,0010)"."""
    tag = TAGS[name][0]
    return f"{name} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


class PixelElement(NamedTuple):
    """Where the pixels of a data set are."""

    name: str
    offset: int
    length: int
    vr: bytes


class Tags:
    """The wanted elements of one file; every value asked for is checked."""

    def __init__(self, path: Path, elements: dict[int, bytes], little_endian: bool) -> None:
        self.path, self._elements = path, elements
        self.order = "little" if little_endian else "big"

    def has(self, name: str) -> bool:
        """Say whether the tag is there, with a value or without."""
        return TAGS[name][0] in self._elements

    def filled(self, name: str) -> bool:
        """Say whether the tag is there and not empty."""
        return bool(self.value(name))

    def value(self, name: str) -> bytes | None:
        """Return the bytes of an element, or None."""
        return self._elements.get(TAGS[name][0])

    def text(self, name: str) -> str:
        """Return the first value as text, "" where it is absent or empty."""
        text = (self.value(name) or b"").decode("ascii", "replace")
        return text.partition("\\")[0].strip(" \0")

    def integer(self, name: str, *, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
        """Return one integer in a range; a missing tag is an error."""
        value = self.value(name)
        if value is None or len(value) == 0:
            raise self.fault(name, "is missing" if value is None else "is empty")
        if TAGS[name][1] == "US":
            if len(value) != 2:
                raise self.fault(name, f"must be one 16-bit integer, got {len(value)} bytes")
            number = int.from_bytes(value, self.order)  # type: ignore[arg-type]
        else:
            text = value.decode("ascii", "replace").strip(" \0")
            if not _INTEGER.match(text):
                raise self.fault(name, f"must be an integer, got {shown(text)}")
            number = int(text)
        if not minimum <= number <= maximum:
            raise self.fault(name, f"must lie in {minimum} to {maximum}, got {number}")
        return number

    def numbers(self, name: str, count: int) -> tuple[float, ...] | None:
        """Return `count` decimal numbers, or None where the tag is absent or empty."""
        value = self.value(name)
        if not value:
            return None
        parts = value.decode("ascii", "replace").strip(" \0").split("\\")
        parts = [part.strip(" \0") for part in parts]
        if len(parts) != count or not all(_DECIMAL.match(part) for part in parts):
            what = "a number" if count == 1 else f"{count} numbers"
            raise self.fault(name, f"must be {what}, got {shown(chr(92).join(parts))}")
        return tuple(float(part) for part in parts)

    def fault(self, name: str, what: str) -> DicomError:
        """Make the error that says what is wrong with a tag of this file."""
        return DicomError(f"{self.path}: {label(name)} {what}.")


def read_tags(
    path: Path, file: BinaryIO, implicit: bool, little_endian: bool
) -> tuple[Tags, PixelElement | None]:
    """Read the data set from here to the pixels, and point to them.

    Returns the tags and where the pixels are, None where the file ends before them.
    """
    scanner = Scanner(path, file, implicit=implicit, little_endian=little_endian)
    scanner.check_vr()
    found: dict[int, bytes] = {}
    for element in scanner.elements():
        name = _NAMES.get(element.tag)
        if name is None:
            continue
        if name.endswith("PixelData"):
            pixels = PixelElement(name, element.offset, element.length, element.vr)
            return Tags(path, found, little_endian), pixels
        found[element.tag] = _value(scanner, element, name)
    return Tags(path, found, little_endian), None


def read_meta(path: Path, file: BinaryIO) -> Tags:
    """Read the file meta information from here; leave the file at the data set."""
    scanner = Scanner(path, file, implicit=False, little_endian=True)
    found: dict[int, bytes] = {}
    # The group length is not needed, and is often wrong.
    for element in scanner.elements(group=2):
        name = _NAMES.get(element.tag)
        if name is not None:
            found[element.tag] = _value(scanner, element, name)
    return Tags(path, found, little_endian=True)


def _value(scanner: Scanner, element: Element, name: str) -> bytes:
    if TAGS[name][1] == "sequence":
        return b"\1" if element.length else b""  # that it is there is all that is asked
    if element.length > _LONGEST:
        raise DicomError(
            f"{scanner.path}: {label(name)} has an impossible length of {element.length} bytes."
        )
    return scanner.value(element)


@contextmanager
def quiet_pydicom(path: Path, fault: str) -> Iterator[None]:
    """Let pydicom's decoder neither warn, log nor raise anything but DicomError.

    One thread at a time, since the filters of `warnings` belong to the whole process.
    """
    with _DECODER, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _READING.silent = True
        try:
            yield
        except DicomError:
            raise
        except Exception as error:
            # The text of pydicom's error may quote the file, so only its kind is told.
            raise DicomError(f"{path}: {fault} ({type(error).__name__}).") from None
        finally:
            _READING.silent = False


class _Silence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_READING, "silent", False)


logging.getLogger("pydicom").addFilter(_Silence())


def _vr(implicit: bool) -> str:
    return "implicit" if implicit else "explicit"


def shown(text: str) -> str:
    """Quote a found value if it can be nothing but a number, a UID or a known term.

    In a damaged file any text may stand in any tag, a patient's name included.
    """
    if text in _TERMS or (len(text) <= 64 and _HARMLESS.match(text)):
        return repr(text)
    return f"a text of {len(text)} characters"
