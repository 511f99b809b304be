"""Where the wanted elements of a DICOM data set are in the first bytes of a file.

It takes the one common case, explicit or implicit VR little endian with tags in ascending
order, and says so where a file is anything else; a slower reader then judges that file.

No byte is touched but ``head[:length]``: every position is compared with the length first,
and positions are 64-bit sums of 32-bit lengths, which cannot overflow.
"""

import numpy as np

from ._jit import scalar

__all__ = ["DEEPEST", "FOUND", "LATER", "PIXELS", "UNUSUAL", "find_in"]

FOUND = 0  # all wanted elements up to the pixels are found
LATER = 1  # the head ends before the pixels
UNUSUAL = 2  # not for this reader
PIXELS = 0x7FE00010
DEEPEST = 32  # level of nested sequences

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONGEST = 1 << 16  # of a wanted value
_IMPLICIT = np.frombuffer(b"1.2.840.10008.1.2", np.uint8)


@scalar
def _u16(head, at):
    return np.int64(head[at]) | np.int64(head[at + 1]) << 8


@scalar
def _u32(head, at):
    return _u16(head, at) | _u16(head, at + 2) << 16


@scalar
def _tag(head, at):
    return _u16(head, at) << 16 | _u16(head, at + 2)


@scalar
def _is_vr(head, at):
    return 65 <= head[at] <= 90 and 65 <= head[at + 1] <= 90


@scalar
def _is_long(a, b):
    """Say whether the VR `ab` has a length of 4 bytes, after 2 reserved ones."""
    if a == 79:  # OB OD OF OL OV OW
        return b == 66 or b == 68 or b == 70 or b == 76 or b == 86 or b == 87
    if a == 83:  # SQ SV
        return b == 81 or b == 86
    return a == 85 and (b == 67 or b == 78 or b == 82 or b == 84)  # UC UN UR UT


@scalar
def _element(head, at, length, implicit):
    """Return (status, offset of the value, its length) of the element at `at`."""
    if at + 8 > length:
        return LATER, at, np.int64(0)
    if implicit or _u16(head, at) == 0xFFFE:  # delimiters have no VR
        return FOUND, at + 8, _u32(head, at + 4)
    if not _is_vr(head, at + 4):
        return UNUSUAL, at, np.int64(0)
    if not _is_long(head[at + 4], head[at + 5]):
        return FOUND, at + 8, _u16(head, at + 6)
    if at + 12 > length:
        return LATER, at, np.int64(0)
    return FOUND, at + 12, _u32(head, at + 8)


@scalar
def _skip_items(head, at, length, implicit, unknown, inner):
    """Return (status, end) of the items of undefined length from `at` on.

    `inner` keeps, for each level, whether its elements are in implicit VR (1), inside of a
    sequence of unknown VR (2), or that items are expected (0 added, else 4).
    """
    depth = 0
    inner[0] = 2 if unknown else 0
    while True:
        state = inner[depth]
        if state & 4 == 0:  # between items
            if at + 8 > length:
                return LATER, at
            tag, size = _tag(head, at), _u32(head, at + 4)
            at += 8
            if tag == _SEQUENCE_END:
                if depth == 0:
                    return FOUND, at
                depth -= 1
            elif tag != _ITEM:
                return UNUSUAL, at
            elif size != _UNDEFINED:
                at += size
            else:
                if at + 6 > length:
                    return LATER, at
                bare = not _is_vr(head, at + 4) and _u16(head, at) != 0xFFFE
                inner[depth] = state & 2 | 4 | (1 if implicit or state & 2 or bare else 0)
        else:  # inside of an item
            if at + 8 > length:
                return LATER, at
            tag = _tag(head, at)
            unnamed = head[at + 4] == 85 and head[at + 5] == 78 and state & 1 == 0
            status, at, size = _element(head, at, length, state & 1 != 0)
            if status != FOUND:
                return status, at
            if tag == _ITEM_END:
                inner[depth] = state & 2
            elif size != _UNDEFINED:
                at += size
            elif depth + 1 >= DEEPEST:
                return UNUSUAL, at
            else:
                depth += 1
                inner[depth] = 2 if state & 2 or unnamed else 0


@scalar
def _meta(head, length, wanted, found):
    """Read the file meta information; return (status, its end, implicit VR)."""
    at = np.int64(132)
    syntax, size = np.int64(-1), np.int64(0)
    if length < 140 or not (
        head[128] == 68 and head[129] == 73 and head[130] == 67 and head[131] == 77
    ):
        return UNUSUAL, at, False
    last = np.int64(0)
    while at + 8 <= length and _u16(head, at) == 2:
        tag = _tag(head, at)
        status, at, count = _element(head, at, length, False)
        if status != FOUND or tag <= last or count > length - at:
            return UNUSUAL, at, False
        last = tag
        if tag == 0x00020010:
            syntax, size = at, count
        for i in range(wanted.size):
            if wanted[i] == tag:
                found[i, 0], found[i, 1] = at, count
        at += count
    while size > 0 and (head[syntax + size - 1] == 0 or head[syntax + size - 1] == 32):
        size -= 1
    explicit = size == _IMPLICIT.size + 2
    if not explicit and size != _IMPLICIT.size:
        return UNUSUAL, at, False
    for i in range(_IMPLICIT.size):
        if head[syntax + i] != _IMPLICIT[i]:
            return UNUSUAL, at, False
    # ".1" after the UID of implicit VR is explicit VR little endian.
    if explicit and (head[syntax + size - 2] != 46 or head[syntax + size - 1] != 49):
        return UNUSUAL, at, False
    return FOUND, at, not explicit


@scalar
def find_in(head, length, wanted, found, inner):
    """Find `wanted` tags, ascending: (offset, length) in `found`; return the status.

    `inner` is room for as many numbers as sequences nest.
    """
    status, at, implicit = _meta(head, length, wanted, found)
    if status != FOUND:
        return status
    if at + 6 > length or _is_vr(head, at + 4) == implicit:
        return UNUSUAL
    last, n = np.int64(0x0002FFFF), 0
    while True:
        if at + 8 > length:
            return LATER
        tag = _tag(head, at)
        unknown = not implicit and head[at + 4] == 85 and head[at + 5] == 78
        status, at, size = _element(head, at, length, implicit)
        if status != FOUND:
            return status
        if tag <= last or tag >= 0xFFFE0000 or tag > PIXELS:
            return UNUSUAL
        last = tag
        while n < wanted.size and wanted[n] < tag:
            n += 1
        if n < wanted.size and wanted[n] == tag:
            found[n, 0], found[n, 1] = at, size
            if tag == PIXELS:
                known = implicit or (head[at - 8] == 79 and head[at - 7] in (66, 87))
                return FOUND if size != _UNDEFINED and known else UNUSUAL
            if size > _LONGEST:
                return UNUSUAL
            if at + size > length:
                return LATER
        if size == _UNDEFINED:
            status, at = _skip_items(head, at, length, implicit, unknown, inner)
            if status != FOUND:
                return status
        else:
            at += size
