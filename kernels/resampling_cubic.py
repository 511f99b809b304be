"""Resample volumes by Keys' cubic, turned and sheared at will or along their own axes.

The arguments are those of the linear kernels; the tables of an axis hold four voxels and
four weights for each output. Voxels of weight 0 are passed over, since they may be NaN.
"""

import numpy as np

from ._jit import Kernel, cuda, prange, scalar
from ._places import between, clamped, cubic_weights, neighbour, place_of, voxel_of
from .resampling import open_row, start_of
from .resampling_axes import owned

__all__ = ["along_axes", "turned"]

_ROWS = 16  # of a task: they share their line of memory


@scalar
def _cubic(src, n, z, y, x, shift, constants):
    kind = constants.dtype.type
    unit = constants[1]
    depth, height, width = src.shape[1:]
    z = clamped(z, depth, shift)
    y = clamped(y, height, shift)
    x = clamped(x, width, shift)
    across_z = cubic_weights(between(z, shift, unit))
    across_y = cubic_weights(between(y, shift, unit))
    across_x = cubic_weights(between(x, shift, unit))
    z >>= shift
    y >>= shift
    x >>= shift
    value = kind(0)
    for c in range(4):
        if across_z[c] != 0:
            zc = min(max(z + c - 1, 0), depth - 1)
            plane = kind(0)
            for b in range(4):
                if across_y[b] != 0:
                    yb = min(max(y + b - 1, 0), height - 1)
                    row = kind(0)
                    for a in range(4):
                        if across_x[a] != 0:
                            xa = min(max(x + a - 1, 0), width - 1)
                            row += kind(src[n, zc, yb, xa]) * across_x[a]
                    plane += row * across_y[b]
            value += plane * across_z[c]
    return value


def _turned_rows(src, out, inside, m, shift, constants):
    depth, height = out.shape[1:3]
    for task in prange(out.shape[0] * depth * height):
        n = task // (depth * height)
        k = task // height % depth
        j = task % height
        row, mark = out[n, k, j], inside[k, j] if n == 0 and inside.size > 0 else inside[0, 0, :0]
        z, y, x = start_of(m, 0, k, j), start_of(m, 1, k, j), start_of(m, 2, k, j)
        begin, end = open_row(src, row, mark, z, y, x, m, shift, constants[0])
        dz, dy, dx = m[0, 2], m[1, 2], m[2, 2]
        for i in range(begin, end):
            row[i] = _cubic(src, n, z + dz * i, y + dy * i, x + dx * i, shift, constants)


def _turned_threads(work, src, out, inside, m, shift, constants):
    kind = out.dtype.type
    unit = constants[1]
    depth, height, width = src.shape[1:]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, k, j, i = voxel_of(element, *out.shape[1:])
        z = place_of(k, j, i, m[0, 0], m[0, 1], m[0, 2], m[0, 3])
        y = place_of(k, j, i, m[1, 0], m[1, 1], m[1, 2], m[1, 3])
        x = place_of(k, j, i, m[2, 0], m[2, 1], m[2, 2], m[2, 3])
        c, b, a = neighbour(z, shift), neighbour(y, shift), neighbour(x, shift)
        owned_by_one = 0 <= c < depth and 0 <= b < height and 0 <= a < width
        if inside.size > 0 and n == 0:
            inside[k, j, i] = owned_by_one
        if not owned_by_one:
            out[n, k, j, i] = constants[0]
            continue
        z = clamped(z, depth, shift)
        y = clamped(y, height, shift)
        x = clamped(x, width, shift)
        across_z = cubic_weights(between(z, shift, unit))
        across_y = cubic_weights(between(y, shift, unit))
        across_x = cubic_weights(between(x, shift, unit))
        value = kind(0)
        for c in range(4):
            if across_z[c] != 0:
                zc = min(max((z >> shift) + c - 1, 0), depth - 1)
                plane = kind(0)
                for b in range(4):
                    if across_y[b] != 0:
                        yb = min(max((y >> shift) + b - 1, 0), height - 1)
                        row = kind(0)
                        for a in range(4):
                            if across_x[a] != 0:
                                xa = min(max((x >> shift) + a - 1, 0), width - 1)
                                row += kind(src[n, zc, yb, xa]) * across_x[a]
                        plane += row * across_y[b]
                value += plane * across_z[c]
        out[n, k, j, i] = value


@scalar
def _add_row(line, source, weight):
    kind = line.dtype.type
    for i in range(line.size):
        line[i] += kind(source[i]) * weight


def _axes_rows(src, out, outside, runs, tz, wz, ty, wy, tx, wx):
    # Source rows are added with their weights in reading order; only the last step gathers.
    # Views of the runs that count: loops over whole arrays are those that LLVM vectorises.
    kind = out.dtype.type
    depth, height = out.shape[1:3]
    blocks = (height + _ROWS - 1) // _ROWS
    begin, end = runs[2, 0], runs[2, 1]
    taps, weights = tx[begin:end], wx[begin:end]
    first = min(taps[0, 0], taps[-1, 0])
    last = max(taps[0, 3], taps[-1, 3]) + 1
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
            line[:] = 0
            for c in range(4):
                for b in range(4):
                    weight = wz[k, c] * wy[j, b]
                    if weight != 0:
                        _add_row(line, src[n, tz[k, c], ty[j, b], first:last], weight)
            row[:begin] = outside[0]
            row[end:] = outside[0]
            inner = row[begin:end]
            for i in range(inner.size):
                value = kind(0)
                for a in range(4):
                    w = weights[i, a]
                    value += whole[taps[i, a]] * w if w != 0 else kind(0)
                inner[i] = value


def _axes_threads(work, src, out, outside, runs, tz, wz, ty, wy, tx, wx):
    kind = out.dtype.type
    z_in, y_in, x_in = runs[0], runs[1], runs[2]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, k, j, i = voxel_of(element, *out.shape[1:])
        if not owned(k, j, i, z_in[0], z_in[1], y_in[0], y_in[1], x_in[0], x_in[1]):
            out[n, k, j, i] = outside[0]
            continue
        value = kind(0)
        for a in range(4):
            if wx[i, a] != 0:
                column = kind(0)
                for c in range(4):
                    for b in range(4):
                        weight = wz[k, c] * wy[j, b]
                        if weight != 0:
                            column += kind(src[n, tz[k, c], ty[j, b], tx[i, a]]) * weight
                value += column * wx[i, a]
        out[n, k, j, i] = value


turned = Kernel("turned", _turned_rows, _turned_threads)
along_axes = Kernel("along_axes", _axes_rows, _axes_threads)
