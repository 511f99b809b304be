"""Cut images and volumes into patches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fastmm._check import one_of, real
from fastmm._interp import canonical
from fastmm._lazy import streamed
from fastmm._space import Space, enter_one
from fastmm.image.grid import BORDERS, PatchGrid, patch_grid

__all__ = ["extract_into", "extract_patches"]


@streamed("patch_size")
def extract_patches(
    images: Any,
    patch_size: Sequence[int],
    *,
    step: int | Sequence[int] = 1,
    pad: int | str | Sequence[Any] = 0,
    pad_mode: str = "edge",
    pad_value: float = 0,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Cut every image into all its patches, `step` pixels apart.

    Patch :math:`g` of an axis holds the pixels :math:`g s - b, \dots, g s - b + p - 1` for
    patch size :math:`p`, step :math:`s` and :math:`b` pixels of padding before the axis. An
    axis of :math:`m` pixels, padding included, has :math:`\lfloor (m - p) / s \rfloor + 1`
    of them, and pixels that fill no patch are left out.

    Parameters
    ----------
    images : array of shape (..., \*spatial)
        One image, a stack, or anything above. NumPy, CuPy, or any DLPack array.
    patch_size : sequence of 1 to 3 ints
        Size of a patch in pixels, (height, width) for images. Its length says how many
        trailing axes of `images` are spatial; all axes before are batch axes.
    step : int or sequence of ints, default 1
        Distance between neighbouring patches in pixels, for all axes or for each.
    pad : int, sequence, or "cover", default 0
        Pixels to add on both sides of all axes, or for each axis a number or a pair
        (before, after). ``"cover"`` adds the fewest with which no pixel is left out at the
        end of an axis, half of them (rounded down) before it.
    pad_mode : {"edge", "reflect", "constant"}, default "edge"
        What added pixels hold: the nearest pixel, the image mirrored about the centre of
        its last pixel (again and again if need be), or `pad_value`.
    pad_value : float, default 0
        Value of added pixels under ``"constant"``; -1000 is air on CT.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": images
        go through in chunks that fit. The result counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which images on disk go up in chunks.

    Returns
    -------
    array of shape (..., \*grid, \*patch_size)
        A copy with the dtype of `images`, on the device and of the library it came from.

    Raises
    ------
    ValueError
        If a patch is larger than the padded image, `step` is not positive, or `pad_value`
        is no value of the images' dtype.
    TypeError
        If `images` is no array of real numbers.

    See Also
    --------
    fastmm.merge_patches : The inverse.
    fastmm.sample_patches : Some patches, drawn at random.
    fastmm.patch_statistics : Statistics of patches that are never made.

    Notes
    -----
    Equals ``sklearn.feature_extraction.image.extract_patches_2d(image, patch_size)`` for
    one image and step 1, after ``.reshape(-1, *patch_size)``; modes of padding mean what
    they mean in ``numpy.pad``, and no padded image is made. Values pass through bit by bit.
    The result is about ``prod(patch_size) / prod(step)`` times as large as the input.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import extract_patches
    >>> image = np.arange(6).reshape(2, 3)
    >>> extract_patches(image, (2, 2)).shape
    (1, 2, 2, 2)
    >>> extract_patches(image, (2, 2), step=2, pad="cover")[0, 1]
    array([[2, 2],
           [5, 5]])
    """
    space, images, leave = enter_one(images, "images")
    real(images, "images")
    grid = patch_grid(tuple(images.shape), patch_size, step, pad, "`images`")
    mode = BORDERS.index(one_of(pad_mode, "pad_mode", BORDERS))
    fill = _value_of(pad_value, images.dtype)
    spatial = len(grid.size)
    batch = tuple(images.shape[:-spatial])
    src = canonical(images, spatial)
    out = space.empty((src.shape[0], *grid.counts, *grid.size), images.dtype)
    extract_into(space, src, out, grid, mode, fill)
    return leave(out.reshape((*batch, *grid.counts, *grid.size)))


def extract_into(
    space: Space,
    src: Any,
    out: Any,
    grid: PatchGrid,
    mode: int = 0,
    fill: np.ndarray[Any, Any] | None = None,
) -> None:
    """Cut C-contiguous images (batch, ...) into `out` (batch, *counts, *size).

    `mode` is the place of a border in `BORDERS`, `fill` an array of one value.
    """
    from fastmm.kernels.patches import extract

    bits, ones = f"u{src.dtype.itemsize}", (1,) * (3 - len(grid.size))
    fill = _zero(src.dtype) if fill is None else fill
    # GPUs divide 64-bit indices slowly.
    narrow = space.kind != "cpu" and max(out.size, src.size) < 1 << 31
    layout = _layout(space, grid, mode, narrow)
    images = src.reshape((len(src), *ones, *src.shape[-len(grid.size) :])).view(bits)
    patches = out.reshape((len(src), *ones, *grid.counts, *ones, *grid.size)).view(bits)
    # Copies cost by the byte, and less than the work by which a launch judges whether to wake
    # threads.
    work = max(out.nbytes // 8, 1) if space.kind == "cpu" and out.size else out.size
    space.launch(extract, work, images, patches, layout, space.asarray(fill.view(bits)))


@lru_cache(maxsize=256)
def _layout(space: Space, grid: PatchGrid, mode: int, narrow: bool) -> Any:
    layout = grid.layout(mode)
    if narrow and int(layout.max()) < 1 << 31:
        layout = layout.astype(np.uint32)
    return space.asarray(layout)


@lru_cache(maxsize=32)
def _zero(dtype: Any) -> np.ndarray[Any, Any]:
    return np.zeros(1, dtype)


def _value_of(value: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """Return `value` as an array of one element of `dtype`, refusing what it cannot hold."""
    if type(value) is int and value == 0:  # most calls
        return _zero(dtype)
    kind = np.dtype(dtype)
    try:
        given = float(value)
        with np.errstate(over="ignore"):
            array = np.array([value if kind.kind in "iu" else given]).astype(kind)
        fits = kind.kind == "f" and (np.isfinite(array[0]) or not np.isfinite(given))
        fits = fits or (kind.kind != "f" and np.isfinite(given) and array[0] == value)
    except (TypeError, ValueError, OverflowError, RuntimeWarning):
        fits = False
    if not fits:
        raise ValueError(f"`pad_value` must be a number that {kind} holds, got {value!r}.")
    return array
