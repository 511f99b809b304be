"""Average the patches that cover each pixel of a (batch, z, y, x) array: a gather.

The mean is taken as first + mean of the differences from the first, so that equal numbers
average to themselves exactly. Bytes: each patch element is read once from memory.
"""

import math

import numpy as np

from ._jit import Kernel, cuda, prange, scalar

__all__ = ["merge"]

_NARROW = 4  # pixels of a row that cost more to add as a row than one by one
_ROWS = 16  # of a task: patches are then read in runs of so many of their rows


@scalar
def _sum(src, kind, gz0, gy0, gx0, nz, ny, nx, z, y, x, layout):
    """Add the patches over one pixel as they are: for infinity, whose differences are NaN."""
    total = kind(0)
    for gz in range(gz0, gz0 + nz):
        for gy in range(gy0, gy0 + ny):
            for gx in range(gx0, gx0 + nx):
                pz, py, px = z - gz * layout[0], y - gy * layout[1], x - gx * layout[2]
                total += kind(src[gz, gy, gx, pz, py, px])
    return total


@scalar
def _add_rows(src, start, stride, total, origin, begin, width, size, rows):
    """Add rows of a patch, less the origin, to rows of `total`; all arrays are flat."""
    for _ in range(rows):
        s, t = np.uint64(start), np.uint64(begin)
        for i in range(np.uint64(size)):
            total[t + i] += np.float64(src[s + i]) - origin[t + i]
        start += stride
        begin += width


@scalar
def _add_narrow(src, patch, row, counts, size, step, before, total, origin, into, width):
    """Add one row of all patches of a grid row, less the origin, pixel after pixel."""
    pixels = size[0] * size[1] * size[2]
    for px in range(size[2]):
        first = max(0, (before - px + step - 1) // step)
        stop = min(counts, (width - 1 + before - px) // step + 1)
        s = np.uint64((patch + first) * pixels + row * size[2] + px)
        t = np.uint64(into + max(0, first * step + px - before))
        for _ in range(first, stop):
            total[t] += np.float64(src[s]) - origin[t]
            s += np.uint64(pixels)
            t += np.uint64(step)


@scalar
def _first(src, origin, at, n, z, y, layout, gz, gy, x0, nx):
    """Fill a row of `origin` with the first patch over each pixel."""
    row_z, row_y = z - gz * layout[0], y - gy * layout[1]
    for i in range(x0.size):
        if nx[i] > 0:
            px = i + layout[5] - x0[i] * layout[2]
            origin[at + i] = src[n, gz, gy, x0[i], row_z, row_y, px]


def _rows(src, out, layout, z0, nz, y0, ny, x0, nx, fill):
    depth, height, width = out.shape[1:]
    step_z, step_y, step_x, before_z, before_y, before_x = layout
    grid_z, grid_y, grid_x, size_z, size_y, size_x = src.shape[1:]
    blocks = (height + _ROWS - 1) // _ROWS
    flat = src.reshape(-1)
    # Sums of numbers of 32 bits are exact in float64, whatever their origin.
    exact = src.itemsize < 8
    for task in prange(out.shape[0] * depth * blocks):
        n = task // (depth * blocks)
        k = task // blocks % depth
        start = task % blocks * _ROWS
        stop = min(start + _ROWS, height)
        z = k + before_z
        total = np.zeros(_ROWS * width)
        origin = np.zeros(_ROWS * width)
        top, bottom = grid_y, 0
        for j in range(start, stop):
            if ny[j] > 0:
                top, bottom = min(top, y0[j]), max(bottom, y0[j] + ny[j])
                if nz[k] > 0 and not exact:
                    at, y = (j - start) * width, j + before_y
                    _first(src, origin, at, n, z, y, layout, z0[k], y0[j], x0, nx)
        for gz in range(z0[k], z0[k] + nz[k]):
            for gy in range(top, bottom):
                ahead = gy * step_y - before_y  # the row of the image that the patch begins at
                first, last = max(start, ahead), min(stop, ahead + size_y)
                patch = ((n * grid_z + gz) * grid_y + gy) * grid_x
                row = (z - gz * step_z) * size_y + first - ahead
                into = (first - start) * width
                if size_x <= _NARROW:
                    for j in range(last - first):
                        _add_narrow(
                            flat,
                            patch,
                            row + j,
                            grid_x,
                            src.shape[4:],
                            step_x,
                            before_x,
                            total,
                            origin,
                            into + j * width,
                            width,
                        )
                    continue
                for gx in range(grid_x):
                    x = gx * step_x - before_x
                    left, right = max(0, -x), min(size_x, width - x)
                    if right > left:
                        source = ((patch + gx) * size_z * size_y + row) * size_x + left
                        _add_rows(
                            flat,
                            source,
                            size_x,
                            total,
                            origin,
                            into + x + left,
                            width,
                            right - left,
                            last - first,
                        )
        for j in range(start, stop):
            covers, y = nz[k] * ny[j], j + before_y
            for i in range(width):
                count, at = covers * nx[i], (j - start) * width + i
                if count == 0:
                    out[n, k, j, i] = fill[0]
                    continue
                value = origin[at] + total[at] / count
                if not (exact or math.isfinite(value)):
                    value = (
                        _sum(
                            src[n],
                            np.float64,
                            z0[k],
                            y0[j],
                            x0[i],
                            nz[k],
                            ny[j],
                            nx[i],
                            z,
                            y,
                            i + before_x,
                            layout,
                        )
                        / count
                    )
                out[n, k, j, i] = value


def _threads(work, src, out, layout, z0, nz, y0, ny, x0, nx, fill):
    kind = out.dtype.type
    depth, height, width = out.shape[1:]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        i = element % width
        j = element // width % height
        k = element // (width * height) % depth
        n = element // (width * height * depth)
        count = nz[k] * ny[j] * nx[i]
        if count == 0:
            out[n, k, j, i] = fill[0]
            continue
        z, y, x = k + layout[3], j + layout[4], i + layout[5]
        origin = kind(0)
        total = kind(0)
        lost = kind(0)  # what rounding took from the total so far (Kahan)
        plain = kind(0)
        first = True
        for gz in range(z0[k], z0[k] + nz[k]):
            for gy in range(y0[j], y0[j] + ny[j]):
                for gx in range(x0[i], x0[i] + nx[i]):
                    pz, py, px = z - gz * layout[0], y - gy * layout[1], x - gx * layout[2]
                    value = kind(src[n, gz, gy, gx, pz, py, px])
                    if first:
                        origin = value
                        first = False
                    plain += value
                    term = (value - origin) - lost
                    new = total + term
                    lost = (new - total) - term
                    total = new
        mean = origin + total / kind(count)
        if not math.isfinite(mean):
            mean = plain / kind(count)
        out[n, k, j, i] = mean


merge = Kernel("merge", _rows, _threads)
