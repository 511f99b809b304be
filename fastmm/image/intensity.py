"""Bring intensities to a common range: DICOM's window, and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, number, one_of, real
from fastmm._space import enter

__all__ = ["normalize", "window"]


def window(images: Any, center: float, width: float) -> Any:
    r"""Map the window of intensities around `center` to [0, 1] and clip the rest.

    .. math:: y = \mathrm{clip}\left(\frac{x - (c - w/2)}{w},\; 0,\; 1\right)

    Parameters
    ----------
    images : array of any shape
        Intensities, HU for CT. NumPy, CuPy, or any DLPack array.
    center, width : float
        Window in the unit of `images`; `width` is at least 1, as DICOM requires.
        Lung: -600 and 1500; soft tissue: 40 and 400; bone: 400 and 1800 (HU).

    Returns
    -------
    array of the shape of `images`
        float32, or float64 where `images` is float64 or has integers over 16 bits; on the
        device, and of the library, that `images` came from. NaN stays NaN.

    Raises
    ------
    ValueError
        If `width` is below 1 or a value is not finite.

    References
    ----------
    DICOM PS3.3, C.11.2.1.3.2, VOI LUT function LINEAR_EXACT.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import window
    >>> window(np.array([-1000, 40, 140, 3000], dtype="int16"), center=40, width=400)
    array([0.  , 0.5 , 0.75, 1.  ], dtype=float32)
    """
    center = number(center, "center")
    width = number(width, "width", minimum=1)
    space, (images,), leave = enter(images=images)
    real(images, "images")
    dtype = dtype_of_result(images.dtype)
    # Subtracting first keeps narrow windows far from zero exact.
    out = images.astype(dtype) - dtype.type(center - width / 2)
    out *= dtype.type(1 / width)
    return leave(space.xp.clip(out, 0, 1, out=out))


def normalize(images: Any, method: str = "zscore", *, mask: Any = None) -> Any:
    r"""Bring each image to a common location and scale.

    ``"zscore"`` gives :math:`(x - \mu) / \sigma` with the mean and the standard deviation
    (of the population) of the image; ``"minmax"`` gives
    :math:`(x - \min) / (\max - \min)`.

    Parameters
    ----------
    images : array of shape (..., h, w)
        One image or a stack; each (h, w) image is normalised by itself. NumPy, CuPy, or
        any DLPack array.
    method : {"zscore", "minmax"}, default "zscore"
        What to bring to zero and one.
    mask : bool array that broadcasts to `images`, optional
        Pixels that count for the statistics (padding and background left out). All pixels
        are mapped. An image without any such pixel becomes 0.

    Returns
    -------
    array of the shape of `images`
        float32, or float64 where `images` is float64 or has integers over 16 bits; on the
        device, and of the library, that `images` came from. A constant image becomes 0.

    Raises
    ------
    ValueError
        If `method` is unknown, or `images` has fewer than two axes.

    Notes
    -----
    Statistics are accumulated in float64. An image with NaN becomes NaN as a whole.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import normalize
    >>> normalize(np.array([[0.0, 1.0], [2.0, 3.0]]), "minmax").round(2)
    array([[0.  , 0.33],
           [0.67, 1.  ]])
    """
    one_of(method, "method", ("zscore", "minmax"))
    space, (images, mask), leave = enter(images=images, mask=mask)
    real(images, "images")
    if images.ndim < 2:
        raise ValueError(f"`images` must have at least 2 axes, got shape {tuple(images.shape)}.")
    xp, dtype = space.xp, dtype_of_result(images.dtype)
    values = images.astype(dtype)
    inside = True if mask is None else xp.broadcast_to(mask.astype(bool), values.shape)
    shift, scale = (_zscore if method == "zscore" else _minmax)(xp, values, inside)
    constant = scale == 0
    scale = xp.where(constant, 1, scale)
    out = (values - shift) / scale
    if bool(constant.any()):
        out = xp.where(constant, xp.zeros((), dtype), out)
    return leave(out.astype(dtype, copy=False))


def _zscore(xp: Any, values: Any, inside: Any) -> tuple[Any, Any]:
    wide = {"axis": (-2, -1), "keepdims": True, "dtype": np.float64}
    if inside is True:
        mean, std = values.mean(**wide), values.std(**wide)
    else:
        count = xp.maximum(inside.sum(**wide), 1)
        mean = xp.where(inside, values, 0).sum(**wide) / count
        std = xp.sqrt(xp.where(inside, (values - mean) ** 2, 0).sum(**wide) / count)
    # Rounding leaves a constant image with a spread of about epsilon times its value.
    noise = np.finfo(values.dtype).eps * xp.abs(mean)
    return mean.astype(values.dtype), xp.where(std <= noise, 0, std).astype(values.dtype)


def _minmax(xp: Any, values: Any, inside: Any) -> tuple[Any, Any]:
    axes = {"axis": (-2, -1), "keepdims": True}
    if inside is True:
        low, high = values.min(**axes), values.max(**axes)
    else:
        low = xp.where(inside, values, np.inf).min(**axes)
        high = xp.where(inside, values, -np.inf).max(**axes)
        empty = ~inside.any(**axes)
        low, high = xp.where(empty, 0, low), xp.where(empty, 0, high)
    return low.astype(values.dtype), (high - low).astype(values.dtype)
