"""Calibration of probabilities: scikit-learn's curve and score, logistic fits, naive bootstraps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from fastmm.validate.recalibration import recalibration_intercepts, recalibration_slopes
from fastmm.validate.reliability import bootstrap_brier, measure_reliability
from fastmm.validate.resampling import bootstrap


def example(seed, n=120, slope=0.6, shift=0.4):
    """Probabilities that are too extreme, and too low."""
    rng = np.random.default_rng(seed)
    p = expit(2 * rng.normal(size=n))
    y = (rng.random(n) < expit(slope * logit(p) + shift)).astype(int)
    return y, p, rng.integers(0, 40, n)


def fitted(y, p):
    """Return scikit-learn's slope without a penalty, and the shift found by a plain search."""
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(logit(p)[:, None], y)
    shift = minimize(
        lambda a: np.logaddexp(0, logit(p) + a[0]).sum() - (y * (logit(p) + a[0])).sum(), [0.0]
    )
    return model.coef_[0, 0], shift.x[0]


@pytest.mark.parametrize("bins", [3, 5, 10])
def test_curve_is_that_of_scikit_learn(bins):
    y, p, groups = example(1)
    found = measure_reliability(y, p, groups, n_bins=bins, n_resamples=20)
    observed, predicted = calibration_curve(y, p, n_bins=bins, strategy="quantile")
    np.testing.assert_allclose([b.observed for b in found.bins], observed)
    np.testing.assert_allclose([b.predicted for b in found.bins], predicted)
    assert sum(b.n for b in found.bins) == 120


def test_bins_have_wilsons_interval_of_their_patients():
    y, p, groups = example(2)
    for own in measure_reliability(y, p, None, n_bins=6, n_resamples=20).bins:
        assert own.groups == own.n
        ends = binomtest(round(own.observed * own.n), own.n).proportion_ci(method="wilson")
        np.testing.assert_allclose([own.low, own.high], ends, atol=1e-12)
    fewer = measure_reliability(y, p, groups, n_bins=2, n_resamples=20).bins
    alone = measure_reliability(y, p, None, n_bins=2, n_resamples=20).bins
    for own, other in zip(fewer, alone, strict=True):
        assert own.groups < own.n
        assert own.high - own.low > other.high - other.low


def test_default_bins_hold_ten_rows():
    for n, bins in ((24, 2), (60, 6), (500, 10)):
        y, p, _ = example(3, n=n)
        assert len(measure_reliability(y, p, n_resamples=20).bins) == bins


def test_brier_score_is_that_of_scikit_learn():
    y, p, groups = example(4)
    found = measure_reliability(y, p, groups, n_resamples=20)
    assert found.brier.value == pytest.approx(brier_score_loss(y, p))
    assert found.brier_guess == pytest.approx(brier_score_loss(y, np.full(len(y), y.mean())))
    both = bootstrap_brier(y, np.c_[1 - p, p], groups, n_resamples=20)
    assert both == pytest.approx(found.brier)
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(3), 90)
    labels = np.array(["a", "b", "c"])[rng.integers(0, 3, 90)]
    many = bootstrap_brier(labels, chances, n_resamples=20)
    assert many.value == pytest.approx(brier_score_loss(labels, chances, labels=["a", "b", "c"]))


@pytest.mark.parametrize("slope", [0.3, 1.0, 2.5, -0.7])
def test_slope_and_intercept_are_those_of_logistic_fits(slope):
    for seed in range(4):
        y, p, _ = example(seed, slope=slope)
        found = measure_reliability(y, p, n_resamples=20)
        expected = fitted(y, p)
        assert found.slope.value == pytest.approx(expected[0], abs=1e-4)
        assert found.intercept.value == pytest.approx(expected[1], abs=1e-5)


def test_intervals_equal_a_naive_bootstrap():
    y, p, groups = example(5, n=60)
    found = measure_reliability(y, p, groups, n_resamples=40, seed=3)
    names = np.array(list(dict.fromkeys(groups)))
    rng, values = np.random.default_rng(3), []
    for drawn in rng.integers(0, names.size, (40, names.size)):
        rows = np.concatenate([np.flatnonzero(groups == names[i]) for i in drawn])
        values.append([brier_score_loss(y[rows], p[rows]), *fitted(y[rows], p[rows])])
    ends = np.quantile(values, [0.025, 0.975], axis=0).T
    np.testing.assert_allclose(
        [found.brier[1:], found.slope[1:], found.intercept[1:]], ends, atol=2e-4
    )


def test_weights_stand_for_copies():
    y, p, _ = example(6, n=40)
    times = np.random.default_rng(0).integers(0, 4, (8, 40))
    slopes = recalibration_slopes(y == 1, logit(p), times)
    shifts = recalibration_intercepts(y == 1, logit(p), times)
    for own, slope, shift in zip(times, slopes, shifts, strict=True):
        expected = fitted(np.repeat(y, own), np.repeat(p, own))
        assert (slope, shift) == pytest.approx(expected, abs=1e-4)


def test_classes_that_do_not_overlap_have_no_finite_slope():
    y, p = np.array([0, 0, 1, 1] * 5), np.array([0.1, 0.2, 0.7, 0.8] * 5)
    assert measure_reliability(y, p).slope[0] == np.inf
    assert measure_reliability(1 - y, p).slope[0] == -np.inf
    touching = np.array([0.1, 0.5, 0.5, 0.8] * 5)  # the fit runs away here, too
    assert measure_reliability(y, touching).slope[0] == np.inf
    nearly = p.copy()
    nearly[0] = 0.9
    found = measure_reliability(y, nearly, n_resamples=200)
    assert np.isfinite(found.slope.value)
    assert found.slope.high == np.inf


def test_probabilities_of_0_and_1_and_all_alike():
    y = np.array([0, 1] * 10)
    found = measure_reliability(y, np.full(20, 0.5))
    assert np.isnan(found.slope).all()
    assert found.intercept.value == pytest.approx(0, abs=1e-12)
    assert [b.n for b in found.bins] == [20]
    wrong = np.where(np.arange(20) < 4, 1.0 - y, y)
    found = measure_reliability(y, wrong)
    assert np.isfinite(found.slope.value)
    assert found.brier.value == pytest.approx(0.2)


def test_bootstrap_of_any_statistic():
    values = np.arange(30.0)
    found = bootstrap(lambda t: t @ values / t.sum(axis=1), 30, n_resamples=4000)
    error = values.std() / np.sqrt(30)
    assert found.value == 14.5
    np.testing.assert_allclose(found[1:], 14.5 + error * np.array([-1.96, 1.96]), atol=0.25)


def test_mistakes_are_told():
    y, p, _ = example(0)
    with pytest.raises(ValueError, match="`probability` must lie between 0 and 1"):
        measure_reliability(y, p + 1)
    with pytest.raises(ValueError, match="`probability` must have shape"):
        measure_reliability(y, p[1:])
    with pytest.raises(ValueError, match="`y` must hold 2 labels"):
        measure_reliability(np.arange(120) % 3, np.full((120, 3), 1 / 3))
    with pytest.raises(ValueError, match="`probability` must have shape"):
        bootstrap_brier(y, p)
    with pytest.raises(ValueError, match="`n_bins` must be a positive integer"):
        measure_reliability(y, p, n_bins=0)
