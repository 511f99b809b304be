"""Percentiles of each image, exact: NumPy's "linear" rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._space import telling_of_memory
from fastmm.image.pixel_rows import PixelRows

__all__ = ["percentile_rows"]

_SMALL = 64  # pixels of an image that one thread of a GPU may look at


def percentile_rows(rows: PixelRows, quantiles: NDArray[np.float64]) -> Any:
    """Return the quantiles of each row, (n, len(quantiles)) float64, where the rows live.

    A row with NaN or infinity among the pixels that count gives NaN, a row in which no
    pixel counts gives infinity.
    """
    space, pixels = rows.space, rows.pixels
    if space.kind != "cpu" and pixels.shape[1] > _SMALL:
        with telling_of_memory(space):
            return _by_sorting(space.xp, pixels, rows.inside, space.asarray(quantiles))
    from fastmm.kernels.selecting import select

    values = space.xp.empty((pixels.shape[0], quantiles.size), np.float64)
    work = pixels.size if space.kind == "cpu" else values.size
    like = space.xp.empty(0, rows.dtype)
    space.launch(select, work, pixels, rows.inside, like, space.asarray(quantiles), values)
    return values


def _by_sorting(xp: Any, pixels: Any, inside: Any, quantiles: Any) -> Any:
    values = pixels.astype(np.float32 if pixels.dtype.itemsize <= 2 else pixels.dtype)
    count = xp.full((pixels.shape[0], 1), pixels.shape[1], np.int64)
    bad = ~xp.isfinite(values)
    if inside.shape[1]:
        counted = xp.broadcast_to(inside != 0, pixels.shape)
        bad &= counted
        count = counted.sum(axis=1, keepdims=True)
        values = xp.where(counted, values.astype(_floating(values.dtype)), np.inf)
    values = xp.sort(values, axis=1)
    place = xp.maximum(count - 1, 0) * quantiles[None]
    rank = xp.floor(place).astype(np.int64)
    t = place - rank
    a = xp.take_along_axis(values, rank, axis=1).astype(np.float64)
    b = xp.take_along_axis(values, xp.minimum(rank + 1, xp.maximum(count - 1, 0)), axis=1)
    b = b.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        found = xp.where(t >= 0.5, b - (b - a) * (1 - t), a + (b - a) * t)
        # Without the difference where that overflows, or is NaN for a row without pixels.
        found = xp.where(xp.isfinite(found), found, a * (1 - t) + b * t)
    found = xp.where(count == 0, np.inf, xp.where(a == b, a, found))
    return xp.where(bad.any(axis=1, keepdims=True), np.nan, found)


def _floating(dtype: Any) -> np.dtype[Any]:
    return np.dtype(dtype if np.dtype(dtype).kind == "f" else np.float64)
