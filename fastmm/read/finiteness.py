"""Floating-point voxels: none may be NaN, infinite or beyond float32 unnoticed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm import _check
from fastmm.errors import FastmmError

__all__ = ["check_nonfinite", "require_finite"]

_LARGEST = float(np.finfo(np.float32).max)


def check_nonfinite(value: str | float) -> str | float:
    """Check the argument ``nonfinite=``: "raise", or the number to fill with."""
    if isinstance(value, str):
        return _check.one_of(value, "nonfinite", ("raise",))
    number = _check.number(value, "nonfinite")
    if abs(number) > _LARGEST:
        raise ValueError(f"`nonfinite` must be a number that float32 can hold, got {number!r}.")
    return number


def require_finite(
    path: Path,
    stored: NDArray[Any],
    slope: NDArray[np.float64],
    intercept: NDArray[np.float64],
    nonfinite: str | float,
    error: type[FastmmError],
) -> NDArray[Any]:
    """Return `stored` (frames, rows, columns) with finite values only, or raise `error`.

    With a number for `nonfinite` a copy is returned in which NaN and infinite pixels hold
    what the rescale turns into that number.
    """
    lowest, highest = _possible(stored)
    if _largest(lowest, highest, slope, intercept) <= _LARGEST:
        return stored
    lowest, highest = _extremes(stored)
    if np.isfinite(lowest).all() and np.isfinite(highest).all():
        _require_float32(path, lowest, highest, slope, intercept, error)
        return stored
    bad = ~np.isfinite(stored)
    if isinstance(nonfinite, str):
        raise error(
            f"{path}: {int(bad.sum())} of {bad.size} values are NaN or infinite; "
            "give `nonfinite=` a number to fill them with."
        )
    plain = bool((slope == 1).all() and (intercept == 0).all())
    kind = np.result_type(stored.dtype, np.float32 if plain else np.float64)
    with np.errstate(invalid="ignore"):  # casts of signalling NaN
        filled = stored.astype(kind)
    for frame, where, factor, summand in zip(filled, bad, slope, intercept, strict=True):
        frame[where] = (nonfinite - summand) / factor
    lowest, highest = _extremes(filled)
    _require_float32(path, lowest, highest, slope, intercept, error)
    return filled


def _extremes(stored: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with np.errstate(invalid="ignore"):  # NaN comes through, and is what is looked for
        low, high = stored.min(axis=(1, 2)), stored.max(axis=(1, 2))
        return low.astype(np.float64), high.astype(np.float64)


def _possible(stored: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the range of integers, which mostly need no look at the values."""
    ends = np.iinfo(stored.dtype) if stored.dtype.kind in "iu" else None
    low, high = (-math.inf, math.inf) if ends is None else (ends.min, ends.max)
    return np.full(len(stored), low, np.float64), np.full(len(stored), high, np.float64)


def _largest(
    lowest: NDArray[np.float64],
    highest: NDArray[np.float64],
    slope: NDArray[np.float64],
    intercept: NDArray[np.float64],
) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        ends = np.abs(np.stack([lowest, highest]) * slope + intercept)
    return float(ends.max(initial=0))


def _require_float32(
    path: Path,
    lowest: NDArray[np.float64],
    highest: NDArray[np.float64],
    slope: NDArray[np.float64],
    intercept: NDArray[np.float64],
    error: type[FastmmError],
) -> None:
    largest = _largest(lowest, highest, slope, intercept)
    if math.isnan(largest) or largest > _LARGEST:
        raise error(
            f"{path}: its values reach {largest:.3g}, beyond the {_LARGEST:.3g} that float32 can "
            "hold; rescale the file first."
        )
