"""Resize by the nearest pixel: values move as they are, whatever they mean.

`images` is as in `weighing`; `z`, `y` and `x` name the input of each output.
"""

from ._jit import Kernel, cuda, prange

__all__ = ["pick"]


def _rows(src, out, images, z, y, x):
    depth, height, width = out.shape[1:]
    for task in prange(out.shape[0] * depth * height):
        n = task // (depth * height)
        k = task // height % depth
        j = task % height
        start = (z[images[n, 4] + k] * images[n, 2] + y[images[n, 5] + j]) * images[n, 3]
        start += images[n, 0]
        source, target = src[start : start + images[n, 3]], out[n, k, j]
        columns = x[images[n, 6] : images[n, 6] + width]
        for i in range(width):
            target[i] = source[columns[i]]


def _threads(work, src, out, images, z, y, x):
    depth, height, width = out.shape[1:]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        i = element % width
        j = element // width % height
        k = element // (width * height) % depth
        n = element // (width * height * depth)
        row = z[images[n, 4] + k] * images[n, 2] + y[images[n, 5] + j]
        out[n, k, j, i] = src[images[n, 0] + row * images[n, 3] + x[images[n, 6] + i]]


pick = Kernel("pick", _rows, _threads)
