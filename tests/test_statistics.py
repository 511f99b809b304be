"""patch_statistics against NumPy and SciPy on explicit patches, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats

from fastmm.features.statistics import patch_statistics

NAMES = (
    "mean", "variance", "std", "skewness", "kurtosis", "minimum", "maximum", "range", "energy",
    "rms", "entropy", "uniformity", "median", "p10", "p90", "p2.5", "iqr", "p0", "p100",
)  # fmt: skip


def explicit(images, size, step):
    """Return the patches as rows, one for each place of the grid, and the grid's shape."""
    axes = tuple(range(images.ndim - len(size), images.ndim))
    views = sliding_window_view(images, size, axis=axes)
    every = (slice(None),) * (images.ndim - len(size)) + tuple(slice(None, None, s) for s in step)
    views = views[every]
    return views.reshape(-1, int(np.prod(size))), views.shape[: images.ndim]


def describe(rows, work, bins=32, bounds=None):
    """Compute all statistics in float64; the bins of the histogram in the dtype `work`."""
    x, kind = rows.astype(np.float64), np.dtype(work).type
    low, high = rows.min(1, keepdims=True), rows.max(1, keepdims=True)
    constant = (low == high)[:, 0]
    if bounds is not None:
        low, high = (np.full((len(rows), 1), b) for b in bounds)
    rows, low, high = rows.astype(work), low.astype(work), high.astype(work)
    span = np.where(high > low, high - low, kind(1))
    place = np.where(rows > low, np.clip(kind(bins) * (rows - low) / span, 0, bins - 1), 0)
    share = np.stack([(place.astype(int) == b).mean(1) for b in range(bins)], axis=1)
    x0 = np.where(constant[:, None], np.arange(x.shape[1]), x)  # SciPy warns of constant ones
    if x.shape[1] == 1:
        skewness = kurtosis = np.zeros(len(x))
    else:
        skewness = np.where(constant, 0, stats.skew(x0, axis=1))
        kurtosis = np.where(constant, 0, stats.kurtosis(x0, axis=1))
    p = {q: np.percentile(x, q, axis=1) for q in (0, 2.5, 10, 25, 50, 75, 90, 100)}
    columns = [
        x.mean(1), x.var(1), x.std(1), skewness, kurtosis, x.min(1), x.max(1), np.ptp(x, 1),
        (x**2).sum(1), np.sqrt((x**2).mean(1)), stats.entropy(share, base=2, axis=1),
        (share**2).sum(1), p[50], p[10], p[90], p[2.5], p[75] - p[25], p[0], p[100],
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def assert_agree(got, expected, tolerance):
    """Compare every statistic, relative to its own size where that is over 1."""
    error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    worst = dict(zip(NAMES, error.max(0), strict=True))
    assert error.max() <= tolerance, worst


def draw(dtype, shape, mean=40.0, std=9.0):
    images = np.random.default_rng(0).normal(mean, std, shape)
    images[..., :4] = images.flat[0]  # constant patches, too
    return images.astype(dtype)


SIDES = ("lower", "higher")
TOLERANCE = {"f4": 2e-7, "f8": 1e-11}


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i2", "u1", "i4", "bool"])
@pytest.mark.parametrize(
    ("shape", "size", "step"),
    [
        ((3, 50), (7,), (2,)),
        ((3, 30, 33), (5, 4), (2, 3)),
        ((30, 33), (16, 16), (8, 8)),
        ((2, 9, 10), (3, 3), (5, 5)),
        ((2, 9, 10), (1, 1), (1, 1)),
        ((2, 9, 10), (9, 10), (1, 1)),
        ((2, 7, 8, 9), (3, 4, 5), (2, 2, 1)),
    ],
)
def test_equals_numpy_and_scipy_on_explicit_patches(shape, size, step, dtype):
    images = draw(dtype, shape)
    work = "f8" if dtype in ("f8", "i4") else "f4"
    rows, grid = explicit(images, size, step)
    got = patch_statistics(images, size, step=step, statistics=NAMES)
    assert got.dtype == work
    assert got.shape == (*grid, len(NAMES))
    assert_agree(got.reshape(-1, len(NAMES)), describe(rows, work), TOLERANCE[work])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("mean", "std"), [(1e4, 1), (-1e6, 3), (0, 1e-3), (1e-20, 1e-22)])
