"""Calibration, against scikit-learn's logistic regression where both are free."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fastmm.validate.calibration import calibrated, fit_calibration


def test_equals_logistic_regression_where_the_slope_is_positive():
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.3).astype(int)
    score = y + rng.normal(size=200)
    # 1/2 w^2 + C sum(loss) with C = 100 is 0.005 w^2 + sum(loss).
    oracle = LogisticRegression(C=100.0, tol=1e-10, max_iter=10_000).fit(score[:, None], y)
    found = calibrated(score, *fit_calibration(score, y))
    np.testing.assert_allclose(found, oracle.predict_proba(score[:, None]), atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_against_the_labels_give_the_frequencies(classes):
    y = np.arange(60) % classes
    against = -np.eye(classes)[y] if classes > 2 else 0.5 - y
    slope, offsets = fit_calibration(against, y)
    assert slope == 0
    np.testing.assert_allclose(calibrated(against, slope, offsets), 1 / classes, atol=1e-4)


def test_separated_classes_stay_finite():
    slope, offsets = fit_calibration(np.repeat([-1.0, 1.0], 5), np.repeat([0, 1], 5))
    assert 1 < slope < 100
    assert np.isfinite(offsets).all()


def test_three_classes_rise_with_their_scores():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 300)
    scores = np.eye(3)[y] + rng.normal(0, 0.5, (300, 3))
    probability = calibrated(scores, *fit_calibration(scores, y))
    np.testing.assert_allclose(probability.mean(axis=0), np.bincount(y) / 300, atol=1e-3)
    assert (probability.argmax(axis=1) == y).mean() > 0.8
