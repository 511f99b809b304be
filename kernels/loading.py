"""Read stored pixels from files and resize them, one file after the other, in the cache.

Host only. One call takes some images through all of it without Python, so that several
threads keep several cores busy.
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
    padding, extended = bits[2] != 0, bits[5] != 0
    return _put_right(image, bits[0], bits[1], padding, bits[3], bits[4], extended, largest) < 0


def _fetch(paths, starts, offsets, bits, slope, out, done):
    """Read each image into its row of `out` (images, pixels); `done` says which went.

    `paths` holds the names of the files, each with a zero at its end, from `starts` on;
    `bits` are numbers that `unpack` takes; padding is filled with the value that is the
    lowest after the rescale by `slope`.
    """
    for i in range(offsets.size):
        name = paths.ctypes.data + starts[i]
        done[i] = _read(name, offsets[i], out[i : i + 1], bits, slope[i] < 0)


def _load(paths, starts, offsets, like, layouts, which, rows, out, maps, near, weights, done):
    """Read each image, as `fetch` does, and resize it into its one of the `rows` of `out`.

    `like` is an array of the type of the pixels. `layouts` (layouts, 8) are the height, the
    width and the bits of images, and `which` of them each image has; `near` and `weights`, as
    in `resizing`, have a row for each. Rows that are not done stay as they are.
    """
    most = 0
    for k in range(layouts.shape[0]):
        most = max(most, layouts[k, 0] * layouts[k, 1])
    buffer = np.empty(most, like.dtype)
    for i in range(offsets.size):
        name, k = paths.ctypes.data + starts[i], which[i]
        height, width = layouts[k, 0], layouts[k, 1]
        pixels = buffer[: height * width].reshape(1, height * width)
        done[i] = _read(name, offsets[i], pixels, layouts[k, 2:], maps[i, 0] < 0)
        if done[i]:
            source, target = pixels.reshape(1, 1, height, width), out[rows[i] : rows[i] + 1]
            _resize(source, target, maps[i : i + 1], near[k], weights[k])


fetch = HostKernel("fetch", _fetch)
load = HostKernel("load", _load)
