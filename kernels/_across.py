"""Weigh pixels along rows, eight or sixteen rows at a time, each in a lane of a vector.

Along a row an output needs pixels wherever its taps lie, one by one. In rows that are
turned into columns the same pixels of all rows lie side by side, and taps are vectors; what
turning costs is a third of what it spares.
"""

import numpy as np

from ._interp import blend
from ._jit import scalar, summer, turner

__all__ = ["VECTOR", "across_one", "across_rows"]

VECTOR = 64  # bytes; where the machine has shorter ones, LLVM takes several
_turn_8, _turn_16 = turner(8), turner(16)
_weigh_8, _weigh_16 = summer(8), summer(16)


@scalar
def _turn(src, start, stride, last, out, begin, step, end):
    if out.itemsize == 8:
        _turn_8(src, start, stride, last, out, begin, step, end)
    else:
        _turn_16(src, start, stride, last, out, begin, step, end)


@scalar
def across_rows(
    target, begin, step, source, start, stride, width, count, spans, weights, table, size, room
):
    """Weigh pixels of `count` rows into as many rows of `size` pixels.

    Rows of `width` pixels begin `stride` apart in the flat `source`, those of the result
    `step` apart in the flat `target`. With as many lanes as elements of `room` fill a VECTOR,
    there are no more rows than lanes, no fewer pixels in one, and lanes * (width + size)
    elements in `room`.
    """
    lanes = np.int64(VECTOR // room.itemsize)
    last, turned = count - 1, lanes * width
    for i in range(0, width, lanes):
        at = min(i, width - lanes)
        _turn(source, start + at, stride, last, room, lanes * at, lanes, lanes)
    if room.itemsize == 8:
        _weigh_8(room, spans, weights, table, size, room, turned)
    else:
        _weigh_16(room, spans, weights, table, size, room, turned)
    for i in range(0, size, lanes):
        at = min(i, size - lanes)
        _turn(room, turned + lanes * at, lanes, lanes, target, begin + at, step, last)


@scalar
def across_one(target, line, spans, weights, start):
    """Weigh pixels of `line` into each pixel of `target`."""
    kind, most = target.dtype.type, weights.shape[1]
    one = np.uint32(1)
    if most == 1 and line.size == target.size:
        for i in range(target.size):
            target[i] = kind(line[i])
    elif most == 1:
        for i in range(target.size):
            target[i] = kind(line[spans[start + i, 0]])
    elif most == 2:
        for i in range(target.size):
            f, n = spans[start + i, 0], spans[start + i, 1]
            target[i] = blend(kind(line[f]), kind(line[f + n - one]), weights[start + i, 1])
    else:
        for i in range(target.size):
            f, n = spans[start + i, 0], spans[start + i, 1]
            x = kind(line[f])
            total = x
            for t in range(one, n):
                total += (kind(line[f + t]) - x) * weights[start + i, t]
            target[i] = total
