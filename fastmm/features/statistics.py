"""Statistics of patches as features: moments, percentiles, entropy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import dtype_of_result, integer, number, real
from fastmm._interp import canonical
from fastmm._lazy import streamed
from fastmm._space import Space, enter_one
from fastmm.image.grid import patch_grid

__all__ = ["patch_statistics"]

_DEFAULT = (
    "mean", "std", "skewness", "kurtosis", "energy", "entropy", "p10", "median", "p90",
)  # fmt: skip


@streamed("patch_size")
def patch_statistics(
    images: Any,
    patch_size: Sequence[int],
    *,
    step: int | Sequence[int] = 1,
    statistics: Sequence[str] = _DEFAULT,
    bins: int = 32,
    bounds: tuple[float, float] | None = None,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Describe every patch by statistics of its pixels, without making the patches.

    With :math:`N` pixels :math:`x_i`, their mean :math:`\mu`, and the share :math:`p_b` of
    them that lies in bin :math:`b`:

    ============  ==============================================================================
    name          value
    ============  ==============================================================================
    mean          :math:`\mu = \frac1N \sum_i x_i`
    variance      :math:`\sigma^2 = \frac1N \sum_i (x_i - \mu)^2`
    std           :math:`\sigma`
    skewness      :math:`\frac1N \sum_i (x_i - \mu)^3 / \sigma^3`; 0 where :math:`\sigma = 0`
    kurtosis      :math:`\frac1N \sum_i (x_i - \mu)^4 / \sigma^4 - 3`; 0 where :math:`\sigma = 0`
    minimum       :math:`\min_i x_i`
    maximum       :math:`\max_i x_i`
    range         maximum - minimum
    energy        :math:`\sum_i x_i^2`
    rms           :math:`\sqrt{\frac1N \sum_i x_i^2}`
    median        p50
    p10, p2.5     the percentile, between order statistics interpolated linearly
    iqr           p75 - p25
    entropy       :math:`-\sum_b p_b \log_2 p_b`, in bits
    uniformity    :math:`\sum_b p_b^2`
    ============  ==============================================================================

    Parameters
    ----------
    images : array of shape (..., \*spatial)
        One image, a stack, or anything above. NumPy, CuPy, or any DLPack array.
    patch_size : sequence of 1 to 3 ints
        Size of a patch in pixels, (height, width) for images. Its length says how many
        trailing axes of `images` are spatial; all axes before are batch axes.
    step : int or sequence of ints, default 1
        Distance between neighbouring patches in pixels, for all axes or for each.
    statistics : sequence of str, default mean to p90 (see the signature)
        Names from the table, in the order of the last axis of the result.
    bins : int, default 32
        Bins of the histogram behind entropy and uniformity, 1 to 256.
    bounds : (low, high), optional
        Range that the bins divide, in the unit of `images`; values beyond it count in the
        first or last bin. By default each patch's own range (IBSI's fixed bin number).
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": images
        go through in chunks that fit. The result counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype.

    Returns
    -------
    array of shape (..., \*grid, len(statistics))
        float32, or float64 where `images` is float64 or has integers over 16 bits; on the
        device, and of the library, that `images` came from. A patch that holds NaN or
        infinity has NaN for all statistics.

    Raises
    ------
    ValueError
        If a name is unknown, a patch is larger than the image, or `bins` or `bounds` are out
        of range.
    TypeError
        If `images` is no array of real numbers.

    Notes
    -----
    Pixel :math:`x` is in bin :math:`\lfloor B (x - l) / (h - l) \rfloor` of :math:`B` bins
    between :math:`l` and :math:`h`, computed in the dtype of the result; :math:`h` itself is
    in the last bin. All statistics come from one visit to each patch. Moments are
    accumulated about local means, on the CPU in float64, so that a large mean costs no
    accuracy: mean 1e4 and deviation 1 in float32 give the kurtosis of float64 to 1e-6.
    Percentiles are exact order statistics, as ``numpy.percentile`` finds them. Memory: the
    result, and one patch for each thread. Powers overflow for float64 beyond about 1e75.

    References
    ----------
    .. [1] Zwanenburg A et al. The Image Biomarker Standardization Initiative. Radiology
       2020;295(2):328-338. doi:10.1148/radiol.2020191145; formulas in its reference manual,
       doi:10.48550/arXiv.1612.07003, sections 2.7, 3.3 and 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import patch_statistics
    >>> image = np.arange(16, dtype="float32").reshape(4, 4)
    >>> patch_statistics(image, (2, 2), step=2, statistics=("mean", "range"))[0]
    array([[2.5, 5. ],
           [4.5, 5. ]], dtype=float32)
    """
    space, images, leave = enter_one(images, "images")
    real(images, "images")
    grid = patch_grid(tuple(images.shape), patch_size, step, 0, "`images`")
    dtype, spatial = dtype_of_result(images.dtype), len(grid.size)
    bins = integer(bins, "bins")
    ones, batch = (1,) * (3 - spatial), tuple(images.shape[:-spatial])
    pixels = int(np.prod(grid.size, dtype=np.int64))
    plan = _plan(space, _names(statistics), pixels, dtype.char)
    from fastmm.kernels.statistics import MOST_BINS, describe

    if bins > MOST_BINS:
        raise ValueError(f"`bins` must be at most {MOST_BINS}, got {bins}.")
    low, high = _limits(bounds)
    if images.dtype == np.float16:  # no arithmetic in kernels on it
        images = images.astype(dtype)
    src = canonical(images, spatial)
    if src.dtype == np.bool_:
        src = src.view(np.uint8)
    out = space.empty((src.shape[0], *ones, *grid.counts, plan.columns), dtype)
    size = ones + grid.size
    layout = grid.layout(*size, bins, bounds is not None, plan.binned, plan.sorted)
    limits = space.asarray(np.array([low, high], dtype))
    count = out.size // plan.columns
    work = count * pixels if space.kind == "cpu" else count
    space.launch(
        describe[dtype.name],
        work,
        src,
        out,
        space.asarray(layout),
        *plan.tables,
        limits,
        plan.surprise,
    )
    return leave(out.reshape((*batch, *grid.counts, plan.columns)))


