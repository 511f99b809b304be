"""Read stored pixels from files and resize them, one file after the other, in the cache.

Host only. One call takes some images of one layout through all of it without Python, so
that several threads keep several cores busy.
"""

import numpy as np

from ._files import read_at
from ._jit import HostKernel, scalar
from .resizing import _rows
from .stored import _unpack

__all__ = ["fetch", "load"]

_resize = scalar(_rows)
_put_right = scalar(_unpack)


@scalar
def _read(path, offset, image, bits, largest):
    """Read one image of shape (1, pixels) and put its pixels right; say whether it went."""
    size = image.size * image.itemsize
    if read_at(path, offset, image.ctypes.data, size) < size:
        return False
    up, down, padding, low, high, extended = bits
    return _put_right(image, up, down, padding != 0, low, high, extended != 0, largest) < 0


def _fetch(paths, starts, offsets, bits, slope, out, done):
    """Read each image into its row of `out` (images, pixels); `done` says which went.

    `paths` holds the names of the files, each with a zero at its end, from `starts` on;
    `bits` are numbers that `unpack` takes; padding is filled with the value that is the
    lowest after the rescale by `slope`.
    """
    for i in range(offsets.size):
        name = paths.ctypes.data + starts[i]
        done[i] = _read(name, offsets[i], out[i : i + 1], bits, slope[i] < 0)


def _load(paths, starts, offsets, bits, like, height, width, out, slope, intercept, limits,
          y0, y1, wy, x0, x1, wx, done):  # fmt: skip
    """Read each image, as `fetch` does, and resize it into its row of `out`.

    `like` is an array of the type of the pixels; rows that are not done stay as they are.
    """
    pixels = np.empty((1, height * width), like.dtype)
    source = pixels.reshape(1, 1, height, width)
    z, wz = np.zeros(1, y0.dtype), np.zeros(1, wy.dtype)
    for i in range(offsets.size):
        name = paths.ctypes.data + starts[i]
        done[i] = _read(name, offsets[i], pixels, bits, slope[i] < 0)
        if done[i]:
            j = i + 1
            _resize(source, out[i:j], slope[i:j], intercept[i:j], limits,
                    z, z, wz, y0, y1, wy, x0, x1, wx)  # fmt: skip


fetch = HostKernel("fetch", _fetch)
load = HostKernel("load", _load)
