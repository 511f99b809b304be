"""Statistics of every patch of a (batch, z, y, x) array, in one pass and without patches.

Moments on the CPU: of each column of pixels about its own mean, once for all patches of a
grid row, then joined across the columns of each patch about the patch's mean. Nothing
cancels, whatever the mean. Percentiles: the exact order statistics, found in integer keys.
"""

import math

import numpy as np

from ._describing import add, bin_of, columns_of, frequencies, join, moment, take
from ._interp import blend
from ._jit import Kernel, cuda, prange
from ._order import key32, key64, middle, order32, order64, value32, value64

__all__ = ["CODES", "MOST_BINS", "describe"]

# What a column of the result may hold; the kernels know them by their place here.
CODES = (
    "mean", "variance", "std", "skewness", "kurtosis", "minimum", "maximum", "range",
    "energy", "rms", "entropy", "uniformity", "percentile", "iqr",
)  # fmt: skip
_ENTROPY, _PERCENTILE = 10, 12
MOST_BINS = 256
_FEWEST, _SORTING = 32, 64  # bins that are worth sharing; bins where there are none to share


def order(keys, counts, rank, weight, low, high):
    """Stand in for order32 or order64, whichever fits the dtype."""
    raise NameError


def to_key(value):
    """Stand in for key32 or key64."""
    raise NameError


def to_value(key):
    """Stand in for value32 or value64."""
    raise NameError


def _rows(src, out, layout, codes, ranks, weights, limits, surprise):
    kind = out.dtype.type
    step_z, step_y, step_x = layout[0], layout[1], layout[2]
    size_z, size_y, size_x = layout[6], layout[7], layout[8]
    bins, bounded, binned, sorted_ = layout[9], layout[10], layout[11], layout[12]
    grid_z, grid_y, grid_x = out.shape[1:4]
    pixels = size_z * size_y * size_x
    width = (grid_x - 1) * step_x + size_x
    for task in prange(out.shape[0] * grid_z * grid_y):
        n = task // (grid_z * grid_y)
        gz = task // grid_y % grid_z
        gy = task % grid_y
        z, y = gz * step_z, gy * step_y
        columns = np.empty((6, width))
        columns_of(src, n, z, y, size_z, size_y, columns)
        values = np.empty(pixels if binned or sorted_ else 0, out.dtype)
        keys = np.empty(pixels if sorted_ else 0, ranks.dtype)
        places = np.empty(pixels if binned else 0, np.uint8)
        counts = np.zeros((4, bins), np.int32)
        # A histogram over each patch's own range sorts for the percentiles, too.
        shared = binned and not bounded and bins >= _FEWEST
        sorting = places if shared else np.empty(keys.size, np.uint8)
        tally = counts if shared else np.zeros((4, _SORTING), np.int32)
        for gx in range(grid_x):
            x, result = gx * step_x, out[n, gz, gy, gx]
            joined = join(columns, x, size_x, size_z * size_y)
            centre, s2, s3, s4, least, most = joined
            if not math.isfinite(centre):
                result[:] = np.nan
                continue
            if values.size > 0:
                take(src, n, z, y, x, size_z, size_y, size_x, values)
            if binned:
                first = limits[0] if bounded else kind(least)
                last = limits[1] if bounded else kind(most)
                frequencies(values, first, last, kind(bins), places, counts)
            if sorted_ and not shared:
                frequencies(values, kind(least), kind(most), kind(_SORTING), sorting, tally)
            for i in range(keys.size):
                keys[i] = to_key(values[i])
            for c in range(codes.size):
                code = codes[c]
                if code < _ENTROPY:
                    result[c] = moment(
                        code, np.float64, np.float64(pixels), centre, s2, s3, s4, least, most
                    )
                elif code < _PERCENTILE:
                    total = 0.0
                    for k in range(bins):
                        part = counts[0, k] / pixels
                        total += surprise[counts[0, k]] if code == _ENTROPY else part * part
                    result[c] = total
                else:
                    lo, hi = kind(least), kind(most)
                    value = order(keys, tally[0], ranks[c, 0], weights[c, 0], lo, hi)
                    if code > _PERCENTILE:
                        value = order(keys, tally[0], ranks[c, 1], weights[c, 1], lo, hi) - value
                    result[c] = value


