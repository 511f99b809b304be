"""The elements of a DICOM data set, found without interpreting any value.

pydicom finds them too, but reads every nested sequence and converts what it meets. Its
warnings quote the file (which may mean a patient) and can only be kept quiet by changing
the filters of the whole process, which threads must not. Skipping whatever is not asked
for also takes less than half the time, and headers are most of what reading a slice costs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import BinaryIO, NamedTuple

from fastmm.errors import DicomError

__all__ = ["LONG_VRS", "UNDEFINED", "Element", "Scanner", "is_vr"]

UNDEFINED = 0xFFFFFFFF
#: VRs whose length has 4 bytes, after 2 reserved ones.
LONG_VRS = {
    b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV",
}  # fmt: skip
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 32


class Element(NamedTuple):
    """Tag, VR ("" in implicit VR), offset and length of one value."""

    tag: int
    vr: bytes
    offset: int
    length: int


class Scanner:
    """Walks over the elements of one open file."""

    def __init__(self, path: Path, file: BinaryIO, *, implicit: bool, little_endian: bool) -> None:
        self.path, self.file, self.implicit = path, file, implicit
        self.little_endian = little_endian
        #: Offset of the sequence whose items were read last, and where it ends.
        self.passed = (-1, -1)
        order = "<" if little_endian else ">"
        self._explicit = Struct(order + "HH2sH").unpack
        self._plain = Struct(order + "HHL").unpack
        self._long = Struct(order + "L").unpack

    def check_vr(self) -> None:
        """Refuse a data set that is explicit where the transfer syntax says implicit."""
        start = self.file.tell()
        head = self.file.read(6)
        self.file.seek(start)
        # Two capitals as a length would be a first value of over 16 kB.
        if len(head) == 6 and is_vr(head[4:]) == self.implicit:
            says, found = ("implicit", "explicit")[:: 1 if self.implicit else -1]
            raise DicomError(
                f"{self.path}: TransferSyntaxUID (0002,0010) says {says} VR but the data set is in "
                f"{found} VR; the file contradicts itself."
            )

    def elements(self, group: int | None = None) -> Iterator[Element]:
        """Yield the elements from here to the end of the file, or of one group."""
        while self._in_group(group) and (element := self._next()) is not None:
            yield element
            if self.passed[0] == element.offset:
                self.file.seek(self.passed[1])
            elif element.length == UNDEFINED:
                self.file.seek(element.offset)
                self._skip_items(element.vr == b"UN", 1)
            else:
                self.file.seek(element.offset + element.length)

    def value(self, element: Element) -> bytes:
        """Read a value of defined length."""
        self.file.seek(element.offset)
        value = self.file.read(element.length)
        if len(value) < element.length:
            raise self._cut()
        return value

    def _in_group(self, group: int | None) -> bool:
        if group is None:
            return True
        head = self.file.read(8)
        self.file.seek(-len(head), os.SEEK_CUR)
        return len(head) == 8 and self._plain(head)[0] == group

    def _next(self, implicit: bool | None = None) -> Element | None:
        head = self.file.read(8)
        if len(head) < 8:
            return None
        if self.implicit if implicit is None else implicit:
            group, number, length = self._plain(head)
            if group == 0:  # no file has it: zeros, where the rest of a download should be
                raise self._cut()
            return Element(group << 16 | number, b"", self.file.tell(), length)
        group, number, vr, length = self._explicit(head)
        if group == 0xFFFE:  # delimiters have no VR
            group, number, length = self._plain(head)
        elif vr in LONG_VRS:
            more = self.file.read(4)
            if len(more) < 4:
                return None
            (length,) = self._long(more)
        elif not is_vr(vr):
            raise DicomError(
                f"{self.path}: its header is damaged: element ({group:04X},{number:04X}) has no "
                "value representation."
            )
        return Element(group << 16 | number, vr, self.file.tell(), length)

    def _skip_items(self, unknown: bool, depth: int) -> None:
        if depth > _DEEPEST:
            raise DicomError(f"{self.path}: its header is damaged: sequences nest too deeply.")
        while True:
            item = self._next(implicit=True)  # items have no VR either
            if item is None or item.tag not in (_ITEM, _SEQUENCE_END):
                raise self._cut()
            if item.tag == _SEQUENCE_END:
                return
            if item.length == UNDEFINED:
                self._skip_item(unknown, depth)
            else:
                self.file.seek(item.offset + item.length)

    def _skip_item(self, unknown: bool, depth: int) -> None:
        start = self.file.tell()
        head = self.file.read(6)
        self.file.seek(start)
        # A sequence of unknown VR is in implicit VR, and some writers switch in others.
        implicit = self.implicit or unknown or not (is_vr(head[4:]) or head[:2] in _DELIMITERS)
        while (element := self._next(implicit)) is not None:
            if element.tag == _ITEM_END:
                return
            if element.length == UNDEFINED:
                self._skip_items(unknown or element.vr == b"UN", depth + 1)
            else:
                self.file.seek(element.offset + element.length)
        raise self._cut()

    def _cut(self) -> DicomError:
        return DicomError(f"{self.path}: its header is damaged or cut.")


_DELIMITERS = (b"\xfe\xff", b"\xff\xfe")


def is_vr(two: bytes) -> bool:
    """Say whether two bytes can be a value representation: two capitals."""
    return len(two) == 2 and 65 <= two[0] <= 90 and 65 <= two[1] <= 90
