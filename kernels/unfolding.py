"""Copy patches of images into rows, the contrast of each normalised.

(x - mean) gain / sqrt(variance + floor), the mean and variance those of the patch or, with
several parts, of each channel of it. Differences to the first pixel come first, so that a
large mean costs nothing; those whose squares overflow are made smaller.
"""

import math

from ._jit import Kernel, cuda, prange, scalar

__all__ = ["unfold"]

_LARGE, _SMALLER = 1e30, 2.0**-80


@scalar
def _copy(src, first, offsets, out, begin, size, at, gain):
    """Write the differences to the first pixel, times gain, and return their sum."""
    kind = out.dtype.type
    origin = src[first + offsets[at]] * gain
    # Four sums, since each addition waits for the one before.
    a, b, c, d = kind(0), kind(0), kind(0), kind(0)
    whole = size // 4 * 4
    for i in range(0, whole, 4):
        p = kind(src[first + offsets[at + i]] * gain - origin)
        q = kind(src[first + offsets[at + i + 1]] * gain - origin)
        r = kind(src[first + offsets[at + i + 2]] * gain - origin)
        s = kind(src[first + offsets[at + i + 3]] * gain - origin)
        out[begin + i], out[begin + i + 1], out[begin + i + 2], out[begin + i + 3] = p, q, r, s
        a, b, c, d = a + p, b + q, c + r, d + s
    for i in range(whole, size):
        p = kind(src[first + offsets[at + i]] * gain - origin)
        out[begin + i] = p
        a += p
    return (a + b) + (c + d)


@scalar
def _squares(out, begin, size, mean):
    """Take the mean off, and return the sum of squares."""
    kind = out.dtype.type
    a, b, c, d = kind(0), kind(0), kind(0), kind(0)
    whole = begin + size // 4 * 4
    for i in range(begin, whole, 4):
        p, q, r, s = out[i] - mean, out[i + 1] - mean, out[i + 2] - mean, out[i + 3] - mean
        out[i], out[i + 1], out[i + 2], out[i + 3] = p, q, r, s
        a, b, c, d = a + p * p, b + q * q, c + r * r, d + s * s
    for i in range(whole, begin + size):
        p = out[i] - mean
        out[i] = p
        a += p * p
    return (a + b) + (c + d)


def _rows(src, starts, offsets, gain, floors, out):
    # src: all images, flat; starts: where the patches of an image begin, -1 for none;
    # offsets: how far the pixels of a patch lie from its first.
    kind = out.dtype.type
    n, size = starts.size, offsets.size // floors.size
    each = src.size // (out.shape[0] // n)
    zero, count, smaller = kind(0), kind(size), src.dtype.type(_SMALLER) * gain[0]
    target = out.reshape(-1)
    for row in prange(out.shape[0]):
        start, begin = starts[row % n], row * offsets.size
        if start < 0:
            for i in range(begin, begin + offsets.size):
                target[i] = zero
            continue
        first = row // n * each + start
        for at in range(0, offsets.size, size):
            here, floor = begin + at, floors[at // size]
            total = _copy(src, first, offsets, target, here, size, at, gain[0])
            variance = _squares(target, here, size, total / count) / count
            if not variance < kind(_LARGE):
                total = _copy(src, first, offsets, target, here, size, at, smaller)
                variance, floor = _squares(target, here, size, total / count) / count, zero
            variance += floor
            scale = kind(1) / math.sqrt(variance) if variance > zero else zero
            for i in range(here, here + size):
                target[i] *= scale


def _threads(work, src, starts, offsets, gain, floors, out):
    kind = out.dtype.type
    n, size = starts.size, offsets.size // floors.size
    each = src.size // (out.shape[0] // n)
    zero, count = kind(0), kind(size)
    for row in range(cuda.grid(1), work, cuda.gridsize(1)):
        start = starts[row % n]
        if start < 0:
            for i in range(offsets.size):
                out[row, i] = zero
            continue
        first = row // n * each + start
        for at in range(0, offsets.size, size):
            floor, by, again = floors[at // size], gain[0], True
            while again:
                origin, total, variance = src[first + offsets[at]] * by, zero, zero
                for i in range(at, at + size):
                    total += kind(src[first + offsets[i]] * by - origin)
                mean = total / count
                for i in range(at, at + size):
                    distance = kind(src[first + offsets[i]] * by - origin) - mean
                    out[row, i] = distance
                    variance += distance * distance
                variance /= count
                again = by == gain[0] and not variance < kind(_LARGE)
                if again:
                    by, floor = src.dtype.type(_SMALLER) * by, zero
            variance += floor
            scale = kind(1) / math.sqrt(variance) if variance > zero else zero
            for i in range(at, at + size):
                out[row, i] *= scale


unfold = Kernel("unfold", _rows, _threads)
