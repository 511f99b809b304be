"""Copy patches of a (batch, z, y, x) array, all or chosen ones, to places of their own.

Values pass through as bits: the arrays are unsigned integers of the pixels' size, so four
builds serve all dtypes. Bytes: each output element is written about once; the input is read
from memory about once, and again from the cache for each overlap.
"""

import numpy as np

from ._jit import Kernel, copier, cuda, foreign, prange, scalar

__all__ = ["extract", "gather"]


@scalar
def border(i, size, mode):
    """Return where pixel i of an axis comes from: itself, or by the mode; -1 is nowhere."""
    if i >= 0 and i < size:
        return i
    if mode == 0:
        return -1
    if mode == 1:
        return 0 if i < 0 else size - 1
    period = 2 * (size - 1)
    if period == 0:
        return 0
    i = abs(i) % period  # the mirrored axis is even about pixel 0
    return i if i < size else period - i


_memcpy = foreign("memcpy", "intp", "intp", "intp", "intp")

if _memcpy is None:

    @scalar
    def _copy(src, start, out, begin, size):
        for i in range(size):
            out[begin + i] = src[start + i]

else:

    @scalar
    def _copy(src, start, out, begin, size):
        """Copy elements between flat arrays."""
        # A loop in place of it would copy short rows element by element, and so three times
        # as slowly: LLVM vectorises for rows of 32 and more.
        wide = src.itemsize
        _memcpy(out.ctypes.data + begin * wide, src.ctypes.data + start * wide, size * wide)


@scalar
def _find_rows(shape, size, n, z, y, mode, rows):
    """Find where each row of a patch that begins at z, y of image n has its row; -1 is none."""
    depth, height, width = shape
    for pz in range(size[0]):
        from_z = border(z + pz, depth, mode)
        for py in range(size[1]):
            from_y = border(y + py, height, mode)
            start = ((n * depth + from_z) * height + from_y) * width
            rows[pz * size[1] + py] = -1 if from_z < 0 or from_y < 0 else start


@scalar
def _copy_patch(src, rows, x, width, mode, fill, out, begin, size):
    """Copy the patch that begins at column x of the rows to `begin`, between flat arrays."""
    # Flat, since a view of a row counts its references, which costs more than a short row.
    inside = x >= 0 and x + size <= width
    for start in rows:
        if start >= 0 and inside:
            _copy(src, start + x, out, begin, size)
        else:
            for px in range(size):
                i = border(x + px, width, mode)
                out[begin + px] = src[start + i] if start >= 0 and i >= 0 else fill
        begin += size


_copy_4, _copy_8, _copy_16 = copier(4), copier(8), copier(16)
_SHORT = 32  # elements of a row, up to which a call of memcpy costs more than the copying


