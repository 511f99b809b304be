"""Describe overlapping patches by moments, percentiles and entropy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import stats

from fastmm.features.statistics import patch_statistics


class Case(NamedTuple):
    """Images, and the patches to describe."""

    size: int
    step: int
    full: tuple[int, int]  # images and their side
    small: tuple[int, int] = (2, 96)


CASES = (Case(16, 8, (64, 256)), Case(64, 8, (16, 256)), Case(16, 8, (1, 256)))
NAMES = ("mean", "std", "skewness", "kurtosis", "energy", "entropy", "p10", "median", "p90")
BINS = 32
each = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.size}-{c.step}-{c.full[0]}")


@each
def bench_statistics(timed: Any, arrays: Any, pick: Any, case: Case) -> None:
    images = make_images(*pick(case.full, case.small))
    expected = describe(images.astype(np.float64), case)
    timed(
        lambda x: patch_statistics(x, (case.size, case.size), step=case.step, statistics=NAMES),
        arrays.xp.asarray(images),
        group=group(images, case),
        bytes=images.nbytes + expected.size * images.itemsize,
        check=lambda out: error_of(arrays.asnumpy(out), expected),
        tolerance=2e-2,  # a pixel on the edge of a bin may fall on either side of it
    )


@each
def bench_statistics_scipy(timed: Any, pick: Any, case: Case) -> None:
    images = make_images(*pick(case.full, case.small))
    expected = describe(images.astype(np.float64), case)
    timed(
        lambda x: describe(x, case),
        images,
        group=group(images, case),
        peer="NumPy and SciPy on patches",
        bytes=images.nbytes + expected.size * images.itemsize,
        check=lambda out: error_of(out, expected),
        tolerance=2e-2,
    )


def describe(images: np.ndarray, case: Case) -> np.ndarray:
    """Make the patches, then reduce them with whole-array calls: no loop over patches."""
    views = np.lib.stride_tricks.sliding_window_view(images, (case.size, case.size), (-2, -1))
    views = views[..., :: case.step, :: case.step, :, :]
    rows = np.ascontiguousarray(views).reshape(-1, case.size**2)
    low, high = rows.min(1, keepdims=True), rows.max(1, keepdims=True)
    places = np.minimum((BINS * (rows - low) / (high - low)).astype(np.int64), BINS - 1)
    places += BINS * np.arange(len(rows))[:, None]
    counts = np.bincount(places.ravel(), minlength=BINS * len(rows)).reshape(-1, BINS)
    columns = [
        rows.mean(1),
        rows.std(1),
        stats.skew(rows, axis=1),
        stats.kurtosis(rows, axis=1),
        np.einsum("ij,ij->i", rows, rows),
        stats.entropy(counts, base=2, axis=1),
        *np.percentile(rows, (10, 50, 90), axis=1),
    ]
    return np.stack(columns, axis=1).reshape(*views.shape[:3], len(columns))


def group(images: np.ndarray, case: Case) -> str:
    n, height, width = images.shape
    size = f"{case.size} x {case.size}"
    return f"statistics of patches float32 {size}, step {case.step}, of {n} x {height} x {width}"


def error_of(result: np.ndarray, expected: np.ndarray) -> float:
    """Return the greatest difference, relative where a statistic is over 1."""
    return float((np.abs(result - expected) / np.maximum(1, np.abs(expected))).max())


def make_images(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).normal(40, 9, (n, side, side)).astype(np.float32)