def test_a_large_mean_costs_no_accuracy(mean, std, dtype):
    images = draw(dtype, (2, 40, 41), mean, std)
    rows, _ = explicit(images, (16, 9), (4, 4))
    got = patch_statistics(images, (16, 9), step=4, statistics=NAMES).reshape(-1, len(NAMES))
    expected = describe(rows, dtype)
    np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == "f4" else 1e-9, atol=1e-6)
    shape = slice(NAMES.index("skewness"), NAMES.index("kurtosis") + 1)
    assert np.abs(got[:, shape] - expected[:, shape]).max() < 1e-6


@pytest.mark.parametrize(
    "kind",
    ["exponential", "two tissues", "outlier", "ties", "both signs", "few ulps", "whole range"],
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_percentiles_of_any_distribution_are_exact(kind, dtype):
    rng = np.random.default_rng(0)
    shape = (60, 60)
    images = {
        "exponential": np.exp(rng.normal(0, 8, shape)),
        "two tissues": np.where(rng.random(shape) < 0.5, -950, 40) + rng.normal(0, 10, shape),
        "outlier": rng.normal(0, 1, shape) + 1e9 * (rng.random(shape) < 1e-3),
        "ties": rng.integers(-2, 3, shape),
        "few ulps": 1e4 + rng.integers(0, 3, shape) * np.spacing(np.array(1e4, dtype)),
        "whole range": rng.uniform(-1, 1, shape) * (3.4e38 if dtype == "f4" else 1e100),
        "both signs": rng.normal(0, 1, shape) * 10.0 ** rng.integers(-30, 30, shape),
    }[kind].astype(dtype)
    percents = (0, 1, 10, 25, 50, 66.6, 90, 99.9, 100)
    names = [f"p{q}" for q in percents]
    for size in ((1, 2), (7, 9), (30, 31)):
        rows, _ = explicit(images, size, (6, 6))
        got = patch_statistics(images, size, step=6, statistics=names).reshape(-1, len(names))
        wide = rows.astype("f8")
        expected = np.percentile(wide, percents, axis=1).T
        # The weight of the neighbour above is rounded, and counts by their distance.
        below, above = (np.percentile(wide, percents, axis=1, method=m).T for m in SIDES)
        scale = np.maximum(np.abs(below), np.abs(above))
        assert np.all(np.abs(got - expected) <= (2e-7 if dtype == "f4" else 1e-12) * scale)
        exact = below == above
        np.testing.assert_array_equal(got[exact], below[exact])


@pytest.mark.parametrize("bins", [1, 2, 32, 255, 256])
@pytest.mark.parametrize("bounds", [None, (-100, 300), (20.5, 60.25)])
def test_bins_and_their_bounds(bins, bounds):
    images = draw("i2", (3, 40, 40), 60, 80)
    rows, _ = explicit(images, (10, 10), (5, 5))
    got = patch_statistics(
        images, (10, 10), step=5, statistics=("entropy", "uniformity"), bins=bins, bounds=bounds
    )
    expected = describe(rows, "f4", bins, bounds)[:, 10:12]
    np.testing.assert_allclose(got.reshape(-1, 2), expected, atol=1e-6)
    # Integers meet the edges of bins exactly, which float64 confirms.
    exact = describe(rows, "f8", bins, bounds)[:, 10:12]
    np.testing.assert_allclose(got.reshape(-1, 2), exact, atol=1e-6)


def test_the_defaults_and_their_order():
    images = draw("f4", (20, 20))
    names = ("mean", "std", "skewness", "kurtosis", "energy", "entropy", "p10", "median", "p90")
    got = patch_statistics(images, (8, 8), step=4)
    np.testing.assert_array_equal(got, patch_statistics(images, (8, 8), step=4, statistics=names))
    turned = patch_statistics(images, (8, 8), step=4, statistics=names[::-1])
    np.testing.assert_array_equal(got, turned[..., ::-1])


def test_large_stacks_take_the_parallel_build():
    images = draw("f4", (3, 120, 130))
    rows, _ = explicit(images, (16, 16), (8, 8))
    got = patch_statistics(images, (16, 16), step=8, statistics=NAMES)
    assert_agree(got.reshape(-1, len(NAMES)), describe(rows, "f4"), 2e-7)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_sizes_and_steps(data):
    spatial = data.draw(st.integers(1, 3))
    size = [data.draw(st.integers(1, 5)) for _ in range(spatial)]
    shape = [p + data.draw(st.integers(0, 5)) for p in size]
    step = [data.draw(st.integers(1, 7)) for _ in range(spatial)]
    images = np.random.default_rng(data.draw(st.integers(0, 99))).normal(40, 9, (2, *shape))
    rows, _ = explicit(images, size, step)
    got = patch_statistics(images, size, step=step, statistics=NAMES).reshape(-1, len(NAMES))
    assert_agree(got, describe(rows, "f8"), 1e-11)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_makes_its_patches_nan_and_no_others(xp, value):
    images = draw("f4", (4, 12))
    expected = patch_statistics(images, (4, 4), step=4, statistics=NAMES)
    images[2, 6] = value
    got = xp.asnumpy(patch_statistics(xp.asarray(images), (4, 4), step=4, statistics=NAMES))
    assert np.isnan(got[0, 1]).all()
    np.testing.assert_allclose(got[0, ::2], expected[0, ::2], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("value", [0.0, -1024.0, 1e30, 0.1])
def test_constant_patches(xp, value):
    names = ("mean", "std", "skewness", "kurtosis", "entropy", "uniformity", "iqr", "p10", "range")
    images = np.full((5, 5), value, "f4")
    got = xp.asnumpy(patch_statistics(xp.asarray(images), (3, 3), step=2, statistics=names))
    flat = np.float32(value)
    np.testing.assert_array_equal(got[1, 1], np.array([flat, 0, 0, 0, 0, 1, 0, flat, 0], "f4"))


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1", "bool"])
def test_any_array_library(xp, dtype):
    shape, size, step = ((2, 6, 7), (4, 3), (2, 4)) if xp.small else ((3, 40, 41), (9, 16), (4, 5))
    images = draw(dtype, shape, 1000 if dtype[0] in "fi" else 40)
    rows, _ = explicit(images, size, step)
    got = xp.asnumpy(patch_statistics(xp.asarray(images), size, step=step, statistics=NAMES))
    work = "f8" if dtype == "f8" else "f4"
    tolerance = 1e-5 if work == "f4" else 1e-10
    assert_agree(got.reshape(-1, len(NAMES)), describe(rows, work), tolerance)


def test_volumes_in_any_array_library(xp):
    volume = draw("f4", (4, 5, 6))
    rows, _ = explicit(volume, (2, 3, 3), (2, 2, 3))
    got = patch_statistics(
        xp.asarray(volume), (2, 3, 3), step=(2, 2, 3), statistics=NAMES, bins=7, bounds=(30, 50)
    )
    got = xp.asnumpy(got).reshape(-1, len(NAMES))
    assert_agree(got, describe(rows, "f4", 7, (30, 50)), 1e-5)


def test_any_layout_and_the_input_stays():
    images = draw("f4", (3, 20, 21))
    expected = patch_statistics(images, (4, 4), step=3)
    turned = np.asfortranarray(images)
    turned.flags.writeable = False
    np.testing.assert_array_equal(patch_statistics(turned, (4, 4), step=3), expected)
    backwards = np.ascontiguousarray(images[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(patch_statistics(backwards, (4, 4), step=3), expected)


def test_no_images():
    assert patch_statistics(np.zeros((0, 5, 5)), (2, 3), statistics=("mean",)).shape == (0, 4, 3, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"statistics": "mean"}, TypeError, "`statistics` must be a sequence of names, got 'mean'"),
        ({"statistics": ()}, ValueError, "`statistics` must name at least one statistic"),
        ({"statistics": ("mode",)}, ValueError, "`statistics` may hold \"mean\", .*got 'mode'"),
        ({"statistics": ("p101",)}, ValueError, '"p0" to "p100" for percentiles, got \'p101\''),
        ({"statistics": ("percentile",)}, ValueError, "got 'percentile'"),
        ({"statistics": (3,)}, ValueError, "got 3"),
        ({"bins": 0}, ValueError, "`bins` must be a positive integer, got 0"),
        ({"bins": 257}, ValueError, "`bins` must be at most 256, got 257"),
        ({"bounds": 3}, ValueError, "`bounds` must be two numbers, low and high, got 3"),
        ({"bounds": (3, 3)}, ValueError, "`bounds` must be low and a larger high, got 3 and 3"),
        ({"bounds": (0, np.inf)}, ValueError, r"`bounds\[1\]` must be a finite number"),
        ({"step": 0}, ValueError, "`step` must be a positive integer, got 0"),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        patch_statistics(np.ones((5, 5)), (2, 2), **options)


def test_wrong_images_are_named():
    with pytest.raises(ValueError, match=r"patches of \(6, 2\) for `images` of shape \(5, 5\)"):
        patch_statistics(np.ones((5, 5)), (6, 2))
    with pytest.raises(ValueError, match="Complex data not supported"):
        patch_statistics(np.ones((5, 5)) * 1j, (2, 2))
