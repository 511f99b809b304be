"""Turn the containers of stored pixels into values, in place and while they are in the cache.

Host only: it follows the read of a file, on the thread that read it.
"""

import numpy as np

from ._jit import HostKernel, scalar

__all__ = ["unpack"]


@scalar
def _extend(row, up, down):
    kind = row.dtype.type
    for i in range(row.size):
        row[i] = kind(kind(row[i] << up) >> down)


@scalar
def _mark(row, first, last, mask):
    """Set `mask` to 1 where a pixel is no padding; return how many are none."""
    count = np.int64(0)
    for i in range(row.size):
        mask[i] = (row[i] < first) | (row[i] > last)
    for i in range(row.size):
        count += mask[i]
    return count


@scalar
def _lowest(row, mask, start):
    # Without a branch: LLVM turns it into vector instructions.
    kind = row.dtype.type
    lowest = start
    for i in range(row.size):
        value = kind(row[i] if mask[i] else start)
        lowest = value if value < lowest else lowest
    return lowest


@scalar
def _largest(row, mask, start):
    kind = row.dtype.type
    largest = start
    for i in range(row.size):
        value = kind(row[i] if mask[i] else start)
        largest = value if value > largest else largest
    return largest


def _unpack(images, up, down, padding, low, high, extended, largest):
    """Shift `images` (frames, pixels) up and down again; fill what lies in low..high.

    Shifting up drops what lies above HighBit, shifting down what lies below the stored
    bits; for signed types it extends the sign. With `padding`, values in low..high (of the
    `extended` pixels, else of the containers) become the lowest other value of their
    image, or the largest. Returns the number of the first image that has no other, or -1.
    """
    kind = images.dtype.type
    shifted = up != 0 or down != 0
    mask = np.empty(images.shape[1] if padding else 0, np.uint8)
    for n in range(images.shape[0]):
        row = images[n]
        if shifted and (extended or not padding):
            _extend(row, up, down)
        if not padding:
            continue
        count = _mark(row, kind(low), kind(high), mask)
        if count == 0:
            return n
        if shifted and not extended:
            _extend(row, up, down)
        if count == row.size:
            continue
        some = 0
        while not mask[some]:
            some += 1
        start = row[some]
        fill = _largest(row, mask, start) if largest else _lowest(row, mask, start)
        for i in range(row.size):
            row[i] = row[i] if mask[i] else fill
    return -1


unpack = HostKernel("unpack", _unpack)
