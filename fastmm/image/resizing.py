"""Resize images and volumes by interpolation on their pixel grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, real, sizes
from fastmm._interp import Method, canonical, check_method, resize_into
from fastmm._lazy import streamed
from fastmm._space import enter_one
from fastmm.image.ragged import is_list_of_images, resize_list

__all__ = ["resize"]


@streamed("shape")
def resize(
    images: Any,
    shape: Sequence[int],
    *,
    interpolation: str = "linear",
    antialias: bool = False,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Resize images to `shape` by interpolation between pixel centres.

    Output pixel :math:`i` of an axis that goes from :math:`m` to :math:`n` pixels lies at
    the input coordinate :math:`c = (i + 1/2)\, m / n - 1/2` and takes
    :math:`\sum_j w(c - j)\, x_j`, along each axis in turn, with

    - ``"nearest"``: the pixel :math:`\lfloor c + 1/2 \rfloor`;
    - ``"linear"``: :math:`w(t) = \max(0, 1 - |t|)`, the image continued by its border pixels;
    - ``"cubic"``: Keys' kernel with :math:`a = -3/4`, continued likewise;
    - ``"area"``: the share of pixel :math:`j` in :math:`[i\, m / n, (i + 1)\, m / n)`.

    Parameters
    ----------
    images : array of shape (..., h, w) or (..., d, h, w), or list of such arrays
        One image, a stack, or anything above; every axis before the spatial ones is a
        batch axis, colour channels too. NumPy, CuPy, or any DLPack array; arrays on disk
        that are read by slices (memory-mapped, zarr, h5py); dask arrays. The arrays of a
        list or tuple, each of at least ``len(shape)`` axes, may differ in their spatial
        sizes, but not in dtype, device or batch axes.
    shape : sequence of 2 or 3 ints
        New size, (height, width) or (depth, height, width), in pixels. This is NumPy's
        order, **not** OpenCV's (width, height). Its length says how many axes are spatial.
    interpolation : {"nearest", "linear", "cubic", "area"}, default "linear"
        How values between pixel centres are found. "nearest" is for masks and labels.
    antialias : bool, default False
        Widen the filter by m / n along axes that shrink, so that every input pixel counts,
        with :math:`a = -1/2` for "cubic"; pixels outside the image do not count then. For
        "linear" and "cubic" only: "area" has no aliasing to speak of, and "nearest" nothing
        to widen.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": images
        go through in chunks that fit. The result counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype.

    Returns
    -------
    array of shape (..., \*shape), or (len(images), ..., \*shape) for a list
        float32, or float64 where `images` is float64 or has integers over 16 bits; for
        "nearest", which does no arithmetic, the dtype of `images`, so that labels stay
        labels. On the device, and of the library, that `images` (its first array) came from.

    Raises
    ------
    ValueError
        If `shape`, `interpolation` or `antialias` is no allowed value, `images` is empty
        along a spatial axis or has too few axes, or batch axes differ within a list.
    TypeError
        If `images` is no array of real numbers, or dtypes or devices differ within a list.

    Notes
    -----
    Equal to 2e-6 of the largest value, on float32: "linear" and "cubic" to
    ``cv2.resize`` and, up to its own float32 coordinates (1e-4), to
    ``torch.nn.functional.interpolate(align_corners=False)``; with `antialias` to torch's
    ``antialias=True``; "area" to ``cv2.INTER_AREA`` where no axis grows. "nearest" is
    torch's "nearest-exact" and ``cv2.INTER_NEAREST_EXACT`` (not ``INTER_NEAREST``), with
    centres on the border of two pixels going to the second one.

    "cubic" overshoots at edges: results may lie outside the range of the input. A constant
    stays constant to the last bit. NaN and infinity spread to the outputs that touch them;
    a size that does not change leaves every value as it is. Each needed input row is read
    once and nothing but the result is allocated; on a GPU, where one output has over 64
    taps, the axes are resized one after the other through intermediates. Arrays that are
    not C-contiguous are copied. A list is resized in one launch, where it lies.

    References
    ----------
    R. Keys, "Cubic convolution interpolation for digital image processing", IEEE
    Transactions on Acoustics, Speech, and Signal Processing 29(6), 1981,
    doi:10.1109/TASSP.1981.1163711.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import resize
    >>> resize(np.array([[0.0, 1.0], [2.0, 3.0]], dtype="float32"), (1, 2))
    array([[1., 2.]], dtype=float32)
    >>> resize([np.zeros((4, 6)), np.ones((9, 5))], (3, 3), interpolation="area").shape
    (2, 3, 3)
    """
    shape = sizes(shape, "shape", lengths=(2, 3))
    antialias = check_method(interpolation, antialias).antialias
    spatial = len(shape)
    if is_list_of_images(images, spatial):
        return resize_list(images, shape, Method(interpolation, antialias))
    space, images, leave = enter_one(images, "images")
    real(images, "images")
    before = images.shape
    if len(before) < spatial or 0 in before[-spatial:]:
        raise ValueError(
            f"`images` must have at least {spatial} axes for `shape` {shape}, the last "
            f"{spatial} of them not empty, got shape {tuple(before)}."
        )
    dtype, given = images.dtype, images.dtype
    if interpolation != "nearest":
        dtype = dtype_of_result(given)
    if tuple(before[-spatial:]) == shape:
        return leave(space.xp.array(images, dtype=dtype, order="C"))
    if given != dtype and given in (np.float16, np.bool_):  # no arithmetic in kernels on these
        images = images.astype(dtype)
    src = canonical(images, spatial)
    out = space.empty((src.shape[0], *(1,) * (3 - spatial), *shape), dtype)
    resize_into(space, src, out, None, interpolation, antialias)
    return leave(out.reshape((*before[:-spatial], *shape)))
