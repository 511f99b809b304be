"""A chain of intensity, resize, normalisation and patches that stays in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, number, one_of, real, sizes
from fastmm._interp import Rescale, canonical, check_method, resize_into
from fastmm._lazy import Cost, streamed
from fastmm._space import Space, enter_one, telling_of_memory
from fastmm.image.grid import PatchGrid, patch_grid
from fastmm.image.intensity import normalize as normalized
from fastmm.image.patches import extract_into

__all__ = ["preprocess"]

# Resized images that are between two steps: what a cache keeps until the next one reads them.
_CPU_BYTES, _GPU_BYTES = 1 << 20, 1 << 24


@streamed("shape", Cost(size=4 << 20, device_size=64 << 20))
def preprocess(
    images: Any,
    shape: Sequence[int],
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    window: tuple[float, float] | None = None,
    interpolation: str = "linear",
    antialias: bool = False,
    normalize: str | None = None,
    patch_size: Sequence[int] | None = None,
    step: int | Sequence[int] = 1,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Rescale, window, resize and normalise images, and cut them into patches, in one pass.

    In this order, each but the resize only where it is asked for:
    :math:`v = s x + b`; :math:`v = \mathrm{clip}((v - (c - w/2)) / w, 0, 1)`; `resize`;
    `normalize`; `extract_patches`.

    Parameters
    ----------
    images : array of shape (..., h, w) or (..., d, h, w)
        Stored values or intensities. NumPy, CuPy, or any DLPack array.
    shape : sequence of 2 or 3 ints
        New size in pixels, (height, width) or (depth, height, width).
    slope, intercept : float, default 1 and 0
        Of the rescale.
    window : (center, width), optional
        In the units of the rescaled values; the width is at least 1.
    interpolation, antialias
        As in `resize`.
    normalize : {"zscore", "minmax", "percentile"}, optional
        As in `normalize`, each image by itself.
    patch_size : sequence of ints, optional
        As many as `shape` has: size of the patches in pixels.
    step : int or sequence of ints, default 1
        As in `extract_patches`.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": images
        go through in chunks that fit. The result counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype.

    Returns
    -------
    array of shape (..., \*shape) or (..., \*grid, \*patch_size)
        float32, or float64 where `images` is float64 or has integers over 16 bits; on the
        device, and of the library, that `images` came from.

    Raises
    ------
    ValueError, TypeError
        As the single operators.

    Notes
    -----
    The values are those of the single operators, but for the rounding of the window, which
    is fused into the resize. From memory, the input is read once and the result is written
    once: what is resized goes on in blocks of 1 MB (16 MB on a GPU) that stay in the cache.
    The chain of single operators moves the images and the resized images three times more.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import preprocess
    >>> ct = np.random.default_rng(0).integers(0, 4096, (4, 64, 64)).astype("int16")
    >>> preprocess(ct, (32, 32), intercept=-1024, window=(40, 400), patch_size=(8, 8), step=8).shape
    (4, 4, 4, 8, 8)
    """
    size = sizes(shape, "shape", lengths=(2, 3))
    sampling = check_method(interpolation, antialias)
    rescale = _rescale(number(slope, "slope"), number(intercept, "intercept"), window)
    if normalize is not None:
        one_of(normalize, "normalize", ("zscore", "minmax", "percentile"))
    space, images, leave = enter_one(images, "images")
    real(images, "images")
    spatial = len(size)
    if images.ndim < spatial or 0 in images.shape[-spatial:]:
        raise ValueError(
            f"`images` must have at least {spatial} axes for `shape` {size}, the last "
            f"{spatial} of them not empty, got shape {tuple(images.shape)}."
        )
    grid = None
    if patch_size is not None:
        patches = sizes(patch_size, "patch_size", lengths=(spatial,))
        grid = patch_grid(size, patches, step, 0, "images resized to `shape`")
    dtype, batch = dtype_of_result(images.dtype), tuple(images.shape[:-spatial])
    if images.dtype in (np.float16, np.bool_):  # no arithmetic in kernels on these
        images = images.astype(dtype)
    src = canonical(images, spatial)
    result = size if grid is None else (*grid.counts, *grid.size)
    with telling_of_memory(space):
        out = space.empty((src.shape[0], *result), dtype)
    method = (rescale, *sampling)
    for block in _blocks(space, src.shape[0], int(np.prod(size)) * dtype.itemsize):
        _fill(space, src[block], out[block], size, method, normalize, grid)
    return leave(out.reshape((*batch, *result)))


def _rescale(slope: float, intercept: float, window: tuple[float, float] | None) -> Rescale:
    if window is None:
        return Rescale(slope, intercept)
    try:
        center, width = window
    except (TypeError, ValueError):
        raise TypeError(f"`window` must be (center, width), got {window!r}.") from None
    center, width = number(center, "window center"), number(width, "window width", minimum=1)
    return Rescale(slope / width, (intercept - (center - width / 2)) / width, 0.0, 1.0)


def _blocks(space: Space, count: int, n_bytes: int) -> list[slice]:
    together = max(1, (_CPU_BYTES if space.kind == "cpu" else _GPU_BYTES) // n_bytes)
    return [slice(start, start + together) for start in range(0, count, together)]


def _fill(
    space: Space,
    src: Any,
    out: Any,
    size: tuple[int, ...],
    method: tuple[Rescale, str, bool],
    normalize: str | None,
    grid: PatchGrid | None,
) -> None:
    whole = (len(src), *size)
    direct = normalize is None and grid is None
    small = out if direct else space.empty(whole, out.dtype)
    axes = (len(src), *(1,) * (3 - len(size)), *size)
    resize_into(space, src, small.reshape(axes), *method)
    if normalize is not None:
        small = normalized(small, normalize, spatial=len(size))
    if grid is not None:
        extract_into(space, small, out, grid)
    elif normalize is not None:
        out[...] = small
