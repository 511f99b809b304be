"""Filters of SciPy and scikit-image, on a GPU of CuPy and cuCIM, under one signature."""

from __future__ import annotations

from importlib import import_module
from inspect import unwrap
from typing import Any

import numpy as np

from fastmm._check import integer, number, one_of
from fastmm._lazy import Cost, streamed
from fastmm._space import Space
from fastmm.image.filtering import each, filtered, library, on_threads
from fastmm.image.pixel_rows import check_spatial

__all__ = ["denoise", "equalize"]


@streamed("spatial", Cost(inputs=2, images=6))
def denoise(
    images: Any,
    method: str = "median",
    *,
    size: int = 3,
    sigma: float = 1.0,
    weight: float = 0.1,
    spatial: int = 2,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Remove noise by a median, a Gaussian or a total-variation filter.

    ``"median"`` takes the median of the `size` x `size` pixels around each; ``"gaussian"``
    weights them by :math:`\exp(-r^2 / 2 \sigma^2)`; ``"tv"`` minimises
    :math:`\sum |\nabla u| + \frac{1}{2 w} \sum (u - x)^2`, which keeps edges.

    Parameters
    ----------
    images : array of shape (..., h, w)
        One image or a stack; each image is filtered by itself. NumPy, CuPy, or any DLPack
        array.
    method : {"median", "gaussian", "tv"}, default "median"
        The filter.
    size : int, default 3
        For "median": side of the neighbourhood in pixels, odd.
    sigma : float, default 1.0
        For "gaussian": standard deviation in pixels; cut off at 4 of them.
    weight : float, default 0.1
        For "tv": the larger, the smoother, in the unit of `images` (0.1 suits [0, 1]).
    spatial : {1, 2, 3}, default 2
        How many trailing axes make an image: 3 filters volumes (..., d, h, w).
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": images
        go through in chunks that fit. The result counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which images on disk go up in chunks.

    Returns
    -------
    array of the shape of `images`
        float32, or float64 where `images` is float64 or has integers over 16 bits; on the
        device, and of the library, that `images` came from. A constant image stays as it
        is; an image with NaN or infinity becomes NaN as a whole.

    Raises
    ------
    ValueError
        If an argument has no allowed value, or `images` has too few axes or no pixels.
    ImportError
        If the library of the filter is missing: scikit-image for "tv" on the CPU (extra
        ``app``), cuCIM for "tv" on a GPU (extra ``cuda13`` or ``cuda12``).

    Notes
    -----
    Borders repeat the outermost pixel. Equals ``skimage.filters.median`` with a square
    footprint, ``skimage.filters.gaussian`` and ``skimage.restoration.denoise_tv_chambolle``
    on each image (the first two are SciPy's own). On the CPU
    median and Gaussian spread images over threads (total variation is no faster so); on a
    GPU they take the whole stack in one call.

    References
    ----------
    Chambolle (2004), An algorithm for total variation minimization and applications,
    Journal of Mathematical Imaging and Vision 20, doi:10.1023/B:JMIV.0000011325.36760.1e.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import denoise
    >>> image = np.zeros((3, 3), "float32")
    >>> image[1, 1] = 9  # one bad pixel
    >>> denoise(image).max()
    np.float32(0.0)
    """
    one_of(method, "method", ("median", "gaussian", "tv"))
    size = integer(size, "size")
    if size % 2 == 0:
        raise ValueError(f"`size` must be odd, got {size}.")
    sigma = number(sigma, "sigma", above=0)
    weight = number(weight, "weight", above=0)
    spatial = check_spatial(spatial)

    def apply(space: Space, stack: Any) -> Any:
        if method == "tv":
            tv = library(space, "skimage.restoration").denoise_tv_chambolle
            return each(lambda image: _smoothed(tv, image, weight), space, stack)
        if method == "gaussian":  # the stack's own axis stays out
            options = {"sigma": (0.0,) + (sigma,) * spatial, "truncate": 4.0}
        else:
            options = {"size": (1,) + (size,) * spatial}
        ndimage = import_module("cupyx.scipy.ndimage" if space.kind == "cuda" else "scipy.ndimage")
        function = getattr(ndimage, f"{method}_filter")
        return on_threads(lambda part: function(part, mode="nearest", **options), space, stack)

    return filtered(images, spatial, apply, constant=None)


@streamed("spatial", Cost(inputs=2, images=16))
def equalize(
    images: Any,
    *,
    tile: int | None = None,
    clip_limit: float = 0.01,
    bins: int = 256,
    spatial: int = 2,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Equalise contrast locally (CLAHE): contrast-limited adaptive histogram equalisation.

    The histogram of each tile, its peaks cut, becomes a map of intensities; maps are
    interpolated between tiles.

    Parameters
    ----------
    images : array of shape (..., h, w)
        One image or a stack; each image is equalised by itself. NumPy, CuPy, or any DLPack
        array.
    tile : int, optional
        Side of a tile in pixels; by default an eighth of each side of the image.
    clip_limit : float, default 0.01
        Share of a tile's pixels that one bin may hold, in (0, 1]; the larger, the more
        contrast.
    bins : int, default 256
        Bins of a histogram, at least 2.
    spatial : {2, 3}, default 2
        How many trailing axes make an image: 3 equalises volumes (..., d, h, w).
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": images
        go through in chunks that fit. The result counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which images on disk go up in chunks.

    Returns
    -------
    array of the shape of `images`
        Values in [0, 1]; float32, or float64 where `images` is float64 or has integers over
        16 bits; on the device, and of the library, that `images` came from. A constant
        image becomes 0, one with NaN or infinity becomes NaN as a whole.

    Raises
    ------
    ValueError
        If an argument has no allowed value, or `images` has too few axes or no pixels.
    ImportError
        If scikit-image (CPU, extra ``app``) or cuCIM (GPU, extra ``cuda13`` or ``cuda12``)
        is missing.

    Notes
    -----
    Equals ``skimage.exposure.equalize_adapthist`` on each image in float64, which sees
    16,384 grey levels between the lowest and the highest pixel.

    References
    ----------
    Zuiderveld (1994), Contrast limited adaptive histogram equalization, in Graphics Gems
    IV, doi:10.1016/B978-0-12-336156-1.50061-6.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import equalize
    >>> image = np.linspace(0, 1, 1024, dtype="float32").reshape(32, 32) ** 4
    >>> bool(equalize(image).mean() > image.mean())
    True
    """
    tile = None if tile is None else integer(tile, "tile", minimum=2)
    clip_limit = number(clip_limit, "clip_limit", above=0)
    if clip_limit > 1:
        raise ValueError(f"`clip_limit` must be at most 1, got {clip_limit:g}.")
    bins = integer(bins, "bins", minimum=2)
    spatial = check_spatial(spatial)
    if spatial == 1:
        raise ValueError("`spatial` must be 2 or 3, got 1.")

    def apply(space: Space, stack: Any) -> Any:
        # Unwrapped: a last axis of 3 or 4 would be taken for the colours of a picture.
        clahe = unwrap(library(space, "skimage.exposure").equalize_adapthist)

        def one(image: Any) -> Any:
            # The library takes values in [-1, 1]; halves, so that no difference overflows.
            wide = image.astype(np.float64) / 2
            wide -= wide.min()
            return clahe(wide / wide.max(), kernel_size=tile, clip_limit=clip_limit, nbins=bins)

        return each(one, space, stack)

    return filtered(images, spatial, apply, constant=0.0)


def _smoothed(tv: Any, image: Any, weight: float) -> Any:
    """Filter an image whose squares would overflow as a smaller one: the filter is homogeneous."""
    size = float(abs(image).max())
    if size < float(np.finfo(image.dtype).max) ** 0.5 / 1e3:
        return tv(image, weight=weight)
    return tv(image / size, weight=weight / size) * size
