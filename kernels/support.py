"""Which voxels of a resampled volume rest on valid source voxels alone."""

from ._jit import Kernel, cuda, prange, scalar
from ._places import clamped, neighbour, place_of, voxel_of

__all__ = ["support"]


@scalar
def _reach(place, size, taps, shift):
    """Return the run of source voxels that have a say at a place, as resample() weighs them."""
    nearest = neighbour(place, shift)
    place = clamped(place, size, shift)
    # Grids that agree but for the digits of their files must not reach one voxel further:
    # a distance to a centre of less than 2^-13 counts as none.
    sliver = 1 << (shift - 13)
    if taps == 1 or abs(place - (nearest << shift)) < sliver:
        return nearest, nearest + 1
    first = (place >> shift) - taps // 2 + 1
    return max(first, 0), min(first + taps, size)


@scalar
def _owned(z, y, x, depth, height, width, shift):
    c, b, a = neighbour(z, shift), neighbour(y, shift), neighbour(x, shift)
    return 0 <= c < depth and 0 <= b < height and 0 <= a < width


def _rows(valid, out, m, shift, taps):
    depth, height, width = valid.shape[1:]
    for task in prange(out.shape[0] * out.shape[1] * out.shape[2]):
        n, k, j, _ = voxel_of(task, out.shape[1], out.shape[2], 1)
        row = out[n, k, j]
        for i in range(row.size):
            z = place_of(k, j, i, m[0, 0], m[0, 1], m[0, 2], m[0, 3])
            y = place_of(k, j, i, m[1, 0], m[1, 1], m[1, 2], m[1, 3])
            x = place_of(k, j, i, m[2, 0], m[2, 1], m[2, 2], m[2, 3])
            good = _owned(z, y, x, depth, height, width, shift)
            if good:
                z0, z1 = _reach(z, depth, taps, shift)
                y0, y1 = _reach(y, height, taps, shift)
                x0, x1 = _reach(x, width, taps, shift)
                for c in range(z0, z1):
                    for b in range(y0, y1):
                        for a in range(x0, x1):
                            good &= valid[n, c, b, a]
            row[i] = good


def _threads(work, valid, out, m, shift, taps):
    depth, height, width = valid.shape[1:]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, k, j, i = voxel_of(element, *out.shape[1:])
        z = place_of(k, j, i, m[0, 0], m[0, 1], m[0, 2], m[0, 3])
        y = place_of(k, j, i, m[1, 0], m[1, 1], m[1, 2], m[1, 3])
        x = place_of(k, j, i, m[2, 0], m[2, 1], m[2, 2], m[2, 3])
        good = _owned(z, y, x, depth, height, width, shift)
        if good:
            z0, z1 = _reach(z, depth, taps, shift)
            y0, y1 = _reach(y, height, taps, shift)
            x0, x1 = _reach(x, width, taps, shift)
            for c in range(z0, z1):
                for b in range(y0, y1):
                    for a in range(x0, x1):
                        good &= valid[n, c, b, a]
        out[n, k, j, i] = good


support = Kernel("support", _rows, _threads)
