"""Find percentiles of each image exactly, without sorting it.

CPU: a histogram between the lowest and the highest value says in which bin a rank lies;
the pixels of that bin are gathered and looked at in the same way, until few are left. A
value's bin is a monotone function of it, so that rounding never puts two in the wrong
order; `like` has the type in which bins are computed. CUDA: for small images, one thread
each, which compares every pixel with every other.

Between two ranks a and b the result is a + (b - a) * t or b - (b - a) * (1 - t), whichever
end is nearer, which is NumPy's rule. An image with NaN or infinity gives NaN, one without
pixels that count gives infinity.
"""

import numpy as np

from ._jit import Kernel, cuda, prange, scalar
from ._lanes import range_of

__all__ = ["select"]

_BINS = 1024
_BLOCK = 1024  # pixels whose bins are computed at a time
_FEW = 24  # that are sorted


@scalar
def _set_ruler(ruler, low, high):
    """Set `ruler` to start, half, up, factor: a bin is (x * half - start) * up * factor."""
    kind = ruler.dtype.type
    single = ruler.itemsize == 4
    one, least = kind(1), kind(2.0**-100 if single else 2.0**-900)
    half = kind(0.5) if max(abs(low), abs(high)) > (2.0**126 if single else 2.0**1022) else one
    ruler[0], ruler[1] = kind(low) * half, half
    reach = kind(high) * half - ruler[0]
    ruler[2] = one / least if reach < least else one
    ruler[3] = kind(_BINS) / (reach * ruler[2])


@scalar
def _bin_block(row, ruler, bins):
    # Arithmetic of the ruler's type, one 32-bit conversion, one bound: all vectorises.
    # Unsigned: a signed index would be tested for negative ones wherever it is used.
    kind, last = ruler.dtype.type, np.int32(_BINS - 1)
    start, half, up, factor = ruler[0], ruler[1], ruler[2], ruler[3]
    if half == 1 and up == 1:
        for i in range(row.size):
            b = np.int32((kind(row[i]) - start) * factor)
            bins[i] = np.uint32(b if b < last else last)
    else:
        for i in range(row.size):
            b = np.int32((kind(row[i]) * half - start) * up * factor)
            bins[i] = np.uint32(b if b < last else last)


@scalar
def _count_bins(row, ruler, bins, histogram):
    # Two histograms in turn: neighbours are often equal, and would wait for each other.
    histogram[:, :] = 0
    for start in range(0, row.size, _BLOCK):
        part = row[start : min(start + _BLOCK, row.size)]
        _bin_block(part, ruler, bins)
        for i in range(0, part.size - 1, 2):
            histogram[0, bins[i]] += 1
            histogram[1, bins[i + 1]] += 1
        if part.size % 2 == 1:
            histogram[0, bins[part.size - 1]] += 1
    for i in range(_BINS):
        histogram[0, i] += histogram[1, i]


@scalar
def _gather(row, ruler, bins, wanted, out):
    """Copy the values of bin `wanted` to the front of `out`, which may be `row`."""
    found, wanted = np.int64(0), np.uint32(wanted)
    for start in range(0, row.size, _BLOCK):
        part = row[start : min(start + _BLOCK, row.size)]
        _bin_block(part, ruler, bins)
        some = np.int32(0)
        for i in range(part.size):
            some += np.int32(bins[i] == wanted)
        if some > 0:
            for i in range(part.size):
                if bins[i] == wanted:
                    out[found] = part[i]
                    found += 1


@scalar
def _lowest_beyond(row, ruler, bins, wanted, otherwise):
    lowest = otherwise
    for start in range(0, row.size, _BLOCK):
        part = row[start : min(start + _BLOCK, row.size)]
        _bin_block(part, ruler, bins)
        for i in range(part.size):
            if bins[i] > wanted and np.float64(part[i]) < lowest:
                lowest = np.float64(part[i])
    return lowest


@scalar
def _sort(row, count):
    for i in range(1, count):
        value, j = row[i], i
        while j > 0 and row[j - 1] > value:
            row[j] = row[j - 1]
            j -= 1
        row[j] = value


