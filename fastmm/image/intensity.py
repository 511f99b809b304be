"""Bring intensities to a common range: DICOM's window, normalisation, histogram clipping."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import number, one_of
from fastmm._lazy import streamed
from fastmm.image.percentiles import percentile_rows
from fastmm.image.pixel_maps import NO_BOUNDS, map_rows, rule_table, standardize_rows
from fastmm.image.pixel_rows import PixelRows, check_percentiles, flat_row, pixel_rows

__all__ = ["clip_histogram", "normalize", "window"]


@streamed(0)
def window(
    images: Any,
    center: float,
    width: float,
    *,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Map the window of intensities around `center` to [0, 1] and clip the rest.

    .. math:: y = \mathrm{clip}\left(\frac{x - (c - w/2)}{w},\; 0,\; 1\right)

    Parameters
    ----------
    images : array of any shape
        Intensities, HU for CT. NumPy, CuPy, or any DLPack array.
    center, width : float
        Window in the unit of `images`; `width` is at least 1, as DICOM requires.
        Lung: -600 and 1500; soft tissue: 40 and 400; bone: 400 and 1800 (HU).
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
        device, and of the library, that `images` came from. NaN stays NaN.

    Raises
    ------
    ValueError
        If `width` is below 1 or a value is not finite.

    Notes
    -----
    One pass. On the CPU the arithmetic is float64, rounded once; on a GPU it has the type
    of the result, which is off by at most 2e-7 times 1 + max|x| / `width`.

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
    row = flat_row(images)
    table = rule_table(row, center - width / 2, width)
    return row.leave(map_rows(row, table, (0.0, 1.0)).reshape(row.shape))


@streamed("spatial")
def normalize(
    images: Any,
    method: str = "zscore",
    *,
    mask: Any = None,
    per: str = "image",
    percentiles: tuple[float, float] = (1, 99),
    clip: tuple[float, float] | None = None,
    spatial: int = 2,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Bring each image to a common location and scale.

    ``"zscore"`` gives :math:`(x - \mu) / \sigma` with the mean and the standard deviation
    (of the population) of the image; ``"minmax"`` gives
    :math:`(x - \min) / (\max - \min)`; ``"percentile"`` gives
    :math:`(x - p_l) / (p_h - p_l)` with two percentiles, which outliers do not move.

    Parameters
    ----------
    images : array of shape (..., h, w)
        One image or a stack; each (h, w) image is normalised by itself. NumPy, CuPy, or
        any DLPack array.
    method : {"zscore", "minmax", "percentile"}, default "zscore"
        What to bring to zero and one.
    mask : array that broadcasts to `images`, optional
        Non-zero where a pixel counts for the statistics (padding and background left out).
        All pixels are mapped. An image without any such pixel becomes 0.
    per : {"image", "batch"}, default "image"
        Whether each image has statistics of its own, or all of `images` share one.
    percentiles : (low, high), default (1, 99)
        For "percentile", between 0 and 100.
    clip : (low, high) or None, default None
        Bounds that results are cut to, such as (0, 1), or (-3, 3) deviations.
    spatial : {1, 2, 3}, default 2
        How many trailing axes make an image: 3 normalises volumes (..., d, h, w).
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
        device, and of the library, that `images` came from. A constant image becomes 0,
        and so does one whose two percentiles are equal.

    Raises
    ------
    ValueError
        If an argument has no allowed value, `images` has fewer than `spatial` axes or none
        of them holds pixels, or `mask` does not broadcast.

    Notes
    -----
    An image with NaN or infinity among the pixels that count becomes NaN as a whole.
    Statistics are exact to rounding at any mean and any range that the type holds:
    distances to a running mean are summed, on the CPU in float64. Percentiles are exact,
    between two pixels as in NumPy's "linear" rule, and found without sorting on the CPU.
    Images that fit into the cache are read from memory once; nothing but the result is
    allocated (for percentiles on a GPU: a sorted copy).

    References
    ----------
    Chan, Golub, LeVeque (1983), Algorithms for computing the sample variance, The American
    Statistician 37(3), doi:10.1080/00031305.1983.10483115. Nyúl, Udupa (1999), On
    standardizing the MR image intensity scale, Magnetic Resonance in Medicine 42(6),
    doi:10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import normalize
    >>> normalize(np.array([[0.0, 1.0], [2.0, 3.0]]), "minmax").round(2)
    array([[0.  , 0.33],
           [0.67, 1.  ]])
    """
    one_of(method, "method", ("zscore", "minmax", "percentile"))
    quantiles = check_percentiles(percentiles)
    bounds = NO_BOUNDS if clip is None else _bounds(clip)
    rows = pixel_rows(images, mask, per, spatial)
    if method == "percentile":
        out = map_rows(rows, _percentile_table(rows, quantiles), bounds)
    else:
        out = standardize_rows(rows, method, bounds)
    return rows.leave(out.reshape(rows.shape))


