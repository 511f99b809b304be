"""Index and weight tables of interpolation, made once on the host in float64.

Coordinates computed in float32 where they are used cost up to 5e-4 of the value range;
a table costs nothing, since it is cached and shared by all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm._space import Space

__all__ = ["Rescale", "canonical", "linear_tables", "resize_linear"]


class Rescale(NamedTuple):
    """Per-image value map applied before interpolation: clip(v * slope + intercept)."""

    slope: Sequence[float] | NDArray[np.float64] | float = 1.0
    intercept: Sequence[float] | NDArray[np.float64] | float = 0.0
    low: float = -np.inf
    high: float = np.inf


def canonical(array: Any, spatial: int) -> Any:
    """Give an array the one rank kernels know, (batch, z, y, x), C-contiguous."""
    shape = array.shape
    split = len(shape) - spatial
    batch = int(np.prod(shape[:split], dtype=np.int64))
    axes = (1,) * (3 - spatial) + tuple(shape[split:])
    array = array.reshape((batch, *axes))
    if not array.flags.c_contiguous:
        array = array.copy(order="C")
    return array


def resize_linear(space: Space, src: Any, out: Any, rescale: Rescale | None = None) -> None:
    """Resize (batch, z, y, x) `src` into `out`, pixel centres aligned as OpenCV does.

    `src` has any real dtype; `out` is float32 or float64 and fixes the arithmetic.
    """
    from fastmm.kernels.resizing import linear

    dtype, count = np.dtype(out.dtype), src.shape[0]
    rescale = rescale or Rescale()
    slope = _per_image(space, rescale.slope, count, dtype)
    intercept = _per_image(space, rescale.intercept, count, dtype)
    limits = space.asarray(np.array([rescale.low, rescale.high], dtype))
    tables = _tables_in(space, src.shape[1:], out.shape[1:], dtype.char)
    space.launch(linear, out.size, src, out, slope, intercept, limits, *tables)


def _per_image(space: Space, value: Any, count: int, dtype: np.dtype[Any]) -> Any:
    array = np.asarray(value, dtype)
    return space.asarray(array if array.shape == (count,) else np.full(count, array, dtype))


@lru_cache(maxsize=256)
def _tables_in(
    space: Space, before: tuple[int, ...], after: tuple[int, ...], dtype: str
) -> tuple[Any, ...]:
    sizes = zip(before, after, strict=True)
    tables = (table for m, n in sizes for table in linear_tables(m, n, dtype))
    return tuple(space.asarray(table) for table in tables)


@lru_cache(maxsize=256)
def linear_tables(before: int, after: int, dtype: str) -> tuple[np.ndarray[Any, Any], ...]:
    """Return, for each pixel after, its two neighbours before and the weight of the second."""
    if before > 1 << 32:
        raise ValueError(f"An axis to resize must have at most 2^32 pixels, got {before}.")
    # Unsigned: a signed index would make Numba test for negative ones in the inner loop.
    centre = (np.arange(after) + 0.5) * (before / after) - 0.5
    centre = np.clip(centre, 0, before - 1)
    first = np.floor(centre)
    weight = centre - first
    second = np.where(weight > 0, first + 1, first)
    return first.astype(np.uint32), second.astype(np.uint32), weight.astype(dtype)
