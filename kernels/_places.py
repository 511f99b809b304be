"""Scalar helpers for places in a volume, as 64-bit fixed-point numbers of voxels.

A place is a whole number of voxels, 0 at the centre of the first, times 2^shift. Integers
step along a row without error, give the CPU and the GPU the same neighbours, and keep
doubles out of float32 kernels.
"""

from ._jit import scalar

__all__ = [
    "between",
    "clamped",
    "cubic_weights",
    "neighbour",
    "neighbours",
    "place_of",
    "run_inside",
    "voxel_of",
]


@scalar
def voxel_of(element, depth, height, width):
    """Return the indices (n, k, j, i) of an element of a (batch, z, y, x) array."""
    plane = width * height
    volume = plane * depth
    return element // volume, element // plane % depth, element // width % height, element % width


@scalar
def place_of(k, j, i, along_z, along_y, along_x, start):
    """Return the place of voxel (k, j, i), whose steps are those along z, y and x."""
    return along_z * k + along_y * j + along_x * i + start


@scalar
def neighbour(place, shift):
    """Return the voxel that owns a place: [i - 1/2, i + 1/2), both ends 2^-30 lower."""
    # The sliver keeps rounding from deciding ties, which grids that share a corner have.
    return (place + (1 << (shift - 1)) + (1 << (shift - 30))) >> shift


@scalar
def run_inside(start, step, size, shift, begin, end):
    """Return the run of i in [begin, end) whose places start + step * i voxels own."""
    start += (1 << (shift - 1)) + (1 << (shift - 30))
    last = end
    beyond = start - (size << shift)
    if step > 0:
        begin = max(begin, -(start // step))
        end = min(end, -(beyond // step))
    elif step < 0:
        begin = max(begin, beyond // -step + 1)
        end = min(end, start // -step + 1)
    elif start < 0 or beyond >= 0:
        end = begin
    return min(begin, last), max(min(begin, last), end)


@scalar
def clamped(place, size, shift):
    """Return a place moved to the nearest voxel centre if it lies beyond the outermost."""
    return min(max(place, 0), (size - 1) << shift)


@scalar
def between(place, shift, unit):
    """Return how far a place is past the voxel centre before it; `unit` is 2^-shift."""
    kind = type(unit)
    return kind(place & ((1 << shift) - 1)) * unit


@scalar
def neighbours(place, size, shift, unit):
    """Return the two voxels about a place, and the weight of the second.

    A second of weight 0 may lie outside, or hold NaN: the first stands in for it.
    """
    place = clamped(place, size, shift)
    weight = between(place, shift, unit)
    first = place >> shift
    return first, first + (1 if weight > 0 else 0), weight


@scalar
def cubic_weights(w):
    """Return the four weights of Keys' cubic with a = -3/4, at distance w in [0, 1]."""
    kind = type(w)
    a, one = kind(-0.75), kind(1)
    v = one - w
    before = a * w * v * v
    after = a * v * w * w
    first = ((a + kind(2)) * w - (a + kind(3))) * w * w + one
    # What is left, so that the weights of a constant add up to one.
    return before, first, one - before - first - after, after
