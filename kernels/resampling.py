"""Resample volumes on another grid, turned and sheared at will.

Output voxel (k, j, i) lies at the fixed-point place m[a, 0] k + m[a, 1] j + m[a, 2] i +
m[a, 3] of axis a of the source (z, y, x); `_places.py` says what a place is. `constants` are
the value outside and 2^-shift. `inside` becomes true where a source voxel owns the place; it
is left alone if it is empty. All volumes of a batch share the places.
"""

import numpy as np

from ._interp import blend
from ._jit import Kernel, cuda, prange, scalar
from ._places import between, neighbour, neighbours, place_of, run_inside, voxel_of

__all__ = ["linear", "nearest", "open_row", "start_of"]


@scalar
def start_of(m, axis, k, j):
    return m[axis, 0] * k + m[axis, 1] * j + m[axis, 3]


@scalar
def open_row(src, row, mark, z, y, x, m, shift, outside):
    """Fill and mark what no source voxel owns; return the run of the rest."""
    begin, end = run_inside(z, m[0, 2], src.shape[1], shift, 0, row.size)
    begin, end = run_inside(y, m[1, 2], src.shape[2], shift, begin, end)
    begin, end = run_inside(x, m[2, 2], src.shape[3], shift, begin, end)
    row[:begin] = outside
    row[end:] = outside
    if mark.size > 0:
        mark[:begin] = False
        mark[begin:end] = True
        mark[end:] = False
    return begin, end


def _nearest_rows(src, out, inside, m, shift, constants):
    kind = out.dtype.type
    depth, height = out.shape[1:3]
    plane, line = src.shape[2] * src.shape[3], src.shape[3]
    for task in prange(out.shape[0] * depth * height):
        n = task // (depth * height)
        k = task // height % depth
        j = task % height
        row, mark = out[n, k, j], inside[k, j] if n == 0 and inside.size > 0 else inside[0, 0, :0]
        z, y, x = start_of(m, 0, k, j), start_of(m, 1, k, j), start_of(m, 2, k, j)
        begin, end = open_row(src, row, mark, z, y, x, m, shift, constants[0])
        dz, dy, dx = m[0, 2], m[1, 2], m[2, 2]
        flat = src[n].reshape(src[n].size)
        for i in range(begin, end):
            c = neighbour(z + dz * i, shift)
            b = neighbour(y + dy * i, shift)
            a = neighbour(x + dx * i, shift)
            # Unsigned: a signed index would be tested for being negative.
            row[i] = kind(flat[np.uint64(c * plane + b * line + a)])


def _nearest_threads(work, src, out, inside, m, shift, constants):
    kind = out.dtype.type
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, k, j, i = voxel_of(element, *out.shape[1:])
        z = neighbour(place_of(k, j, i, m[0, 0], m[0, 1], m[0, 2], m[0, 3]), shift)
        y = neighbour(place_of(k, j, i, m[1, 0], m[1, 1], m[1, 2], m[1, 3]), shift)
        x = neighbour(place_of(k, j, i, m[2, 0], m[2, 1], m[2, 2], m[2, 3]), shift)
        owned = 0 <= z < src.shape[1] and 0 <= y < src.shape[2] and 0 <= x < src.shape[3]
        if owned:
            out[n, k, j, i] = kind(src[n, z, y, x])
        else:
            out[n, k, j, i] = constants[0]
        if inside.size > 0 and n == 0:
            inside[k, j, i] = owned


@scalar
def _linear(src, n, z, y, x, shift, constants):
    kind = constants.dtype.type
    unit = constants[1]
    z0, z1, u = neighbours(z, src.shape[1], shift, unit)
    y0, y1, v = neighbours(y, src.shape[2], shift, unit)
    x0, x1, w = neighbours(x, src.shape[3], shift, unit)
    near = blend(
        blend(kind(src[n, z0, y0, x0]), kind(src[n, z0, y0, x1]), w),
        blend(kind(src[n, z0, y1, x0]), kind(src[n, z0, y1, x1]), w),
        v,
    )
    far = blend(
        blend(kind(src[n, z1, y0, x0]), kind(src[n, z1, y0, x1]), w),
        blend(kind(src[n, z1, y1, x0]), kind(src[n, z1, y1, x1]), w),
        v,
    )
    return blend(near, far, u)


@scalar
def _square(flat, at, low, right, v, w, kind):
    return blend(
        blend(kind(flat[at]), kind(flat[at + right]), w),
        blend(kind(flat[at + low]), kind(flat[at + low + right]), w),
        v,
    )


