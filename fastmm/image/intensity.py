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
    out = images.astype(dtype)
    out -= dtype.type(center - width / 2)
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
        If `method` is unknown, `images` has fewer than two axes or none of them holds
        pixels, or `mask` does not broadcast.

    Notes
    -----
    Statistics are accumulated in float64, and the mean is taken off in two parts, so that
    float32 loses nothing to a large mean. An image with NaN or infinity among the pixels
    that count becomes NaN as a whole.

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
    if 0 in images.shape[-2:]:
        raise ValueError(f"`images` must hold pixels, got shape {tuple(images.shape)}.")
    xp, dtype = space.xp, dtype_of_result(images.dtype)
    values = images.astype(dtype)
    inside = _inside(xp, mask, values.shape)
    with np.errstate(invalid="ignore", over="ignore"):  # infinities make an image NaN
        low, high = _range(xp, values, inside)
        if method == "zscore":
            location, scale = _moments(xp, values, inside)
        else:
            location, scale = low, high - low
        # Rounding leaves a constant image with a spread; its range is exactly 0.
        constant = high - low == 0
        scale = xp.where(constant, 1, xp.where(xp.isfinite(scale), scale, np.nan)).astype(dtype)
        origin = location.astype(dtype)
        out = ((values - origin) - (location - origin).astype(dtype)) / scale
    if bool(constant.any()):
        out = xp.where(constant, xp.zeros((), dtype), out)
    return leave(out)


def _inside(xp: Any, mask: Any, shape: tuple[int, ...]) -> Any:
    if mask is None:
        return True
    try:
        return xp.broadcast_to(mask.astype(bool), shape)
    except ValueError:
        raise ValueError(
            f"`mask` must broadcast to `images`, got shapes {tuple(mask.shape)} and {tuple(shape)}."
        ) from None


def _moments(xp: Any, values: Any, inside: Any) -> tuple[Any, Any]:
    wide = {"axis": (-2, -1), "keepdims": True, "dtype": np.float64}
    if inside is True:
        return values.mean(**wide), values.std(**wide)
    count = xp.maximum(inside.sum(**wide), 1)
    mean = xp.where(inside, values, 0).sum(**wide) / count
    spread = xp.where(inside, values - mean, 0)
    return mean, xp.sqrt((spread * spread).sum(**wide) / count)


def _range(xp: Any, values: Any, inside: Any) -> tuple[Any, Any]:
    axes = {"axis": (-2, -1), "keepdims": True}
    if inside is True:
        return values.min(**axes), values.max(**axes)
    low = xp.where(inside, values, np.inf).min(**axes)
    high = xp.where(inside, values, -np.inf).max(**axes)
    empty = ~inside.any(**axes)
    return xp.where(empty, 0, low), xp.where(empty, 0, high)
