"""Bits and Huffman codes of JPEG data: scalar helpers of the walks over them.

No byte is touched but those of `data`: every position is compared with its end first. Beyond
the data of an interval of restart ones are read, and counted, so that inner loops need no test.
The state of reading is `at`, the next byte; `bits`, of which the lowest `n` are still to be
used; and `beyond`, how many of these are not there.
"""

import numpy as np

from ._jit import scalar

__all__ = [
    "ALL_BITS",
    "BAD_TABLE",
    "BAND",
    "COEFFICIENTS",
    "DAMAGED",
    "END_OF_BLOCK",
    "FINE",
    "SHORT",
    "SINGLE",
    "VALUE",
    "WIDEST",
    "close",
    "difference",
    "fill",
    "find_code",
    "prepare",
    "restart",
]

FINE = 0
DAMAGED = 1  # the data of the unit that is returned with it
BAD_TABLE = 2  # a table has more codes of some length than there are

SHORT = 10  # bits of a code that one look finds
WIDEST = 16
ALL_BITS = 63
_MOST_PADDING = 15
END_OF_BLOCK = 128  # beyond any coefficient that a run could reach
# What a code is followed by: nothing, for there is none; a DC coefficient or a difference; an
# AC coefficient; what depends on the scan.
SINGLE, VALUE, COEFFICIENTS, BAND = 0, 1, 2, 3


@scalar
def _meaning(symbol, kind, widest):
    """Return what a symbol stands for, or -1 if it is not allowed.

    The lowest 6 bits count the bits after it. The others are, of a DC coefficient or a
    difference, its size; of an AC coefficient, how many coefficients it passes.
    """
    run, size = symbol >> 4, symbol & 15
    if kind == BAND:  # the scan itself tells them apart
        return symbol << 6 if size <= widest else -1
    if kind == VALUE:
        if symbol > widest:
            return -1
        return symbol << 6 | (0 if symbol == WIDEST else symbol)  # one is 32768, without bits
    if size > widest:
        return -1
    if size:
        return size | (run + 1) << 6
    if run == 15:
        return 16 << 6
    return END_OF_BLOCK << 6 if run == 0 else -1


@scalar
def prepare(table, kind, widest, short, limits, offsets):
    """Make the tables of a code out of its counts and symbols; say whether they are right.

    `short` has for each first 10 bits what they mean, the bits of the code added, or 0. A code
    of n bits lies below `limits[n]`, filled up to 16 bits.
    """
    short[:] = 1 if kind == SINGLE else 0
    if kind == SINGLE:
        return True
    code, place = np.int64(0), np.int64(0)
    for length in range(1, WIDEST + 1):
        count = np.int64(table[length - 1])
        if count and code + count >= 1 << length:  # a code of ones alone is not allowed
            return False
        if place + count > 256:
            return False
        offsets[length] = place - code
        for i in range(count):
            entry = _meaning(np.int64(table[16 + place + i]), kind, widest)
            if length <= SHORT and entry >= 0:
                first = (code + i) << (SHORT - length)
                short[first : first + (1 << (SHORT - length))] = entry + length
        code, place = code + count, place + count
        limits[length] = code << (WIDEST - length)
        code <<= 1
    return True


@scalar
def difference(bits, size):
    """Return the value that `size` bits, the lowest of `bits`, stand for."""
    if size == WIDEST:
        return np.int64(1 << 15)
    value = bits & (np.int64(1) << size) - 1
    return value if value >> (size - 1) else value - (np.int64(1) << size) + 1


@scalar
def find_code(bits, table, kind, widest, limits, offsets):
    """Find the code that 16 bits begin with; 0 if there is none, or its symbol is not allowed."""
    for length in range(1, WIDEST + 1):
        if bits < limits[length]:
            place = (bits >> (WIDEST - length)) + offsets[length]
            if place < 0 or place > 255:
                return np.int64(0)
            entry = _meaning(np.int64(table[16 + place]), kind, widest)
            return entry + length if entry >= 0 else np.int64(0)
    return np.int64(0)


@scalar
def fill(data, at, bits, n, beyond):
    """Read on until there are 32 bits at least; `beyond` of them are not there."""
    if at + 4 <= data.size:
        a, b = np.int64(data[at]), np.int64(data[at + 1])
        c, d = np.int64(data[at + 2]), np.int64(data[at + 3])
        if a != 255 and b != 255 and c != 255 and d != 255:
            return at + 4, bits << 32 | (a << 24 | b << 16 | c << 8 | d), n + 32, beyond
    while n < 32:
        byte = np.int64(255)
        if at >= data.size:
            beyond += 8
        elif data[at] != 255:
            byte = np.int64(data[at])
            at += 1
        elif at + 1 < data.size and data[at + 1] == 0:
            at += 2
        else:  # a marker
            beyond += 8
        bits, n = bits << 8 | byte, n + 8
    return at, bits, n, beyond


@scalar
def close(data, at, bits, n, beyond):
    """Return the place of the marker after an interval, or -1 if something else is there."""
    if n < 32:
        at, bits, n, beyond = fill(data, at, bits, n, beyond)
    left = n - beyond
    if left < 0 or left > _MOST_PADDING:
        return np.int64(-1)
    mask = (np.int64(1) << left) - 1
    padding = bits >> beyond & mask
    # Ones are the rule; some encoders fill with zeros, or add a whole byte of ones. Neither
    # does harm: no code is made of ones alone.
    if padding != mask and (padding != 0 or left > 7):
        return np.int64(-1)
    if at + 1 >= data.size or data[at] != 255 or data[at + 1] == 0:
        return np.int64(-1)
    while at + 1 < data.size and data[at + 1] == 255:
        at += 1
    return at


@scalar
def restart(data, at, number):
    """Return what follows the restart marker of that number, or -1 if `at` has none."""
    if at < 0 or at + 1 >= data.size or data[at + 1] != 0xD0 + (number & 7):
        return np.int64(-1)
    return at + 2
