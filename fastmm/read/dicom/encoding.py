"""From a path to the bytes of a DICOM data set: part 10 files, transfer syntaxes, deflate."""

from __future__ import annotations

import io
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fastmm.errors import DicomError
from fastmm.read import limits
from fastmm.read.codecs.choosing import CODECS
from fastmm.read.dicom.tags import label, read_meta, shown

__all__ = [
    "DEFLATED",
    "ENCAPSULATED",
    "SYNTAXES",
    "data_set",
    "is_dicom",
    "opened",
]

DEFLATED = "1.2.840.10008.1.2.1.99"
# UID: (implicit VR, little endian)
SYNTAXES = {
    "1.2.840.10008.1.2": (True, True),
    "1.2.840.10008.1.2.1": (False, True),
    DEFLATED: (False, True),
    "1.2.840.10008.1.2.2": (False, False),
    **dict.fromkeys(CODECS, (False, True)),
}
#: Transfer syntaxes whose pixels are compressed, in fragments.
ENCAPSULATED = frozenset(CODECS)
_MAGIC = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"\x5c\x01\0\0": "a NIfTI file",
}


def is_dicom(path: Path) -> bool:
    """Say whether a regular file bears the mark of DICOM; no other file is opened."""
    if not stat.S_ISREG(path.stat().st_mode):
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file; a pipe, a device or a folder is never opened."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise DicomError(f"{path}: is {what}; one DICOM file was expected.")
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:
        raise DicomError(f"{path}: cannot be read ({error.strerror}).") from None


def data_set(path: Path, file: BinaryIO, pixels_to: int = 0) -> tuple[str, str, BinaryIO]:
    """Read the file meta information; return transfer syntax, SOP class and data set.

    A deflated data set is inflated up to byte `pixels_to` and what a header may take.
    """
    head = file.read(132)
    if head[128:] != b"DICM":
        kind = next((k for magic, k in _MAGIC.items() if head.startswith(magic)), None)
        what = kind or ("empty" if not head else "no DICOM file")
        raise DicomError(f'{path}: is {what}; there is no "DICM" at byte 128.')
    meta = read_meta(path, file)
    syntax, sop_class = meta.text("TransferSyntaxUID"), meta.text("MediaStorageSOPClassUID")
    if not syntax:
        raise meta.fault("TransferSyntaxUID", "is missing")
    if syntax not in SYNTAXES:
        if syntax.startswith("1.2.840.10008.1.2.4."):
            raise DicomError(
                f"{path}: the transfer syntax {shown(syntax)} is compressed in a way that fastmm "
                "does not decode (a video, or a retired kind of JPEG); save the file uncompressed "
                "first."
            )
        raise DicomError(f"{path}: {label('TransferSyntaxUID')} {shown(syntax)} is not known.")
    if syntax != DEFLATED:
        return syntax, sop_class, file
    inflate_to = pixels_to + limits.INFLATED_HEADER
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    try:
        while len(inflated) < inflate_to and not inflater.eof:
            chunk = inflater.unconsumed_tail or file.read(1 << 16)
            if not chunk:
                break
            inflated += inflater.decompress(chunk, min(1 << 20, inflate_to - len(inflated)))
    except zlib.error:
        raise DicomError(f"{path}: its deflated data set is damaged.") from None
    return syntax, sop_class, io.BytesIO(bytes(inflated))
