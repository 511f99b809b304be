"""Calibration, against SciPy's minimiser and scikit-learn where both are free."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.calibration import _SigmoidCalibration
from sklearn.linear_model import LogisticRegression

from fastmm.validate.calibration import calibrated, fit_calibration

PENALTY = 0.005


def scipy_minimum(scores, codes, method, weight):
    """Minimise the documented loss by a quasi-Newton method, within its bound."""
    scores = np.stack([0 * scores, scores], axis=1) if scores.ndim == 1 else scores

    def loss(parameters):
        offsets = np.concatenate([[0.0], parameters[1:]]) if method == "platt" else 0.0
        chance = log_softmax(parameters[0] * scores + offsets, axis=1)
        return -(weight * chance[np.arange(codes.size), codes]).sum() + PENALTY * parameters[0] ** 2

    count = scores.shape[1] if method == "platt" else 1
    bounds = [(0, None)] + [(None, None)] * (count - 1)
    start = np.ones(count)
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000, "maxfun": 10**6}
    return loss, minimize(loss, start, method="L-BFGS-B", bounds=bounds, options=options).fun


def parameters(slope, offsets, method):
    return np.array([slope, *offsets[1:]]) if method == "platt" else np.array([slope])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ["platt", "temperature"])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("effect", [-0.5, 0.0, 0.3, 2.0, 30.0])
def test_no_other_parameters_have_a_lower_loss(effect, classes, method, weighted):
    rng = np.random.default_rng(classes)
    codes = np.concatenate([np.arange(classes), rng.integers(0, classes, 150)])
    truth = np.eye(classes)[codes]
    scores = rng.normal(size=truth.shape) + effect * truth
    scores = scores[:, 1] - 0.5 if classes == 2 else scores
    weight = rng.uniform(0.1, 3, codes.size) if weighted else np.ones(codes.size)
    slope, offsets = fit_calibration(
        scores, codes, method=method, sample_weight=weight if weighted else None
    )
    loss, lowest = scipy_minimum(scores, codes, method, weight)
    found = loss(parameters(slope, offsets, method))
    assert slope >= 0
    assert offsets[0] == 0
    if method == "temperature":
        assert (offsets == 0).all()
    assert found <= lowest + 1e-9 * abs(lowest) + 1e-9


def test_equals_logistic_regression_where_the_slope_is_positive():
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.3).astype(int)
    score = y + rng.normal(size=200)
    # 1/2 w^2 + C sum(loss) with C = 100 is 0.005 w^2 + sum(loss).
    oracle = LogisticRegression(C=100.0, tol=1e-10, solver="newton-cholesky", max_iter=1000)
    oracle.fit(score[:, None], y)
    found = calibrated(score, *fit_calibration(score, y))
    np.testing.assert_allclose(found, oracle.predict_proba(score[:, None]), atol=1e-7)


def test_equals_the_sigmoid_of_scikit_learn_but_for_its_smoothed_labels():
    rng = np.random.default_rng(1)
    y = (rng.random(20_000) < 0.3).astype(int)
    score = y + rng.normal(size=y.size)
    oracle = _SigmoidCalibration().fit(score, y)
    found = calibrated(score, *fit_calibration(score, y))[:, 1]
    np.testing.assert_allclose(found, oracle.predict(score), atol=1e-3)


@pytest.mark.parametrize("method", ["platt", "temperature"])
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_against_the_labels_give_the_frequencies(classes, method):
    y = np.arange(60) % classes
    against = -np.eye(classes)[y] if classes > 2 else 0.5 - y
    slope, offsets = fit_calibration(against, y, method=method)
    assert slope == 0
    np.testing.assert_allclose(calibrated(against, slope, offsets), 1 / classes, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_separated_classes_stay_finite(scale):
    score, y = scale * np.repeat([-1.0, 1.0], 5), np.repeat([0, 1], 5)
    slope, offsets = fit_calibration(score, y)
    assert np.isfinite([slope, *offsets]).all()
    probability = calibrated(score, slope, offsets)
    if scale >= 1:
        assert (probability.argmax(axis=1) == y).all()


def test_constant_scores_give_the_frequencies():
    y = np.array([0, 0, 0, 1])
    for value in (0.0, 3.0):
        slope, offsets = fit_calibration(np.full(4, value), y)
        np.testing.assert_allclose(calibrated([value], slope, offsets), [[0.75, 0.25]])


def test_three_classes_rise_with_their_scores():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 300)
    scores = np.eye(3)[y] + rng.normal(0, 0.5, (300, 3))
    probability = calibrated(scores, *fit_calibration(scores, y))
    np.testing.assert_allclose(probability.mean(axis=0), np.bincount(y) / 300, atol=1e-12)
    assert (probability.argmax(axis=1) == y).mean() > 0.8
    cooled = calibrated(scores, *fit_calibration(scores, y, method="temperature"))
    np.testing.assert_array_equal(cooled.argmax(axis=1), scores.argmax(axis=1))


def test_a_weight_of_two_is_a_row_twice():
    rng = np.random.default_rng(2)
    y, score, times = rng.integers(0, 2, 50), rng.normal(size=50), rng.integers(1, 3, 50)
    found = fit_calibration(score + y, y, sample_weight=times)
    expected = fit_calibration(np.repeat(score + y, times), np.repeat(y, times))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9)


def test_device_arrays(xp_any):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 40)
    score = y + rng.normal(size=40)
    there = fit_calibration(xp_any.asarray(score), xp_any.asarray(y))
    here = fit_calibration(score, y)
    assert there[0] == here[0]
    probability = calibrated(xp_any.asarray(score), *there)
    np.testing.assert_array_equal(probability, calibrated(score, *here))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decision": [0.0, np.nan, 1.0]}, "`decision` contains NaN"),
        ({"decision": [[[0.0]]]}, r"shape \(n,\) or \(n, classes\)"),
        ({"codes": [0, 1]}, r"`codes` and `sample_weight` must have shape \(3,\)"),
        ({"codes": [0, 0, 0]}, "each of the 2 classes"),
        ({"codes": [0, 1, 2]}, "each of the 2 classes"),
        ({"sample_weight": [1.0, 0.0, 1.0]}, "each of the 2 classes"),
        ({"method": "isotonic"}, "`method`"),
    ],
)
def test_refused(arguments, message):
    given = {"decision": [0.0, 1.0, 2.0], "codes": [0, 1, 0], **arguments}
    with pytest.raises(ValueError, match=message):
        fit_calibration(**given)
