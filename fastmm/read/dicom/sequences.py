"""Items of a DICOM sequence, nested ones included: only what is wanted, within limits."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any

from fastmm.errors import DicomError
from fastmm.read.dicom.elements import LONG_VRS, UNDEFINED, Element, Scanner, is_vr

__all__ = ["Item", "Wanted", "read_items"]

#: What to take from each item, by tag: None for the bytes of a value, a further mapping for
#: the items of a nested sequence.
Wanted = Mapping[int, "Wanted | None"]
#: What was found of it: bytes, or a list of items. What an item lacks is not in it.
Item = dict[int, Any]

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 32
# Ten thousand frames take about 20 MB and 100,000 items; a damaged length may claim more.
_MOST_BYTES = 128 << 20
_MOST_ITEMS = 500_000
_LONGEST = 1 << 18  # of one wanted value: a lookup table has 65,536 entries of 16 bits
_CHUNK = 1 << 20


def read_items(scanner: Scanner, element: Element, wanted: Wanted) -> list[Item]:
    """Read the items of a sequence.

    Parameters
    ----------
    scanner : Scanner
        Of the data set, between two of its elements.
    element : Element
        The sequence, as `Scanner.elements` yielded it: of defined or undefined length, in
        explicit or implicit VR, or of VR UN.
    wanted : mapping of int to mapping or None
        The tags to take from each item: None takes the bytes of a value, a mapping takes
        the items of a nested sequence. All else is skipped.

    Returns
    -------
    list of dict
        For each item a dict from tag to bytes, or to a list of such dicts. Values are not
        interpreted; those of explicit big-endian files are big-endian.

    Raises
    ------
    DicomError
        If the sequence is damaged or cut, nests deeper than 32 levels, takes more than
        128 MB or has more than 500,000 items. No value is quoted.

    Notes
    -----
    About a microsecond an element that is looked at. A sequence of defined length that is
    not wanted costs the same as one value. `Scanner.elements` goes on behind the sequence
    without walking over it again.

    Examples
    --------
    >>> import io
    >>> from pathlib import Path
    >>> data = "40007502 5351 0000 12000000 FEFF00E0 0A000000 08006000 4353 0200 4354"
    >>> file = io.BytesIO(bytes.fromhex(data))
    >>> scanner = Scanner(Path("a.dcm"), file, implicit=False, little_endian=True)
    >>> [read_items(scanner, found, {0x00080060: None}) for found in scanner.elements()]
    [[{524384: b'CT'}]]
    """
    unknown = element.vr == b"UN"
    if element.vr not in (b"SQ", b"UN", b""):
        raise _damaged(scanner, element, "is of another value representation")
    if unknown and not scanner.little_endian:
        # Its bytes are little-endian, and nothing would tell whoever reads the values.
        raise _damaged(scanner, element, "is of unknown value representation in big endian")
    reader = _Reader(scanner, element)
    implicit = scanner.implicit or unknown
    end = None if element.length == UNDEFINED else element.length
    if end is not None:
        reader.need(end)
    found, end = reader.items(0, end, wanted, implicit, 1)
    scanner.passed = element.offset, element.offset + end
    return found


def _damaged(scanner: Scanner, element: Element, what: str) -> DicomError:
    tag = element.tag
    return DicomError(f"{scanner.path}: the sequence ({tag >> 16:04X},{tag & 0xFFFF:04X}) {what}.")


class _Reader:
    """The bytes of one sequence from its first item on, read as far as they are needed."""

    def __init__(self, scanner: Scanner, element: Element) -> None:
        self.scanner, self.element = scanner, element
        self.data = b""
        self.count = 0
        order = "<" if scanner.little_endian else ">"
        self.plain = Struct(order + "HHL").unpack_from
        self.explicit = Struct(order + "HH2sH").unpack_from
        self.long = Struct(order + "L").unpack_from

    def damaged(self, what: str) -> DicomError:
        return _damaged(self.scanner, self.element, what)

    def need(self, end: int) -> None:
        """Have at least `end` bytes."""
        have = len(self.data)
        if end <= have:
            return
        if end > _MOST_BYTES:
            raise self.damaged(f"takes more than {_MOST_BYTES} bytes")
        file = self.scanner.file
        file.seek(self.element.offset + have)
        # Doubling keeps the copies of a long sequence of undefined length few.
        more = end - have if self.element.length != UNDEFINED else max(end - have, have, _CHUNK)
        self.data += file.read(more)
        if len(self.data) < end:
            raise self.damaged("is cut")

    def items(
        self, at: int, end: int | None, wanted: Wanted | None, implicit: bool, depth: int
    ) -> tuple[list[Item], int]:
        """Return the items from `at` on, and where they end; without `wanted` only skip."""
        if depth > _DEEPEST:
            raise self.damaged("nests too deeply")
        found: list[Item] = []
        while end is None or at < end:
            self.need(at + 8)
            group, number, length = self.plain(self.data, at)
            tag, at = group << 16 | number, at + 8
            if tag == _SEQUENCE_END and end is None:
                return found, at
            if tag != _ITEM:
                raise self.damaged("is damaged: an item was expected")
            stop = None if length == UNDEFINED else at + length
            if stop is not None and end is not None and stop > end:
                raise self.damaged("is damaged: an item reaches beyond its end")
            self.count += wanted is not None
            if self.count > _MOST_ITEMS:
                raise self.damaged(f"has more than {_MOST_ITEMS} items")
            if wanted is None and stop is not None:
                at = stop
                continue
            item, at = self.item(at, stop, wanted or {}, implicit, depth)
            if wanted is not None:
                found.append(item)
        if end is not None and at > end:
            raise self.damaged("is damaged: an item reaches beyond its end")
        return found, at

    def item(
        self, at: int, end: int | None, wanted: Wanted, implicit: bool, depth: int
    ) -> tuple[Item, int]:
        """Return the wanted elements of one item, and where it ends."""
        item: Item = {}
        if not implicit:
            self.need(min(at + 6, at + 6 if end is None else end))
            head = self.data[at : at + 6]
            # Some writers switch to implicit VR inside of items; delimiters have no VR.
            implicit = len(head) == 6 and not is_vr(head[4:]) and head[:2] not in _DELIMITERS
        while end is None or at < end:
            tag, vr, at, length = self.header(at, implicit)
            if tag == _ITEM_END and end is None:
                return item, at
            nested = wanted.get(tag) if tag in wanted else None
            stop = None if length == UNDEFINED else at + length
            if stop is not None and end is not None and stop > end:
                raise self.damaged("is damaged: a value reaches beyond its item")
            if stop is None or nested is not None:
                if nested is not None and vr not in (b"SQ", b"UN", b""):
                    raise self.damaged("is damaged: a value stands for a sequence in it")
                if stop is not None:
                    self.need(stop)
                inside, at = self.items(at, stop, nested, implicit or vr == b"UN", depth + 1)
                if nested is not None:
                    item[tag] = inside
                elif tag in wanted:
                    raise self.damaged("is damaged: a sequence stands for a value in it")
                continue
            if tag in wanted:
                if length > _LONGEST:
                    raise self.damaged(f"holds a value of {length} bytes, which is impossible")
                self.need(stop)
                item[tag] = self.data[at:stop]
            at = stop
        if end is not None and at > end:
            raise self.damaged("is damaged: a value reaches beyond its item")
        return item, at

    def header(self, at: int, implicit: bool) -> tuple[int, bytes, int, int]:
        """Return tag, VR, and offset and length of the value of the element at `at`."""
        self.need(at + 8)
        if implicit:
            group, number, length = self.plain(self.data, at)
            return group << 16 | number, b"", at + 8, length
        group, number, vr, length = self.explicit(self.data, at)
        if group == 0xFFFE:
            group, number, length = self.plain(self.data, at)
        elif vr in LONG_VRS:
            self.need(at + 12)
            (length,) = self.long(self.data, at + 8)
            return group << 16 | number, vr, at + 12, length
        elif not is_vr(vr):
            raise self.damaged("is damaged: an element in it has no value representation")
        return group << 16 | number, vr, at + 8, length


_DELIMITERS = (b"\xfe\xff", b"\xff\xfe")
