"""Scores of predictions, against scikit-learn's, with weights and ties."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score

from fastmm import metrics
from fastmm.solve.scoring import balanced_accuracy, best_of, r2, roc_auc


def test_metrics_are_those_of_scikit_learn():
    assert "roc_auc_score" in metrics.__all__
    for name in metrics.__all__:
        assert getattr(metrics, name) is getattr(sklearn.metrics, name)


def weights(kind, n):
    rng = np.random.default_rng(7)
    if kind == "none":
        return None
    counts = rng.integers(0, 4, n)
    return counts if kind == "counts" else counts * rng.random(n)


@pytest.mark.parametrize("decimals", [0, 1, 12], ids=["many ties", "ties", "no ties"])
@pytest.mark.parametrize("weighting", ["none", "counts", "real"])
def test_roc_auc_of_many_columns(weighting, decimals):
    rng = np.random.default_rng(0)
    positive = rng.random((4, 90)) < 0.4
    scores = (rng.normal(size=(6, 4, 90)) + positive).round(decimals)
    weight = weights(weighting, 90)
    expected = [
        [roc_auc_score(p, s, sample_weight=weight) for p, s in zip(positive, each, strict=True)]
        for each in scores
    ]
    np.testing.assert_allclose(roc_auc(positive[None], scores, weight), expected, rtol=1e-12)


def test_roc_auc_of_many_weights():
    rng = np.random.default_rng(1)
    positive = rng.random(70) < 0.5
    scores = (rng.normal(size=70) + positive).round(1)
    times = rng.integers(0, 4, (20, 70))
    expected = [roc_auc_score(positive, scores, sample_weight=row) for row in times]
    found = roc_auc(positive[None], scores[None], times)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f4"])
def test_roc_auc_of_any_real_dtype(dtype):
    positive, scores = np.array([True, False, True, False, True]), np.array([1, 1, 0, 0, 1])
    expected = roc_auc_score(positive, scores)
    assert roc_auc(positive, scores.astype(dtype)) == pytest.approx(expected, rel=1e-12)


def test_roc_auc_is_exactly_half_for_constant_scores():
    assert roc_auc(np.arange(7) < 3, np.zeros(7)) == 0.5


def test_no_area_where_a_class_has_no_weight_or_a_score_is_missing():
    positive, scores = np.array([True, True, False]), np.array([2.0, 0.0, 1.0])
    assert np.isnan(roc_auc(np.ones(3, bool), scores))
    assert np.isnan(roc_auc(positive, scores, np.array([1.0, 1.0, 0.0])))
    found = roc_auc(positive[None], np.stack([scores, [np.nan, 0.0, 1.0]]))
    np.testing.assert_array_equal(found, [0.5, np.nan])


@pytest.mark.parametrize("weighting", ["none", "real"])
def test_r2(weighting):
    rng = np.random.default_rng(2)
    y, weight = rng.normal(size=(40, 3)), weights(weighting, 40)
    y[:, 2] = 5
    predicted = y + rng.normal(size=(4, 40, 3))
    predicted[1, :, 2] = 5
    expected = [r2_score(y, each, sample_weight=weight) for each in predicted]
    np.testing.assert_allclose(r2(y, predicted, weight), expected, rtol=1e-12)


@pytest.mark.parametrize("weighting", ["none", "real"])
def test_balanced_accuracy(weighting):
    rng = np.random.default_rng(3)
    codes, predicted = rng.integers(0, 3, (2, 50))
    weight = weights(weighting, 50)
    expected = balanced_accuracy_score(codes, predicted, sample_weight=weight)
    assert balanced_accuracy(codes, predicted, weight) == pytest.approx(expected, rel=1e-12)
    idle = np.ones(50) * (codes != 1)
    only = np.where(predicted == 1, 0, predicted)
    expected = balanced_accuracy_score(codes[codes != 1], only[codes != 1])
    assert balanced_accuracy(codes, only, idle) == pytest.approx(expected, rel=1e-12)


def test_the_first_of_equal_scores_is_best():
    assert best_of(np.array([0.5, 0.9, 0.9])) == 1
    assert best_of(np.array([0.5, 0.3, 0.1 + 0.4 + 1e-16])) == 0
    assert best_of(np.array([-3e-9, -1e-9, -2e-9])) == 1
    assert best_of(np.array([-1e9, 0.3, 0.1 + 0.2])) == 1
    for spoilt in (np.nan, -np.inf):
        with pytest.raises(ValueError, match="overflow float64"):
            best_of(np.array([0.5, spoilt]))
