"""From YBR_FULL and YBR_FULL_422 to RGB, by the equations of ITU-R BT.601 in full range."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["unpack_422", "ybr_to_rgb"]

_RED_CR, _GREEN_CB, _GREEN_CR, _BLUE_CB = 1.402, 0.114 * 1.772 / 0.587, 0.299 * 1.402 / 0.587, 1.772
_CHUNK = 1 << 18  # pixels, so that no float image of a whole file exists


def ybr_to_rgb(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """Convert luminance and colour differences to red, green and blue.

    With c = 2^(bits - 1)::

        R = Y                    + 1.402 (Cr - c)
        G = Y - 0.3441 (Cb - c) - 0.7141 (Cr - c)
        B = Y + 1.772 (Cb - c)

    Parameters
    ----------
    samples : ndarray of shape (..., 3), unsigned integers
        Y, Cb and Cr.
    bits : int
        Significant bits of each.

    Returns
    -------
    ndarray of the same shape and dtype
        Rounded to the nearest integer (halves up) and cut to the range of `bits`.

    References
    ----------
    DICOM PS3.3, C.7.6.3.1.2, Photometric Interpretation.

    Examples
    --------
    >>> ybr_to_rgb(np.array([76, 85, 255], np.uint8), 8).tolist()
    [254, 0, 0]
    """
    out = np.empty_like(samples, order="C")
    flat, target = samples.reshape(-1, 3), out.reshape(-1, 3)
    for start in range(0, len(flat), _CHUNK):
        part = slice(start, start + _CHUNK)
        y, cb, cr = flat[part].astype(np.float64).T
        cb -= 1 << (bits - 1)
        cr -= 1 << (bits - 1)
        rgb = (y + _RED_CR * cr, y - _GREEN_CB * cb - _GREEN_CR * cr, y + _BLUE_CB * cb)
        for i, colour in enumerate(rgb):
            np.floor(colour + 0.5, out=colour)
            target[part, i] = colour.clip(0, (1 << bits) - 1)
    return out


def unpack_422(packed: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Give each pixel of uncompressed YBR_FULL_422 its colour differences.

    Parameters
    ----------
    packed : ndarray of shape (frames * rows * columns * 2,)
        Y1 Y2 Cb Cr for each two pixels of a row.
    rows, columns : int
        Of the image; the columns are even.

    Returns
    -------
    ndarray of shape (frames, rows, columns, 3), same dtype
        Y, Cb and Cr of each pixel; the differences are those of the pair.

    Examples
    --------
    >>> unpack_422(np.array([1, 2, 3, 4], np.uint8), 1, 2).tolist()
    [[[[1, 3, 4], [2, 3, 4]]]]
    """
    pairs = packed.reshape(-1, 4)
    out = np.empty((len(pairs), 2, 3), packed.dtype)
    out[:, :, 0] = pairs[:, :2]
    out[:, :, 1:] = pairs[:, None, 2:]
    return out.reshape(-1, rows, columns, 3)
