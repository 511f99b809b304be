"""Write a block of features into its columns of the stacked matrix, standardised.

A column's mean is kept as two numbers, its first value and the mean distance to it, so
that float32 loses nothing to a large mean: ((x - origin) - shift) * factor. It also makes
the spread of a constant column exactly 0.

An `out` of no rows asks for the statistics alone.

CPU: columns in tiles that stay in the cache, so that mean, spread and result cost one
read from memory, summed in float64. CUDA: one thread a column, neighbouring threads read
neighbouring values; compensated sums, since doubles are slow there.
"""

import math

import numpy as np

from ._jit import Kernel, cuda, prange, scalar

__all__ = ["stack"]

_TILE_BYTES = 1 << 18


@scalar
def _factor(weight, spread, rows):
    # A spread of NaN or infinity gives NaN, by which the caller knows of bad input.
    nothing = spread - spread
    return weight / math.sqrt(spread / rows) if spread > 0 and nothing == 0 else nothing


def _tiles(src, out, offset, weight, fit, origin, shift, factor):
    kind = out.dtype.type
    rows, columns = src.shape
    tile = min(max(_TILE_BYTES // (rows * src.itemsize), 64), columns)
    for task in prange((columns + tile - 1) // tile):
        start = task * tile
        count = min(tile, columns - start)
        a, m, f = origin[start:], shift[start:], factor[start:]
        if fit:
            mean, spread = np.zeros(count), np.zeros(count)
            for c in range(count):
                a[c] = kind(src[0, start + c])
            for r in range(rows):
                line = src[r, start:]
                for c in range(count):
                    mean[c] += kind(line[c]) - a[c]
            for c in range(count):
                mean[c] /= rows
            for r in range(rows):
                line = src[r, start:]
                for c in range(count):
                    distance = (kind(line[c]) - a[c]) - mean[c]
                    spread[c] += distance * distance
            for c in range(count):
                m[c] = kind(mean[c])
                f[c] = kind(_factor(weight[0], spread[c], rows))
        for r in range(out.shape[0]):
            line, target = src[r, start:], out[r, offset + start :]
            for c in range(count):
                target[c] = ((kind(line[c]) - a[c]) - m[c]) * f[c]


def _threads(work, src, out, offset, weight, fit, origin, shift, factor):
    kind = out.dtype.type
    rows = src.shape[0]
    for c in range(cuda.grid(1), work, cuda.gridsize(1)):
        if fit:
            a, count = kind(src[0, c]), kind(rows)
            total, lost = kind(0), kind(0)
            for r in range(rows):
                term = (kind(src[r, c]) - a) - lost
                new = total + term
                lost = (new - total) - term
                total = new
            m = total / count
            total, lost = kind(0), kind(0)
            for r in range(rows):
                distance = (kind(src[r, c]) - a) - m
                term = distance * distance - lost
                new = total + term
                lost = (new - total) - term
                total = new
            origin[c], shift[c] = a, m
            factor[c] = _factor(weight[0], total, count)
        a, m, f = origin[c], shift[c], factor[c]
        for r in range(out.shape[0]):
            out[r, offset + c] = ((kind(src[r, c]) - a) - m) * f


stack = Kernel("stack", _tiles, _threads)