@scalar
def _find_bin(histogram, rank):
    """Return the bin of a rank, and the rank within it."""
    b = 0
    while rank >= histogram[0, b]:
        rank -= histogram[0, b]
        b += 1
    return b, rank


@scalar
def _pair(row, low, high, ruler, first, rank, histogram, bins):
    """Return the values of `rank` and of the rank after it (infinity after the last).

    `first` is the histogram of the whole row; `histogram` is room for those that follow.
    """
    after = np.inf
    _set_ruler(ruler, low, high)
    b, rank = _find_bin(first, rank)
    few = np.empty(first[0, b], row.dtype)
    _gather(row, ruler, bins, b, few)
    if rank + 1 == few.size:
        after = _lowest_beyond(row, ruler, bins, b, after)
    while few.size > _FEW:
        low, high = range_of(few)
        if low == high:
            return low, low if rank + 1 < few.size else after
        _set_ruler(ruler, low, high)
        _count_bins(few, ruler, bins, histogram)
        b, rank = _find_bin(histogram, rank)
        if rank + 1 == histogram[0, b]:
            after = _lowest_beyond(few, ruler, bins, b, after)
        _gather(few, ruler, bins, b, few)
        few = few[: histogram[0, b]]
    _sort(few, few.size)
    value = np.float64(few[rank])
    return value, np.float64(few[rank + 1]) if rank + 1 < few.size else after


@scalar
def _between(a, b, t):
    if t <= 0 or a == b or a - a != 0:
        return a
    # Halves first where the difference would overflow.
    if b * 0.5 - a * 0.5 > 8e307:
        return a * (1 - t) + b * t
    return b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t


@scalar
def _inside(row, mask):
    count = np.int64(0)
    for i in range(mask.size):
        count += mask[i] != 0
    out = np.empty(count, row.dtype)
    count = 0
    for i in range(mask.size):
        if mask[i] != 0:
            out[count] = row[i]
            count += 1
    return out


@scalar
def _select_one(row, quantiles, values, ruler, bins, histogram):
    low, high = range_of(row)
    if not low < high:
        values[:] = low
        return
    _set_ruler(ruler, low, high)
    _count_bins(row, ruler, bins, histogram[0])
    for i in range(quantiles.size):
        place = quantiles[i] * (row.size - 1)
        rank = np.int64(place)
        a, b = _pair(row, low, high, ruler, histogram[0], rank, histogram[1], bins)
        values[i] = _between(a, b, place - rank)


def _images(src, inside, like, quantiles, values):
    for task in prange(src.shape[0]):
        n = np.int64(task)  # prange counts unsigned, which no `if` mixes with 0
        ruler, bins = np.empty(4, like.dtype), np.empty(_BLOCK, np.uint32)
        histogram = np.empty((2, 2, _BINS), np.int64)
        if inside.shape[1] == 0:
            _select_one(src[n], quantiles, values[n], ruler, bins, histogram)
            continue
        row = _inside(src[n], inside[n if inside.shape[0] > 1 else 0])
        if row.size == 0:
            values[n] = np.inf
        else:
            _select_one(row, quantiles, values[n], ruler, bins, histogram)


def _small_images(work, src, inside, like, quantiles, values):
    quantile_count, pixels, masked = quantiles.size, src.shape[1], inside.shape[1] > 0
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, q = element // quantile_count, element % quantile_count
        m, count, bad = n if inside.shape[0] > 1 else 0, 0, False
        for i in range(pixels):
            if not masked or inside[m, i] != 0:
                v = np.float64(src[n, i])
                bad = bad or v - v != 0
                count += 1
        place = quantiles[q] * (count - 1)
        rank = np.int64(place)
        a = b = np.float64(np.nan if bad else np.inf)
        for i in range(0 if bad else pixels):
            if not masked or inside[m, i] != 0:
                v, less, equal = np.float64(src[n, i]), 0, 0
                for j in range(pixels):
                    if not masked or inside[m, j] != 0:
                        less += np.float64(src[n, j]) < v
                        equal += np.float64(src[n, j]) == v
                a = v if less <= rank < less + equal else a
                b = v if less <= rank + 1 < less + equal else b
        values[n, q] = _between(a, b, place - rank)


select = Kernel("select", _images, _small_images)
