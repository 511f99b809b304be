"""Read stored pixels from files and rescale them to values, one file after the other.

Host only. Padding is marked, and the lowest value beside it is found on the way.
"""

import numpy as np

from ._files import read_at
from ._jit import HostKernel
from .stored import _extend, _largest, _lowest, _mark

__all__ = ["read"]


def _read(paths, starts, offsets, bits, like, slope, intercept, out, valid, lowest, done):
    """Fill each row of `out` (images, pixels) with float64 stored * slope + intercept.

    `paths` holds the names of the files, each with a zero at its end, from `starts` on;
    `like` is an array of the type of the pixels; `bits` are numbers that `unpack` takes.
    With padding, `valid` (as `out`) is 1 where there is none, and `lowest` of each image is
    its lowest value there, infinite where it has none.
    """
    pixels = np.empty(out.shape[1], like.dtype)
    kind = pixels.dtype.type
    up, down, padding, low, high, extended = bits
    for n in range(offsets.size):
        name = paths.ctypes.data + starts[n]
        size = pixels.size * pixels.itemsize
        if read_at(name, offsets[n], pixels.ctypes.data, size) < size:
            continue
        count = np.int64(0)
        if padding != 0 and extended == 0:
            count = _mark(pixels, kind(low), kind(high), valid[n])
        if up != 0 or down != 0:
            _extend(pixels, up, down)
        if padding != 0 and extended != 0:
            count = _mark(pixels, kind(low), kind(high), valid[n])
        a, b, row = slope[n], intercept[n], out[n]
        for i in range(pixels.size):
            row[i] = pixels[i] * a + b
        lowest[n] = np.inf
        if count > 0:
            first = 0
            while valid[n, first] == 0:
                first += 1
            start = pixels[first]
            if a < 0:
                lowest[n] = _largest(pixels, valid[n], start) * a + b
            else:
                lowest[n] = _lowest(pixels, valid[n], start) * a + b
        done[n] = True


# Not contracted: a product that is not rounded would differ from NumPy's by a bit.
read = HostKernel("read", _read, contract=False)