@streamed("spatial")
def clip_histogram(
    images: Any,
    percentiles: tuple[float, float] = (0.5, 99.5),
    *,
    mask: Any = None,
    per: str = "image",
    spatial: int = 2,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Cut the tails of each image's histogram: :math:`y = \min(\max(x, p_l), p_h)`.

    Parameters
    ----------
    images : array of shape (..., h, w)
        One image or a stack. NumPy, CuPy, or any DLPack array.
    percentiles : (low, high), default (0.5, 99.5)
        Percentiles that become the lowest and the highest value, between 0 and 100.
    mask : array that broadcasts to `images`, optional
        Non-zero where a pixel counts for the percentiles; all pixels are clipped. An image
        without any such pixel keeps its values.
    per : {"image", "batch"}, default "image"
        Whether each image has percentiles of its own, or all of `images` share them.
    spatial : {1, 2, 3}, default 2
        How many trailing axes make an image.
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
        device, and of the library, that `images` came from. A constant image keeps its
        values.

    Raises
    ------
    ValueError
        If an argument has no allowed value, `images` has fewer than `spatial` axes or none
        of them holds pixels, or `mask` does not broadcast.

    Notes
    -----
    Percentiles are those of `normalize`. An image with NaN or infinity among the pixels
    that count becomes NaN as a whole.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import clip_histogram
    >>> clip_histogram(np.array([[0, 1, 2], [3, 4, 99]], dtype="int16"), (0, 80))
    array([[0., 1., 2.],
           [3., 4., 4.]], dtype=float32)
    """
    quantiles = check_percentiles(percentiles)
    rows = pixel_rows(images, mask, per, spatial)
    xp = rows.space.xp
    values = percentile_rows(rows, quantiles)
    table = rule_table(rows, 0.0, xp.where(xp.isnan(values[:, 0]), np.nan, 1.0))
    values[:, 0] = xp.where(xp.isinf(values[:, 0]), -np.inf, values[:, 0])  # no pixel counts
    return rows.leave(map_rows(rows, table, values).reshape(rows.shape))


def _percentile_table(rows: PixelRows, quantiles: Any) -> Any:
    xp = rows.space.xp
    values = percentile_rows(rows, quantiles)
    values = xp.where(xp.isinf(values), 0.0, values)  # no pixel counts: as a constant image
    low, high = values[:, 0], values[:, 1]
    # Halves where the difference would overflow.
    limit = float(np.finfo(rows.dtype).max) / 4
    half = xp.where(xp.maximum(abs(low), abs(high)) > limit, 0.5, 1.0)
    return rule_table(rows, low, high * half - low * half, half)


def _bounds(clip: Any) -> tuple[float, float]:
    try:
        low, high = clip
    except (TypeError, ValueError):
        raise TypeError(f"`clip` must be (low, high) or None, got {clip!r}.") from None
    low = number(low, "clip[0]")
    return low, number(high, "clip[1]", above=low)
