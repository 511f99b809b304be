"""Resize images and volumes by interpolation on their pixel grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, one_of, real, sizes
from fastmm._interp import canonical, resize_linear
from fastmm._space import enter

__all__ = ["resize"]


def resize(
    images: Any,
    shape: Sequence[int],
    *,
    interpolation: str = "linear",
    antialias: bool = False,
) -> Any:
    r"""Resize images to `shape` by interpolation between pixel centres.

    Output pixel :math:`i` of an axis that goes from :math:`m` to :math:`n` pixels lies at
    the input coordinate :math:`c = (i + 1/2)\, m / n - 1/2`, clipped to the image, and
    takes :math:`(1 - w)\, x_{\lfloor c \rfloor} + w\, x_{\lfloor c \rfloor + 1}` with
    :math:`w = c - \lfloor c \rfloor`, along each axis in turn.

    Parameters
    ----------
    images : array of shape (..., h, w) or (..., d, h, w)
        One image, a stack, or anything above; every axis before the spatial ones is a
        batch axis, colour channels too. NumPy, CuPy, or any DLPack array.
    shape : sequence of 2 or 3 ints
        New size, (height, width) or (depth, height, width), in pixels. This is NumPy's
        order, **not** OpenCV's (width, height). Its length says how many axes are spatial.
    interpolation : {"linear"}, default "linear"
        How values between pixel centres are found.
    antialias : bool, default False
        Only False is offered: every output depends on its nearest neighbours alone.

    Returns
    -------
    array of shape (..., \*shape)
        float32, or float64 where `images` is float64 or has integers over 16 bits; on the
        device, and of the library, that `images` came from.

    Raises
    ------
    ValueError
        If `shape` or `interpolation` is no allowed value, or `images` is empty along a
        spatial axis or has too few axes.
    TypeError
        If `images` is no array of real numbers.

    Notes
    -----
    Equals ``cv2.resize(..., interpolation=cv2.INTER_LINEAR)`` on float32 to 2e-6 of the
    largest value. NaN and infinity spread to the outputs that touch them; a size that
    does not change leaves every value as it is. One pass: each needed input row is read
    once, nothing but the result is allocated. Arrays that are not C-contiguous are copied.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import resize
    >>> resize(np.array([[0.0, 1.0], [2.0, 3.0]], dtype="float32"), (1, 2))
    array([[1., 2.]], dtype=float32)
    """
    shape = sizes(shape, "shape", lengths=(2, 3))
    one_of(interpolation, "interpolation", ("linear",))
    if antialias:
        raise ValueError("`antialias` must be False, got True.")
    space, (images,), leave = enter(images=images)
    real(images, "images")
    spatial = len(shape)
    if images.ndim < spatial or 0 in images.shape[-spatial:]:
        raise ValueError(
            f"`images` must have at least {spatial} axes for `shape` {shape}, the last "
            f"{spatial} of them not empty, got shape {tuple(images.shape)}."
        )
    dtype, batch = dtype_of_result(images.dtype), tuple(images.shape[:-spatial])
    if tuple(images.shape[-spatial:]) == shape:
        return leave(space.xp.array(images, dtype=dtype, order="C"))
    if images.dtype in (np.float16, np.bool_):  # no arithmetic in kernels on these
        images = images.astype(dtype)
    src = canonical(images, spatial)
    out = space.xp.empty((src.shape[0], *(1,) * (3 - spatial), *shape), dtype)
    resize_linear(space, src, out)
    return leave(out.reshape((*batch, *shape)))
