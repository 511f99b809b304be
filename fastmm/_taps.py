"""Which input pixels an output pixel of an axis depends on, and with which weights.

Tables are made once on the host in float64 and cached: coordinates computed in float32
where they are used cost up to 5e-4 of the value range.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Taps", "linear_tables", "near_tables", "nearest_table", "taps"]

_LIMIT = 1 << 32  # pixels of an axis that a table of 32 bits can name


class Taps(NamedTuple):
    """For each output pixel its first input and how many, (n, 2), and the weights, (n, most)."""

    spans: NDArray[np.uint32]
    weights: NDArray[Any]


@lru_cache(maxsize=256)
def taps(before: int, after: int, interpolation: str, antialias: bool, dtype: str) -> Taps:
    """Return the table of an axis; its weights beyond the count of a row are 0.

    Only pixels with a weight are counted, so that NaN spreads no further than it must.
    """
    _check(before, after)
    if before == after or interpolation == "nearest":
        first, weights = nearest_table(before, after).astype(np.int64), np.ones((after, 1))
    elif interpolation == "area":
        first, weights = _area(before, after)
    elif antialias:
        first, weights = _antialiased(before, after, interpolation)
    elif interpolation == "cubic":
        first, weights = _cubic(before, after)
    else:
        first, weights = _linear(before, after)
    spans, weights = _trimmed(first, weights)
    return Taps(spans, weights.astype(dtype))


@lru_cache(maxsize=256)
def linear_tables(before: int, after: int, dtype: str) -> tuple[np.ndarray[Any, Any], ...]:
    """Return, for each pixel after, its two neighbours before and the weight of the second."""
    _check(before, after)
    # Unsigned: a signed index would make Numba test for negative ones in the inner loop.
    centre = np.clip(_centres(before, after), 0, before - 1)
    first = np.floor(centre)
    weight = centre - first
    second = np.where(weight > 0, first + 1, first)
    return first.astype(np.uint32), second.astype(np.uint32), weight.astype(dtype)


def near_tables(
    before: tuple[int, ...], after: tuple[int, ...], dtype: str
) -> tuple[NDArray[np.uint32], NDArray[Any]]:
    """Return `linear_tables` of all axes, joined: the neighbours (2, sum) and the weights."""
    sizes = zip(before, after, strict=True)
    first, second, weights = zip(*(linear_tables(m, n, dtype) for m, n in sizes), strict=True)
    return np.stack([np.concatenate(first), np.concatenate(second)]), np.concatenate(weights)


@lru_cache(maxsize=256)
def nearest_table(before: int, after: int) -> NDArray[np.uint32]:
    """Return, for each pixel after, the pixel before that its centre lies in."""
    _check(before, after)
    # In integers: a centre on the border of two pixels must not go either way by rounding.
    centres = np.arange(1, 2 * after, 2, dtype=np.uint64) * np.uint64(before)
    return (centres // np.uint64(2 * after)).astype(np.uint32)


def _check(before: int, after: int) -> None:
    if before > _LIMIT or after > _LIMIT >> 2:
        most = "2^32" if before > _LIMIT else "2^30 new"
        count = before if before > _LIMIT else after
        raise ValueError(f"An axis to resize must have at most {most} pixels, got {count}.")


def _centres(before: int, after: int) -> NDArray[np.float64]:
    return np.arange(0.5, after, dtype=np.float64) * (before / after) - 0.5


def _linear(before: int, after: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    first, _, weight = linear_tables(before, after, "d")
    return first.astype(np.int64), np.stack([1 - weight, weight], axis=1)


def _area(before: int, after: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    # In units of 1 / after pixels, in which all borders of old and new pixels are integers.
    start = np.arange(after, dtype=np.int64) * before
    stop = start + before
    first = start // after
    most = int((-(-stop // after) - first).max())
    pixels = (first[:, None] + np.arange(most)) * after
    overlap = np.minimum(stop[:, None], pixels + after) - np.maximum(start[:, None], pixels)
    return first, np.maximum(overlap, 0) / before


def _cubic(before: int, after: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    centre = _centres(before, after)
    start = np.floor(centre).astype(np.int64) - 1
    places = start[:, None] + np.arange(4)
    weights = _keys(centre[:, None] - places, -0.75)
    # Pixels outside the image are copies of the outermost, which takes their weights.
    inside = np.clip(places, 0, before - 1)
    folded = np.zeros_like(weights)
    rows = np.repeat(np.arange(after), 4)
    np.add.at(folded, (rows, (inside - inside[:, :1]).ravel()), weights.ravel())
    return inside[:, 0], folded


def _antialiased(
    before: int, after: int, interpolation: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Widen the filter by the factor of the shrinking; cut it off at the image's border."""
    scale = before / after
    stretch = max(scale, 1.0)
    reach = (2 if interpolation == "cubic" else 1) * stretch
    centre = (np.arange(after) + 0.5) * scale
    first = np.maximum(np.floor(centre - reach + 0.5), 0).astype(np.int64)
    stop = np.minimum(np.floor(centre + reach + 0.5), before).astype(np.int64)
    places = first[:, None] + np.arange(int((stop - first).max()))
    distance = (places + 0.5 - centre[:, None]) / stretch
    triangle = np.maximum(1 - np.abs(distance), 0)
    weights = _keys(distance, -0.5) if interpolation == "cubic" else triangle
    weights = np.where(places < stop[:, None], weights, 0)
    return first, weights / weights.sum(axis=1, keepdims=True)


def _keys(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _trimmed(
    first: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Drop the zeros at the ends of each row of weights."""
    used, most = weights != 0, weights.shape[1]
    lead = used.argmax(axis=1)
    count = most - used[:, ::-1].argmax(axis=1) - lead
    columns = lead[:, None] + np.arange(int(count.max()))
    kept = np.take_along_axis(weights, np.minimum(columns, most - 1), axis=1)
    kept[columns >= (lead + count)[:, None]] = 0
    return np.stack([first + lead, count], axis=1).astype(np.uint32), np.ascontiguousarray(kept)
