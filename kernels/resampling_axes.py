"""Resample volumes on another grid along the same axes, one axis after the other.

A table per axis names the source voxels and their weights for each output voxel; `runs`
holds, for z, y and x, the run [begin, end) of outputs that the source owns. Everything else
becomes `outside`.
"""

import numpy as np

from ._interp import blend
from ._jit import Kernel, cuda, prange, scalar
from ._places import voxel_of

__all__ = ["linear", "owned"]

_ROWS = 16  # of a task: they share their lines of memory


@scalar
def _blend_rows(line, a, b, c, d, v, u):
    """Blend four rows along y and z, of which those of weight 0 need not be finite."""
    kind = line.dtype.type
    if v == 0:
        for i in range(line.size):
            line[i] = kind(a[i])
    else:
        for i in range(line.size):
            line[i] = blend(kind(a[i]), kind(b[i]), v)
    if u != 0 and v == 0:
        for i in range(line.size):
            line[i] = blend(line[i], kind(c[i]), u)
    elif u != 0:
        for i in range(line.size):
            line[i] = blend(line[i], blend(kind(c[i]), kind(d[i]), v), u)


def _linear_rows(src, out, outside, runs, z0, z1, wz, y0, y1, wy, x0, x1, wx):
    # Views of the runs that count: loops over whole arrays are those that LLVM vectorises.
    depth, height = out.shape[1:3]
    blocks = (height + _ROWS - 1) // _ROWS
    begin, end = runs[2, 0], runs[2, 1]
    left, right, weight = x0[begin:end], x1[begin:end], wx[begin:end]
    first = min(left[0], left[-1])
    last = max(right[0], right[-1]) + 1
    for task in prange(out.shape[0] * depth * blocks):
        n = task // (depth * blocks)
        k = task // blocks % depth
        start = task % blocks * _ROWS
        stop = min(start + _ROWS, height)
        whole = np.empty(src.shape[3], out.dtype)
        line = whole[first:last]
        for j in range(start, stop):
            row = out[n, k, j]
            if k < runs[0, 0] or k >= runs[0, 1] or j < runs[1, 0] or j >= runs[1, 1]:
                row[:] = outside[0]
                continue
            a, b = src[n, z0[k], y0[j], first:last], src[n, z0[k], y1[j], first:last]
            c, d = src[n, z1[k], y0[j], first:last], src[n, z1[k], y1[j], first:last]
            _blend_rows(line, a, b, c, d, wy[j], wz[k])
            row[:begin] = outside[0]
            row[end:] = outside[0]
            inner = row[begin:end]
            for i in range(inner.size):
                value, w = whole[left[i]], weight[i]
                inner[i] = value if w == 0 else blend(value, whole[right[i]], w)


@scalar
def owned(k, j, i, z0, z1, y0, y1, x0, x1):
    """Say whether voxel (k, j, i) lies in the runs of all axes."""
    return z0 <= k < z1 and y0 <= j < y1 and x0 <= i < x1


def _linear_threads(work, src, out, outside, runs, z0, z1, wz, y0, y1, wy, x0, x1, wx):
    kind = out.dtype.type
    z_in, y_in, x_in = runs[0], runs[1], runs[2]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, k, j, i = voxel_of(element, *out.shape[1:])
        if not owned(k, j, i, z_in[0], z_in[1], y_in[0], y_in[1], x_in[0], x_in[1]):
            out[n, k, j, i] = outside[0]
            continue
        left = kind(0)
        right = kind(0)
        for side in range(2):
            x = x0[i] if side == 0 else x1[i]
            value = blend(kind(src[n, z0[k], y0[j], x]), kind(src[n, z0[k], y1[j], x]), wy[j])
            if wz[k] != 0:
                far = blend(kind(src[n, z1[k], y0[j], x]), kind(src[n, z1[k], y1[j], x]), wy[j])
                value = blend(value, far, wz[k])
            if side == 0:
                left = value
            else:
                right = value
        out[n, k, j, i] = blend(left, right, wx[i])


linear = Kernel("linear", _linear_rows, _linear_threads)