@scalar
def _run_between(start, step, size, shift, begin, end):
    """Return the run of [begin, end) between voxel centres, and whether on them alone."""
    on_centres = ((start | step) & ((1 << shift) - 1)) == 0
    # run_inside() tests for voxels: half a voxel earlier, and one voxel less, are centres.
    start -= (1 << (shift - 1)) + (1 << (shift - 30))
    size = size if on_centres else size - 1
    begin, end = run_inside(start, step, size, shift, begin, end)
    return begin, end, on_centres


def _linear_rows(src, out, inside, m, shift, constants):
    # Between the outermost centres nothing has to be clamped. An axis along which the row
    # runs on the centres has neighbours of weight 0, which may be NaN or not be there: a
    # stride of 0 leaves them out.
    kind = out.dtype.type
    depth, height = out.shape[1:3]
    sizes, unit = src.shape, constants[1]
    plane, line = sizes[2] * sizes[3], sizes[3]
    for task in prange(out.shape[0] * depth * height):
        n = task // (depth * height)
        k = task // height % depth
        j = task % height
        row, mark = out[n, k, j], inside[k, j] if n == 0 and inside.size > 0 else inside[0, 0, :0]
        z, y, x = start_of(m, 0, k, j), start_of(m, 1, k, j), start_of(m, 2, k, j)
        begin, end = open_row(src, row, mark, z, y, x, m, shift, constants[0])
        dz, dy, dx = m[0, 2], m[1, 2], m[2, 2]
        first, last, level_z = _run_between(z, dz, sizes[1], shift, begin, end)
        first, last, level_y = _run_between(y, dy, sizes[2], shift, first, last)
        first, last, level_x = _run_between(x, dx, sizes[3], shift, first, last)
        for i in range(begin, first):
            row[i] = _linear(src, n, z + dz * i, y + dy * i, x + dx * i, shift, constants)
        for i in range(last, end):
            row[i] = _linear(src, n, z + dz * i, y + dy * i, x + dx * i, shift, constants)
        flat = src[n].reshape(src[n].size)
        far = np.uint64(0 if level_z else plane)
        low = np.uint64(0 if level_y else line)
        right = np.uint64(0 if level_x else 1)
        for i in range(first, last):
            c, b, a = z + dz * i, y + dy * i, x + dx * i
            u, v, w = between(c, shift, unit), between(b, shift, unit), between(a, shift, unit)
            # Unsigned: a signed index would be tested for being negative.
            near = np.uint64((c >> shift) * plane + (b >> shift) * line + (a >> shift))
            row[i] = blend(
                _square(flat, near, low, right, v, w, kind),
                _square(flat, near + far, low, right, v, w, kind),
                u,
            )


def _linear_threads(work, src, out, inside, m, shift, constants):
    kind = out.dtype.type
    unit = constants[1]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, k, j, i = voxel_of(element, *out.shape[1:])
        z = place_of(k, j, i, m[0, 0], m[0, 1], m[0, 2], m[0, 3])
        y = place_of(k, j, i, m[1, 0], m[1, 1], m[1, 2], m[1, 3])
        x = place_of(k, j, i, m[2, 0], m[2, 1], m[2, 2], m[2, 3])
        c, b, a = neighbour(z, shift), neighbour(y, shift), neighbour(x, shift)
        owned = 0 <= c < src.shape[1] and 0 <= b < src.shape[2] and 0 <= a < src.shape[3]
        if inside.size > 0 and n == 0:
            inside[k, j, i] = owned
        if not owned:
            out[n, k, j, i] = constants[0]
            continue
        z0, z1, u = neighbours(z, src.shape[1], shift, unit)
        y0, y1, v = neighbours(y, src.shape[2], shift, unit)
        x0, x1, w = neighbours(x, src.shape[3], shift, unit)
        near = blend(
            blend(kind(src[n, z0, y0, x0]), kind(src[n, z0, y0, x1]), w),
            blend(kind(src[n, z0, y1, x0]), kind(src[n, z0, y1, x1]), w),
            v,
        )
        far = blend(
            blend(kind(src[n, z1, y0, x0]), kind(src[n, z1, y0, x1]), w),
            blend(kind(src[n, z1, y1, x0]), kind(src[n, z1, y1, x1]), w),
            v,
        )
        out[n, k, j, i] = blend(near, far, u)


nearest = Kernel("nearest", _nearest_rows, _nearest_threads)
linear = Kernel("linear", _linear_rows, _linear_threads)