@scalar
def _copy_short(src, rows, step, out, begin, size, count):
    """Copy `count` patches of short rows as whole vectors, each `step` columns after the last.

    What a row writes too much, the next one mends; where none follows, or the source ends,
    elements are copied one by one.
    """
    pixels = rows.size * size
    room = 4 if size <= 4 else (8 if size <= 8 else (size + 15) // 16 * 16)
    most = min((count * pixels - room + size) // pixels, (src.size - room - rows.max()) // step + 1)
    whole = min(max(most, 0), count)
    o = begin
    if size <= 4:
        for x in range(0, whole * step, step):
            for r in range(rows.size):
                _copy_4(src, rows[r] + x, out, o)
                o += size
    elif size <= 8:
        for x in range(0, whole * step, step):
            for r in range(rows.size):
                _copy_8(src, rows[r] + x, out, o)
                o += size
    else:
        for x in range(0, whole * step, step):
            for r in range(rows.size):
                for i in range(0, size, 16):
                    _copy_16(src, rows[r] + x + i, out, o + i)
                o += size
    for x in range(whole * step, count * step, step):
        for r in range(rows.size):
            for i in range(size):
                out[o + i] = src[rows[r] + x + i]
            o += size


def _rows(src, out, layout, fill):
    # out is (batch, grid z, y, x, patch z, y, x); one task fills the patches of one grid row.
    grid_z, grid_y, grid_x = out.shape[1:4]
    shape, size = src.shape[1:], out.shape[4:]
    pixels = size[0] * size[1] * size[2]
    step_z, step_y, step_x, before_z, before_y, before_x, mode = layout
    flat, target = src.reshape(-1), out.reshape(-1)
    for task in prange(out.shape[0] * grid_z * grid_y):
        rows = np.empty(size[0] * size[1], np.int64)
        z = task // grid_y % grid_z * step_z - before_z
        y = task % grid_y * step_y - before_y
        _find_rows(shape, size, task // (grid_z * grid_y), z, y, mode, rows)
        inside = before_x == 0 and (grid_x - 1) * step_x + size[2] <= shape[2]
        if inside and size[2] <= _SHORT and rows.min() >= 0:
            begin = np.int64(task) * grid_x * pixels
            _copy_short(flat, rows, np.int64(step_x), target, begin, size[2], grid_x)
            continue
        for gx in range(grid_x):
            begin, x = (task * grid_x + gx) * pixels, gx * step_x - before_x
            _copy_patch(flat, rows, x, shape[2], mode, fill[0], target, begin, size[2])


def _threads(work, src, out, layout, fill):
    # The dtype of `layout` is the one to divide in: uint32 where all indices fit.
    kind = layout.dtype.type
    mode = layout[6]
    size_z, size_y, size_x = kind(out.shape[4]), kind(out.shape[5]), kind(out.shape[6])
    grid_z, grid_y, grid_x = kind(out.shape[1]), kind(out.shape[2]), kind(out.shape[3])
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        rest = kind(element)
        px = rest % size_x
        rest = kind(rest // size_x)
        py = rest % size_y
        rest = kind(rest // size_y)
        pz = rest % size_z
        rest = kind(rest // size_z)
        gx = rest % grid_x
        rest = kind(rest // grid_x)
        gy = rest % grid_y
        rest = kind(rest // grid_y)
        gz = rest % grid_z
        n = rest // grid_z
        z = border(np.int64(gz * layout[0] + pz) - np.int64(layout[3]), src.shape[1], mode)
        y = border(np.int64(gy * layout[1] + py) - np.int64(layout[4]), src.shape[2], mode)
        x = border(np.int64(gx * layout[2] + px) - np.int64(layout[5]), src.shape[3], mode)
        if z < 0 or y < 0 or x < 0:
            out[n, gz, gy, gx, pz, py, px] = fill[0]
        else:
            out[n, gz, gy, gx, pz, py, px] = src[n, z, y, x]


extract = Kernel("extract", _rows, _threads)


def _chosen(src, out, corners):
    # out is (patches, z, y, x); corners hold batch, z, y, x of the first pixel of each.
    shape, size = src.shape[1:], out.shape[1:]
    flat, target, zero = src.reshape(-1), out.reshape(-1), out.dtype.type(0)
    for i in prange(out.shape[0]):
        rows = np.empty(size[0] * size[1], np.int64)
        n, z, y, x = corners[i, 0], corners[i, 1], corners[i, 2], corners[i, 3]
        _find_rows(shape, size, n, z, y, 0, rows)
        begin = i * size[0] * size[1] * size[2]
        _copy_patch(flat, rows, x, shape[2], 0, zero, target, begin, size[2])


def _chosen_threads(work, src, out, corners):
    size_z, size_y, size_x = out.shape[1:]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        px = element % size_x
        rest = element // size_x
        py = rest % size_y
        rest = rest // size_y
        pz = rest % size_z
        i = rest // size_z
        out[i, pz, py, px] = src[
            corners[i, 0], corners[i, 1] + pz, corners[i, 2] + py, corners[i, 3] + px
        ]


gather = Kernel("gather", _chosen, _chosen_threads)
