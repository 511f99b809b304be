"""Bring images to a common location and scale, by a table with a row for each image.

A row holds half, up, origin, shift and scale, and a pixel becomes
clip((((x * half) - (origin * half)) * up - shift) / scale): 0 where the scale is 0, NaN
where it is NaN. `bounds` (low, high) are one pair for all images or one for each. The
arithmetic has the type of the table: float64 on the CPU, so that
float32 results are rounded once; that of the result on CUDA.

`normalize` does all there is to do to an image before it goes on to the next, so that an
image that fits into the cache is read from memory once.
"""

import numpy as np

from ._jit import Kernel, cuda, prange, scalar
from ._lanes import measure_run
from ._moments import add, begin, finish, settle_one

__all__ = ["apply", "normalize"]

_BLOCK = 1 << 14


@scalar
def _map_run(row, out, rule, low, high):
    kind, result = rule.dtype.type, out.dtype.type
    half, up, start, shift, scale = rule[0], rule[1], rule[2] * rule[0], rule[3], rule[4]
    if scale == 0:
        for i in range(row.size):
            out[i] = 0
    elif half == 1 and up == 1 and out.itemsize < rule.itemsize:
        # What the shortcuts cost is lost when the result is rounded to float32.
        start, factor = start + shift, kind(1) / scale
        if low == -np.inf and high == np.inf:
            for i in range(row.size):
                out[i] = result((kind(row[i]) - start) * factor)
        else:
            for i in range(row.size):
                y = (kind(row[i]) - start) * factor
                y = low if y < low else y
                y = high if y > high else y
                out[i] = result(y)
    else:
        for i in range(row.size):
            y = ((kind(row[i]) * half - start) * up - shift) / scale
            y = low if y < low else y
            y = high if y > high else y
            out[i] = result(y)


@scalar
def _map_one(value, half, up, origin, shift, scale, low, high, kind):
    if scale == 0:
        return kind(0)
    y = ((value * half - origin * half) * up - shift) / scale
    y = low if y < low else y
    return high if y > high else y


def _runs(src, out, table, bounds):
    images, pixels = src.shape
    runs = (pixels + _BLOCK - 1) // _BLOCK
    for task in prange(images * runs):
        n, start = np.int64(task // runs), np.int64(task % runs * _BLOCK)
        stop = min(start + _BLOCK, pixels)
        m = n if bounds.shape[0] > 1 else 0
        _map_run(src[n, start:stop], out[n, start:stop], table[n], bounds[m, 0], bounds[m, 1])


def _pixels(work, src, out, table, bounds):
    kind, result, pixels = table.dtype.type, out.dtype.type, src.shape[1]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, i = element // pixels, element % pixels
        m = n if bounds.shape[0] > 1 else 0
        a, b, c, d, e = table[n, 0], table[n, 1], table[n, 2], table[n, 3], table[n, 4]
        low, high, value = bounds[m, 0], bounds[m, 1], kind(src[n, i])
        out[n, i] = result(_map_one(value, a, b, c, d, e, low, high, kind))


def _images(src, inside, out, table, limits, minmax, bounds):
    kind = table.dtype.type
    least, most, factor, largest = limits[0], limits[1], limits[2], limits[3]
    for task in prange(src.shape[0]):
        n = np.int64(task)  # prange counts unsigned, which no `if` mixes with 0
        row, rule = src[n], table[n]
        mask = inside[n if inside.shape[0] > 1 else 0]
        again = True
        while again:
            found = measure_run(row, mask, rule[0], rule[1], minmax)
            again, rule[0], rule[1], rule[2], rule[3], rule[4] = settle_one(
                found, rule[0], rule[1], least, most, factor, largest, minmax, kind
            )
        _map_run(row, out[n], rule, bounds[0, 0], bounds[0, 1])


def _small_images(work, src, inside, out, table, limits, minmax, bounds):
    result, kind = out.dtype.type, table.dtype.type
    least, most, factor, largest = limits[0], limits[1], limits[2], limits[3]
    low, high, masked = bounds[0, 0], bounds[0, 1], inside.shape[1] > 0
    for n in range(cuda.grid(1), work, cuda.gridsize(1)):
        m, again = n if inside.shape[0] > 1 else 0, True
        while again:
            a, b, state = table[n, 0], table[n, 1], begin(kind)
            for i in range(src.shape[1]):
                if not masked or inside[m, i] != 0:
                    state = add(state, kind(src[n, i]), a, b, kind)
            found = finish(state, kind)
            again, a, b, c, d, e = settle_one(
                found, a, b, least, most, factor, largest, minmax, kind
            )
            table[n, 0], table[n, 1], table[n, 2], table[n, 3], table[n, 4] = a, b, c, d, e
        for i in range(src.shape[1]):
            value = _map_one(kind(src[n, i]), a, b, c, d, e, low, high, kind)
            out[n, i] = result(value)


apply = Kernel("apply", _runs, _pixels)
normalize = Kernel("normalize", _images, _small_images)
