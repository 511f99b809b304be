"""The tags that matter for images, turned into values by strict rules of our own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from struct import calcsize, unpack
from typing import Any, BinaryIO, Literal, NamedTuple

from fastmm.errors import DicomError
from fastmm.read.dicom.elements import Element, Scanner
from fastmm.read.dicom.sequences import Item, read_items
from fastmm.read.dicom.tag_table import ALL_TAGS, TAGS, label, wanted_of

__all__ = [
    "TAGS",
    "PixelElement",
    "Tags",
    "about",
    "label",
    "read_meta",
    "read_tags",
    "shown",
]

_NAMES = {tag: name for name, (tag, _) in ALL_TAGS.items()}
_WANTED = wanted_of(TAGS)
_PIXELS = {ALL_TAGS[name][0] for name in ("FloatPixelData", "DoubleFloatPixelData", "PixelData")}
_LONGEST = 1 << 16  # of any value but sequences and pixels
_CODES = {"US": "H", "UL": "L", "FL": "f", "FD": "d"}
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,12}\Z", re.ASCII)
_MANY_DIGITS = re.compile(r"[0-9]{6}")
_UID = re.compile(r"[12]\.[0-9]{1,3}(\.[0-9]+){2,}\Z", re.ASCII)
_HARMLESS = re.compile(r"[0-9.,+\-eE \\]*\Z", re.ASCII)
_TERMS = {
    "NaN", "nan", "inf", "US", "HU", "HU_MOD", "OD", "PCT", "Z_EFF", "ED", "MGML", "EDW",
    "PALETTE COLOR", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420",
    "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT", "XYB",
}  # fmt: skip


class PixelElement(NamedTuple):
    """Where the pixels of a data set are."""

    name: str
    offset: int
    length: int
    vr: bytes


class Tags:
    """The wanted elements of one file, or of one item in it; every value asked for is checked."""

    def __init__(
        self, path: Path, elements: Mapping[int, Any], little_endian: bool, where: str = ""
    ) -> None:
        self.path, self._elements, self.where = path, elements, where
        self.order: Literal["little", "big"] = "little" if little_endian else "big"

    @property
    def content(self) -> str:
        """What is in here, as something that can be compared and looked up."""
        return repr(self._elements)

    def has(self, name: str) -> bool:
        """Say whether the tag is there, with a value or without."""
        return ALL_TAGS[name][0] in self._elements

    def filled(self, name: str) -> bool:
        """Say whether the tag is there and not empty."""
        return bool(self._elements.get(ALL_TAGS[name][0]))

    def value(self, name: str) -> bytes | None:
        """Return the bytes of an element, or None."""
        return self._elements.get(ALL_TAGS[name][0])

    def items(self, name: str, where: str | None = None) -> list[Tags]:
        """Return the items of a sequence; `where` says in errors where they are."""
        little, place = self.order == "little", self.where if where is None else where
        found: list[Item] = self._elements.get(ALL_TAGS[name][0]) or []
        return [Tags(self.path, item, little, place) for item in found]

    def text(self, name: str) -> str:
        """Return the first value as text, "" where it is absent or empty."""
        text = (self.value(name) or b"").decode("ascii", "replace")
        return text.partition("\\")[0].strip(" \0")

    def integer(self, name: str, *, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
        """Return one integer in a range; a missing tag is an error."""
        value = self.value(name)
        if value is None or len(value) == 0:
            raise self.fault(name, "is missing" if value is None else "is empty")
        if ALL_TAGS[name][1] == "US":
            if len(value) != 2:
                raise self.fault(name, f"must be one 16-bit integer, got {len(value)} bytes")
            number = int.from_bytes(value, self.order)
        else:
            text = value.decode("ascii", "replace").strip(" \0")
            if not _INTEGER.match(text):
                raise self.fault(name, f"must be an integer, got {shown(text)}")
            number = int(text)
        if not minimum <= number <= maximum:
            raise self.fault(name, f"must lie in {minimum} to {maximum}, got {about(number)}")
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

    def binary(self, name: str) -> tuple[float, ...]:
        """Return the numbers of a binary value, () where it is absent or empty."""
        value = self.value(name) or b""
        code = _CODES[ALL_TAGS[name][1]]
        count, rest = divmod(len(value), calcsize("=" + code))
        if rest:
            raise self.fault(name, f"has an impossible length of {len(value)} bytes")
        return unpack(f"{'<' if self.order == 'little' else '>'}{count}{code}", value)

    def fault(self, name: str, what: str) -> DicomError:
        """Make the error that says what is wrong with a tag of this file."""
        return DicomError(f"{self.path}: {label(name)}{self.where} {what}.")


def read_tags(
    path: Path,
    file: BinaryIO,
    implicit: bool,
    little_endian: bool,
    names: Iterable[str] | None = None,
) -> tuple[Tags, PixelElement | None]:
    """Read the tags from here to the pixels, `TAGS` if not named, and point to the pixels.

    Returns the tags and where the pixels are, None where the file ends before them.
    """
    scanner = Scanner(path, file, implicit=implicit, little_endian=little_endian)
    scanner.check_vr()
    wanted = _WANTED if names is None else wanted_of(names)
    found: dict[int, Any] = {}
    for element in scanner.elements():
        if element.tag in _PIXELS:
            pixels = PixelElement(_NAMES[element.tag], element.offset, element.length, element.vr)
            return Tags(path, found, little_endian), pixels
        if element.tag not in wanted:
            continue
        inside = wanted[element.tag]
        if inside is None:
            value = _value(scanner, element)
            # Readers disagree which of two counts.
            if found.setdefault(element.tag, value) != value:
                raise DicomError(
                    f"{path}: {label(_NAMES[element.tag])} stands twice in the header, with "
                    "different values."
                )
        else:
            found[element.tag] = read_items(scanner, element, inside)
    return Tags(path, found, little_endian), None


def read_meta(path: Path, file: BinaryIO) -> Tags:
    """Read the file meta information from here; leave the file at the data set."""
    scanner = Scanner(path, file, implicit=False, little_endian=True)
    found: dict[int, bytes] = {}
    # The group length is not needed, and is often wrong.
    for element in scanner.elements(group=2):
        name = _NAMES.get(element.tag)
        if name is not None:
            found[element.tag] = _value(scanner, element)
    return Tags(path, found, little_endian=True)


def _value(scanner: Scanner, element: Element) -> bytes:
    if element.length > _LONGEST:
        raise DicomError(
            f"{scanner.path}: {label(_NAMES[element.tag])} has an impossible length of "
            f"{element.length} bytes."
        )
    return scanner.value(element)


def shown(text: str) -> str:
    """Quote a found value if it can be nothing but a number, a UID or a known term.

    In a damaged file any text may stand in any tag, a patient's name included.
    """
    # A number of many digits may be a date or an identifier; only UIDs have to have them.
    harmless = _HARMLESS.match(text) and (_UID.match(text) or not _MANY_DIGITS.search(text))
    if text in _TERMS or (len(text) <= 64 and harmless):
        return repr(text)
    return f"a text of {len(text)} characters"


def about(number: int) -> str:
    """Write a found number; of a large one, which may be a date, the size only."""
    return str(number) if abs(number) < 10**6 else f"{number:.1g}"
