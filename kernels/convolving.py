"""One layer of a wide convolutional network: means over filters, then the rectifier.

`before` holds, for each of some pairs of images, the inner products of the features at a
place of one and a place of the other, a fixed displacement apart, and beside them (second
half) those of the gradients; both with a margin of zeros as wide as the filter reaches.
`places` are the numbers of the two images of a pair, `left` and `right` the squared norms of
their features after the filter. `layout` is the reach, where the planes begin in either
image, and whether gradients are wanted.

All of it is float64, as for every angle that comes from its cosine.
"""

import math

import numpy as np

from ._angles import ramp, step
from ._jit import Kernel, cuda, prange, scalar

__all__ = ["convolve"]


@scalar
def _mean_row(plane, y, size, out):
    """Average over the filters of a row of places."""
    for j in range(out.size):
        out[j] = 0.0
    for v in range(size):
        row = plane[y + v]
        for u in range(size):
            part = row[u : u + out.size]
            for j in range(out.size):
                out[j] += part[j]
    share = 1.0 / (size * size)
    for j in range(out.size):
        out[j] *= share


@scalar
def _ramp_row(mean, a, right, out):
    for j in range(out.size):
        out[j] = ramp(mean[j], math.sqrt(a[j] * right[j]))


@scalar
def _step_row(mean, slopes, a, right, out):
    for j in range(out.size):
        out[j] = (mean[j] + slopes[j]) * step(mean[j], math.sqrt(a[j] * right[j]))


def _rows(before, after, left, right, places, layout):
    reach, ay, ax, by, bx, tangent = layout
    pairs, height, width = before.shape[1:]
    size, high, wide = 2 * reach + 1, height - 2 * reach, width - 2 * reach
    for pair in prange(pairs):
        mean, slopes = np.empty(wide), np.empty(wide)
        i, j = places[pair]
        for y in range(high):
            a, b = left[i, ay + y, ax : ax + wide], right[j, by + y, bx : bx + wide]
            _mean_row(before[0, pair], y, size, mean)
            _ramp_row(mean, a, b, after[0, pair, reach + y, reach : reach + wide])
            if tangent != 0:
                _mean_row(before[1, pair], y, size, slopes)
                _step_row(mean, slopes, a, b, after[1, pair, reach + y, reach : reach + wide])


def _threads(work, before, after, left, right, places, layout):
    reach, ay, ax, by, bx = layout[0], layout[1], layout[2], layout[3], layout[4]
    high, wide = before.shape[2] - 2 * reach, before.shape[3] - 2 * reach
    size = 2 * reach + 1
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        x, y, pair = element % wide, element // wide % high, element // wide // high
        mean, slopes = 0.0, 0.0
        for v in range(size):
            for u in range(size):
                mean += before[0, pair, y + v, x + u]
        mean /= size * size
        i, j = places[pair, 0], places[pair, 1]
        norm = math.sqrt(left[i, ay + y, ax + x] * right[j, by + y, bx + x])
        after[0, pair, y + reach, x + reach] = ramp(mean, norm)
        if layout[5] != 0:
            for v in range(size):
                for u in range(size):
                    slopes += before[1, pair, y + v, x + u]
            slopes /= size * size
            after[1, pair, y + reach, x + reach] = (mean + slopes) * step(mean, norm)


convolve = Kernel("convolve", _rows, _threads)