class _Plan(NamedTuple):
    """What the kernel is to compute, with its tables where the images live."""

    columns: int
    binned: bool
    sorted: bool
    tables: tuple[Any, ...]
    surprise: Any


@lru_cache(maxsize=64)
def _plan(space: Space, names: tuple[str, ...], pixels: int, dtype: str) -> _Plan:
    from fastmm.kernels.statistics import CODES

    # The kernel's keys have the size of the values, and the ranks their type.
    codes = np.zeros(len(names), np.int64)
    ranks = np.zeros((len(names), 2), f"i{np.dtype(dtype).itemsize}")
    weights = np.zeros((len(names), 2), dtype)
    for c, name in enumerate(names):
        percents = _percents(name)
        one = "percentile" if len(percents) == 1 else name
        codes[c] = CODES.index(one)
        for side, percent in enumerate(percents):
            place = percent * (pixels - 1) / 100
            ranks[c, side], weights[c, side] = int(place), place - int(place)
    binned = bool(np.isin(codes, (CODES.index("entropy"), CODES.index("uniformity"))).any())
    share = np.arange(pixels + 1 if "entropy" in names else 1) / pixels
    surprise = np.zeros(share.size)
    surprise[1:] = -share[1:] * np.log2(share[1:])
    tables = tuple(space.asarray(table) for table in (codes, ranks, weights))
    ordered = any(map(_percents, names))
    return _Plan(len(names), binned, ordered, tables, space.asarray(surprise.astype(dtype)))


def _percents(name: str) -> tuple[float, ...]:
    """Return the percentiles that a statistic is made of, none for most."""
    if name == "iqr":
        return 25.0, 75.0
    if name == "median":
        return (50.0,)
    found = re.fullmatch(r"p(\d{1,3}(?:\.\d{1,9})?)", name, re.ASCII)
    return (float(found[1]),) if found and float(found[1]) <= 100 else ()


def _names(statistics: Any) -> tuple[str, ...]:
    from fastmm.kernels.statistics import CODES

    known = [name for name in CODES if name != "percentile"]
    if isinstance(statistics, str) or not isinstance(statistics, Sequence):
        raise TypeError(f"`statistics` must be a sequence of names, got {statistics!r}.")
    if not statistics:
        raise ValueError("`statistics` must name at least one statistic, got none.")
    for name in statistics:
        if not isinstance(name, str) or not (name in known or _percents(name)):
            listed = ", ".join(f'"{n}"' for n in [*known, "median"])
            raise ValueError(
                f'`statistics` may hold {listed}, and "p0" to "p100" for percentiles, got {name!r}.'
            )
    return tuple(statistics)


def _limits(bounds: Any) -> tuple[float, float]:
    if bounds is None:
        return 0.0, 0.0
    if not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        raise ValueError(f"`bounds` must be two numbers, low and high, got {bounds!r}.")
    low, high = number(bounds[0], "bounds[0]"), number(bounds[1], "bounds[1]")
    if not low < high:
        raise ValueError(f"`bounds` must be low and a larger high, got {low:g} and {high:g}.")
    return low, high
