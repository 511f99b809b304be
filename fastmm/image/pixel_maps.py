"""Launch the kernels that measure rows of pixels and map them to a common range."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import telling_of_memory
from fastmm.image.pixel_rows import PixelRows

__all__ = ["NO_BOUNDS", "map_rows", "rule_table", "standardize_rows"]

NO_BOUNDS = (-np.inf, np.inf)
_SMALL = 64  # pixels of an image that one thread of a GPU may do alone
_CPU_RUN = 1 << 16  # pixels of a task
_CUDA_THREADS = 1 << 18
_MOST_RUNS = 256  # that one thread merges


def map_rows(rows: PixelRows, table: Any, bounds: Any) -> Any:
    """Map each row by its rule in `table` (see `rule_table`), cut to its (low, high)."""
    from fastmm.kernels.normalizing import apply

    space = rows.space
    with telling_of_memory(space):
        out = space.empty(rows.pixels.shape, rows.dtype)
        bounds = space.xp.asarray(bounds, _arithmetic(rows)).reshape(-1, 2)
        space.launch(apply, out.size, rows.pixels, out, table, bounds)
    return out


def rule_table(rows: PixelRows, location: Any, scale: Any, half: Any = 1.0) -> Any:
    """Return the table that maps x to (x * half - location * half) / scale, row by row.

    A scale of 0 maps to 0, of NaN to NaN. `location` and `scale` are float64, of one
    element or one for each row.
    """
    # One rule: made on the host it costs a GPU one upload.
    on_host = isinstance(location, float) and isinstance(scale, float)
    xp, dtype = np if on_host else rows.space.xp, _arithmetic(rows)
    table = xp.ones((rows.pixels.shape[0], 5), dtype)
    table[:, 0] = half
    table[:, 2] = location
    # What the rounded location lacks is taken off after the subtraction.
    table[:, 3] = (location - table[:, 2].astype(np.float64)) * half
    table[:, 4] = scale
    return rows.space.asarray(table) if on_host else table


def standardize_rows(rows: PixelRows, method: str, bounds: tuple[float, float]) -> Any:
    """Normalise each row by its mean and deviation, or by its range."""
    space, xp, dtype = rows.space, rows.space.xp, _arithmetic(rows)
    count, pixels = rows.pixels.shape
    limits = space.asarray(_limits(dtype))
    table, minmax = xp.ones((count, 5), dtype), method == "minmax"
    if space.kind == "cpu":
        whole = count >= 16 or rows.pixels.size <= 2 * _CPU_RUN
    else:
        whole = pixels <= _SMALL
    if not whole:
        _measure(rows, table, limits, minmax)
        return map_rows(rows, table, bounds)
    from fastmm.kernels.normalizing import normalize

    with telling_of_memory(space):
        out = space.empty((count, pixels), rows.dtype)
    work = rows.pixels.size if space.kind == "cpu" else count
    pair = space.asarray(np.array([bounds], dtype))
    space.launch(normalize, work, rows.pixels, rows.inside, out, table, limits, minmax, pair)
    return out


def _measure(rows: PixelRows, table: Any, limits: Any, minmax: bool) -> None:
    from fastmm.kernels.moments import measure, merge, settle

    space, xp, dtype = rows.space, rows.space.xp, table.dtype
    count, pixels = rows.pixels.shape
    runs = _runs(space.kind, count, pixels)
    pending = xp.ones(count, np.uint8)
    for _ in range(2):
        partial = xp.empty((6, count, runs), dtype)
        work = rows.pixels.size if space.kind == "cpu" else count * runs
        space.launch(measure, work, rows.pixels, rows.inside, table, pending, minmax, partial)
        for few in (64, 1) if runs > _MOST_RUNS else (1,):
            merged = xp.empty((6, count, few), np.float64)
            space.launch(merge, count * few, partial, table, pending, merged)
            partial = merged
        space.launch(settle, count, partial, limits, minmax, table, pending)
        # A second launch costs a device less than the wait for the answer.
        if space.kind == "cpu" and not pending.any():
            return


def _runs(kind: str, count: int, pixels: int) -> int:
    if kind == "cpu":
        return -(-pixels // _CPU_RUN)
    return max(1, min(pixels // 16, max(_CUDA_THREADS // max(count, 1), pixels // 512)))


def _arithmetic(rows: PixelRows) -> np.dtype[Any]:
    # Doubles are cheap on a CPU, and slow on most GPUs.
    return np.dtype(np.float64) if rows.space.kind == "cpu" else rows.dtype


def _limits(dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return the least and the largest range whose squares are safe, and largest factors."""
    if dtype == np.float64:
        return np.array([2.0**-400, 2.0**400, 2.0**1000, 2.0**1022])
    return np.array([2.0**-40, 2.0**40, 2.0**120, 2.0**126])