def _threads(work, src, out, layout, codes, ranks, weights, limits, surprise):
    # One thread describes one patch: float sums about the first pixel, compensated.
    kind, integer = out.dtype.type, ranks.dtype.type
    size_y, size_x = layout[7], layout[8]
    rows, bins = layout[6] * size_y, layout[9]
    pixels = rows * size_x
    bounded, binned = layout[10], layout[11]
    grid_z, grid_y, grid_x = out.shape[1:4]
    one, zero, n_pixels = kind(1), kind(0), kind(pixels)
    counts = cuda.local.array(256, np.int32)
    for patch in range(cuda.grid(1), work, cuda.gridsize(1)):
        gx = patch % grid_x
        gy = patch // grid_x % grid_y
        gz = patch // (grid_x * grid_y) % grid_z
        n = patch // (grid_x * grid_y * grid_z)
        z, y, x = gz * layout[0], gy * layout[1], gx * layout[2]
        first = kind(src[n, z, y, x])
        low, high, shift, lost = first, first, zero, zero
        for r in range(rows):
            from_z, from_y = z + r // size_y, y + r % size_y
            for px in range(size_x):
                value = kind(src[n, from_z, from_y, x + px])
                shift, lost = add(shift, lost, value - first)
                low = value if value < low else low
                high = value if value > high else high
        shift = shift / n_pixels
        if not math.isfinite(first + shift):
            for c in range(codes.size):
                out[n, gz, gy, gx, c] = kind(np.nan)
            continue
        s2, s3, s4, lost2, lost3, lost4 = zero, zero, zero, zero, zero, zero
        scale = high - low if high > low else one  # powers of small numbers would vanish
        for r in range(rows):
            from_z, from_y = z + r // size_y, y + r % size_y
            for px in range(size_x):
                value = kind(src[n, from_z, from_y, x + px])
                d = ((value - first) - shift) / scale
                q = d * d
                s2, lost2 = add(s2, lost2, q)
                s3, lost3 = add(s3, lost3, q * d)
                s4, lost4 = add(s4, lost4, q * q)
        if binned:
            start = limits[0] if bounded else low
            stop = limits[1] if bounded else high
            for k in range(bins):
                counts[k] = 0
            for r in range(rows):
                from_z, from_y = z + r // size_y, y + r % size_y
                for px in range(size_x):
                    value = kind(src[n, from_z, from_y, x + px])
                    counts[bin_of(value, start, stop, kind(bins))] += 1
        for c in range(codes.size):
            code = codes[c]
            if code == 3 or code == 4:
                result = moment(code, kind, n_pixels, zero, s2, s3, s4, low, high)
            elif code < _ENTROPY:
                # Scaled back, but for those that have no scale.
                square = s2 * scale * scale
                result = moment(code, kind, n_pixels, first + shift, square, s3, s4, low, high)
            elif code < _PERCENTILE:
                result = zero
                for k in range(bins):
                    part = kind(counts[k]) / n_pixels
                    result += surprise[counts[k]] if code == _ENTROPY else part * part
            else:
                result = zero
                for side in range(2 if code > _PERCENTILE else 1):
                    rank, weight = ranks[c, side], weights[c, side]
                    low_key, high_key = to_key(low), to_key(high)
                    least, most = low_key, high_key
                    above = pixels
                    following = most  # the key after the one looked for
                    while low_key < high_key:
                        pivot = integer(middle(low_key, high_key))
                        count = 0
                        under, over = least, most
                        for r in range(rows):
                            from_z, from_y = z + r // size_y, y + r % size_y
                            for px in range(size_x):
                                key = to_key(kind(src[n, from_z, from_y, x + px]))
                                if key <= pivot:
                                    count += 1
                                    under = max(under, key)
                                else:
                                    over = min(over, key)
                        if count > rank:
                            high_key, above, following = under, count, over
                        else:
                            low_key = over
                    if above > rank + 1:
                        following = high_key
                    # Less the lowest, so that a difference of two loses nothing to their size.
                    a, b = to_value(high_key) - low, to_value(following) - low
                    result = blend(a, b, weight) - result
                result = result + low if code == _PERCENTILE else result
            out[n, gz, gy, gx, c] = result


describe = {
    "float32": Kernel("describe", _rows, _threads, to_key=key32, to_value=value32, order=order32),
    "float64": Kernel("describe", _rows, _threads, to_key=key64, to_value=value64, order=order64),
}
