"""Linear resize along z, y and x with rescale and window fused in, in one pass.

Every output element depends on 2 x 2 x 2 inputs, each rescaled and clipped before it is
blended, along y, z and then x. The tables of an axis that keeps its size have weights of
0 and name the same input twice.
"""

import numpy as np

from ._interp import blend, rescale
from ._jit import Kernel, cuda, prange

__all__ = ["linear"]


def _rows(src, out, slope, intercept, limits, z0, z1, wz, y0, y1, wy, x0, x1, wx):
    # Blending whole source rows first reads memory in order and vectorises; only the
    # last step, which is short, gathers. Measured 2 times faster than gathering four
    # neighbours for each output.
    kind = out.dtype.type
    depth, height, width = out.shape[1:]
    low, high = limits[0], limits[1]
    for row in prange(out.shape[0] * depth * height):
        n = row // (depth * height)
        k = row // height % depth
        j = row % height
        a, b, v, w = slope[n], intercept[n], wy[j], wz[k]
        line = np.empty(src.shape[3], out.dtype)
        upper, lower = src[n, z0[k], y0[j]], src[n, z0[k], y1[j]]
        for i in range(line.size):
            line[i] = blend(
                rescale(kind(upper[i]), a, b, low, high),
                rescale(kind(lower[i]), a, b, low, high),
                v,
            )
        if w != 0:
            upper, lower = src[n, z1[k], y0[j]], src[n, z1[k], y1[j]]
            for i in range(line.size):
                far = blend(
                    rescale(kind(upper[i]), a, b, low, high),
                    rescale(kind(lower[i]), a, b, low, high),
                    v,
                )
                line[i] = blend(line[i], far, w)
        target = out[n, k, j]
        for i in range(width):
            target[i] = blend(line[x0[i]], line[x1[i]], wx[i])


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
