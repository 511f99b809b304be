"""Measure a run of pixels on the CPU, in lanes: sums side by side, which LLVM vectorises."""

import numpy as np

from ._columns import stretch
from ._jit import scalar
from ._moments import fold
from ._order import key32, key64, value32, value64

__all__ = ["measure_run", "range_of"]

_LANES = 256
_FIRST, _BLOCK = 1 << 10, 1 << 15  # pixels between two horizontal sums
_NEAR = 1 << 13  # pixels that the nearest cache holds


@scalar
def _add_sums(row, half, start, up, mean, first, second):
    """Add the distances of pixels to their lanes, and the squares."""
    if half == 1 and up == 1 and row.itemsize < first.itemsize:
        # One difference for two: the wider type has digits to spare.
        _add_distances(row, start + mean, first, second)
        return
    kind, width = first.dtype.type, first.size
    for i in range(0, row.size, width):
        a = row[i : min(i + width, row.size)]
        for j in range(a.size):
            p = (kind(a[j]) * half - start) * up - mean
            first[j] += p
            second[j] += p * p


@scalar
def _add_distances(row, place, first, second):
    """Add the distances to `place`, four rows of lanes at a time."""
    kind, width = first.dtype.type, first.size
    stop = row.size // (4 * width) * (4 * width)
    for i in range(0, stop, 4 * width):
        a, b = stretch(row, i, width), stretch(row, i + width, width)
        c, d = stretch(row, i + 2 * width, width), stretch(row, i + 3 * width, width)
        for j in range(width):
            p, q, r, s = (
                kind(a[j]) - place,
                kind(b[j]) - place,
                kind(c[j]) - place,
                kind(d[j]) - place,
            )
            first[j] += (p + q) + (r + s)
            second[j] += (p * p + q * q) + (r * r + s * s)
    for i in range(stop, row.size, width):
        a = stretch(row, i, min(width, row.size - i))
        for j in range(a.size):
            p = kind(a[j]) - place
            first[j] += p
            second[j] += p * p


@scalar
def _add_sums_inside(row, inside, half, start, up, mean, first, second):
    kind, width = first.dtype.type, first.size
    zero, count = kind(0), np.int64(0)
    for i in range(0, row.size, width):
        a, w = row[i : min(i + width, row.size)], inside[i : min(i + width, row.size)]
        for j in range(a.size):
            p = (kind(a[j]) * half - start) * up - mean
            p = p if w[j] != 0 else zero
            first[j] += p
            second[j] += p * p
    for i in range(inside.size):
        count += inside[i] != 0
    return count


@scalar
def _add_range_inside(row, inside, low, high):
    width = low.size
    for i in range(0, row.size, width):
        a, w = row[i : min(i + width, row.size)], inside[i : min(i + width, row.size)]
        for j in range(a.size):
            v = a[j] if w[j] != 0 else low[j]
            low[j] = v if v < low[j] else low[j]
        for j in range(a.size):
            v = a[j] if w[j] != 0 else high[j]
            high[j] = v if v > high[j] else high[j]


@scalar
def range_of(row):
    """Return the lowest and the highest value of a row, which is not empty; NaN if any is bad."""
    # Keys of NaN and infinity lie beyond those of all numbers, so they are found on the way.
    if row.itemsize == 8:
        low, high = key64(row[0]), key64(row[0])
        for i in range(row.size):
            key = key64(row[i])
            low, high = min(low, key), max(high, key)
        least, most = value64(low), value64(high)
    else:
        low, high = key32(row[0]), key32(row[0])
        for i in range(row.size):
            key = key32(row[i])
            low, high = min(low, key), max(high, key)
        least, most = np.float64(value32(low)), np.float64(value32(high))
    if least - least != 0 or most - most != 0:
        return np.nan, np.nan
    return least, most


@scalar
def _total(lanes):
    """Return the sum of lanes, in halves as long as those are vectors; `lanes` is used up."""
    size = lanes.size
    while size > 8 and size % 2 == 0:
        size //= 2
        rest = stretch(lanes, size, size)
        for j in range(size):
            lanes[j] += rest[j]
    total = 0.0
    for j in range(size):
        total += lanes[j]
    return total


@scalar
def _measure_inside(row, inside, half, up):
    begin = 0
    while begin < row.size and inside[begin] == 0:
        begin += 1
    if begin == row.size:
        return 0.0, 0.0, 0.0, 0.0, np.inf, -np.inf
    width = max(1, min(_LANES, row.size // 4))
    sums, start = np.empty((2, width)), np.float64(row[begin]) * half
    low, high = np.full(width, row[begin]), np.full(width, row[begin])
    count, mean, spread = 0.0, 0.0, 0.0
    i, stop = begin, min(begin + _FIRST, row.size)
    while i < stop:
        sums[:, :] = 0
        block, mask = row[i:stop], inside[i:stop]
        more = _add_sums_inside(block, mask, half, start, up, mean, sums[0], sums[1])
        _add_range_inside(block, mask, low, high)
        if more > 0:
            first, second = _total(sums[0]), _total(sums[1])
            count, mean, spread = fold(count, mean, spread, np.float64(more), first, second)
        i, stop = stop, min(stop + _BLOCK, row.size)
    return (
        count,
        np.float64(row[begin]),
        mean,
        spread,
        np.float64(low.min()),
        np.float64(high.max()),
    )


@scalar
def measure_run(row, inside, half, up, only_range):
    """Measure one run of pixels; `inside` is empty where all of them count."""
    if inside.size > 0:
        return _measure_inside(row, inside, half, up)
    if row.size == 0:
        return 0.0, 0.0, 0.0, 0.0, np.inf, -np.inf
    if only_range:
        low, high = range_of(row)
        return np.float64(row.size), low, low - low, 0.0, low, high
    sums = np.empty((2, max(1, min(_LANES, row.size // 4))))
    origin, count, mean, spread = np.float64(row[0]), 0.0, 0.0, 0.0
    low, high = origin, origin
    # A short block first: its mean is near that of the image, the first pixel need not be.
    i, stop = 0, min(_FIRST, row.size)
    while i < stop:
        sums[:, :] = 0
        # Range and sums in turn of what is in the nearest cache: memory is read once.
        for j in range(i, stop, _NEAR):
            part = stretch(row, j, min(_NEAR, stop - j))
            least, most = range_of(part)
            if least - least != 0:
                return np.float64(row.size), least, least, 0.0, least, least
            low, high = min(low, least), max(high, most)
            _add_sums(part, half, origin * half, up, mean, sums[0], sums[1])
        first, second, more = _total(sums[0]), _total(sums[1]), np.float64(stop - i)
        count, mean, spread = fold(count, mean, spread, more, first, second)
        i, stop = stop, min(stop + _BLOCK, row.size)
    return count, origin, mean, spread, low, high
