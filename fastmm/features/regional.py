"""Statistics of the pixels of a region, whatever its form."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["NAMES", "slice_statistics"]

NAMES = ("mean", "std", "skewness", "kurtosis", "p10", "median", "p90", "share")


def slice_statistics(slices: Any) -> np.ndarray[Any, Any]:
    """Describe the pixels of each slice that are not NaN.

    Parameters
    ----------
    slices : array of shape (n, h, w), on the host
        NaN outside the region.

    Returns
    -------
    array of shape (n, 8), float32
        Mean, standard deviation, skewness and excess kurtosis (0 where all are the same),
        percentiles 10, 50 and 90, and the share of pixels that are not NaN.

    Examples
    --------
    >>> slice_statistics(np.array([[[1.0, 3.0], [np.nan, np.nan]]]))[0].round(2)
    array([ 2. ,  1. ,  0. , -2. ,  1.2,  2. ,  2.8,  0.5], dtype=float32)
    """
    rows = np.asarray(slices, np.float64).reshape(len(slices), -1)
    mean, deviation = np.nanmean(rows, axis=1), np.nanstd(rows, axis=1)
    flat = deviation <= 1e-9 * abs(mean)
    scaled = (rows - mean[:, None]) / np.where(flat, 1.0, deviation)[:, None]
    skewness, kurtosis = np.nanmean(scaled**3, axis=1), np.nanmean(scaled**4, axis=1) - 3
    percentiles = np.nanpercentile(rows, [10, 50, 90], axis=1)
    columns = [
        mean, deviation, np.where(flat, 0, skewness), np.where(flat, 0, kurtosis),
        *percentiles, np.isfinite(rows).mean(axis=1),
    ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)
