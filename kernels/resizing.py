"""Linear resize along z, y and x with rescale and window fused in, in one pass.

Every output element depends on 2 x 2 x 2 inputs, each rescaled and clipped before it is
blended, along y, z and then x. The tables of an axis that keeps its size have weights of
0 and name the same input twice.
"""

import numpy as np

from ._interp import blend, rescale
from ._jit import Kernel, cuda, prange, scalar

__all__ = ["linear"]


_ROWS = 16  # of a task: enough that its memory is read in long runs, few enough for the cache


@scalar
def _read_row(line, upper, lower, weight, slope, intercept, low, high, plain):
    """Rescale two source rows and blend them into `line`; `plain` if there is no rescale."""
    kind = line.dtype.type
    if plain:
        for i in range(line.size):
            line[i] = blend(kind(upper[i]), kind(lower[i]), weight)
    else:
        for i in range(line.size):
            line[i] = blend(
                rescale(kind(upper[i]), slope, intercept, low, high),
                rescale(kind(lower[i]), slope, intercept, low, high),
                weight,
            )


def _rows(src, out, slope, intercept, limits, z0, z1, wz, y0, y1, wy, x0, x1, wx):
    # Blending whole source rows first reads memory in order and vectorises; only the last
    # step, which is short, gathers.
    depth, height, width = out.shape[1:]
    low, high = limits[0], limits[1]
    blocks = (height + _ROWS - 1) // _ROWS
    for task in prange(out.shape[0] * depth * blocks):
        n = task // (depth * blocks)
        k = task // blocks % depth
        start = task % blocks * _ROWS
        stop = min(start + _ROWS, height)
        a, b, w = slope[n], intercept[n], wz[k]
        plain = a == 1 and b == 0 and low == -np.inf and high == np.inf
        near, far, target = src[n, z0[k]], src[n, z1[k]], out[n, k]
        lines = np.empty((_ROWS, src.shape[3]), out.dtype)
        for j in range(start, stop):
            line, v = lines[j - start], wy[j]
            _read_row(line, near[y0[j]], near[y1[j]], v, a, b, low, high, plain)
        if w != 0:
            beyond = np.empty(src.shape[3], out.dtype)
            for j in range(start, stop):
                line, v = lines[j - start], wy[j]
                _read_row(beyond, far[y0[j]], far[y1[j]], v, a, b, low, high, plain)
                for i in range(line.size):
                    line[i] = blend(line[i], beyond[i], w)
        for j in range(start, stop):
            row, line = target[j], lines[j - start]
            for i in range(width):
                row[i] = blend(line[x0[i]], line[x1[i]], wx[i])


def _threads(work, src, out, slope, intercept, limits, z0, z1, wz, y0, y1, wy, x0, x1, wx):
    kind = out.dtype.type
    depth, height, width = out.shape[1:]
    low, high = limits[0], limits[1]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        i = element % width
        j = element // width % height
        k = element // (width * height) % depth
        n = element // (width * height * depth)
        a, b = slope[n], intercept[n]
        left = kind(0)
        right = kind(0)
        for side in range(2):
            x = x0[i] if side == 0 else x1[i]
            value = blend(
                rescale(kind(src[n, z0[k], y0[j], x]), a, b, low, high),
                rescale(kind(src[n, z0[k], y1[j], x]), a, b, low, high),
                wy[j],
            )
            if wz[k] != 0:
                far = blend(
                    rescale(kind(src[n, z1[k], y0[j], x]), a, b, low, high),
                    rescale(kind(src[n, z1[k], y1[j], x]), a, b, low, high),
                    wy[j],
                )
                value = blend(value, far, wz[k])
            if side == 0:
                left = value
            else:
                right = value
        out[n, k, j, i] = blend(left, right, wx[i])


linear = Kernel("linear", _rows, _threads)
