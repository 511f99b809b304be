"""Intervals of the area by resampling patients, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fastmm.validate.bootstrap import bootstrap_auc


def cohort(n=80, patients=25, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    score = rng.normal(size=n) + y
    groups = np.array([f"p{i}" for i in rng.integers(0, patients, n)])
    return y, score.round(1) if ties else score, groups


def test_interval_equals_a_naive_bootstrap():
    y, score, groups = cohort()
    auc, low, high = bootstrap_auc(y, score, groups, n_resamples=300, confidence=0.9, seed=5)
    assert auc == pytest.approx(roc_auc_score(y, score), rel=1e-12)
    names = list(dict.fromkeys(groups))
    rng, areas = np.random.default_rng(5), []
    for draw in rng.integers(0, len(names), (300, len(names))):
        rows = np.concatenate([np.flatnonzero(groups == names[i]) for i in draw])
        areas.append(roc_auc_score(y[rows], score[rows]))
    np.testing.assert_allclose([low, high], np.quantile(areas, [0.05, 0.95]), rtol=1e-12)


def test_interval_of_three_classes_equals_a_naive_bootstrap():
    rng = np.random.default_rng(2)
    y = np.array(["a", "b", "c"])[rng.integers(0, 3, 90)]
    groups = rng.integers(0, 30, 90)
    logits = rng.normal(size=(90, 3)) + 1.5 * (y[:, None] == np.unique(y))
    score = np.exp(logits.round(1))
    score /= score.sum(axis=1, keepdims=True)
    score = score.round(3)
    score[:, 0] = 1 - score[:, 1] - score[:, 2]
    found = bootstrap_auc(y, score, groups, n_resamples=200, confidence=0.8, seed=3)
    options = {"multi_class": "ovr", "average": "macro"}
    names = list(dict.fromkeys(groups))
    rng, areas = np.random.default_rng(3), []
    for draw in rng.integers(0, len(names), (200, len(names))):
        rows = np.concatenate([np.flatnonzero(groups == names[i]) for i in draw])
        areas.append(roc_auc_score(y[rows], score[rows], **options))
    expected = [roc_auc_score(y, score, **options), *np.quantile(areas, [0.1, 0.9])]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_patients_widen_the_interval():
    y, score, _ = cohort(n=40, ties=False)
    repeated, groups = np.repeat(np.arange(40), 5), np.repeat(np.arange(40), 5)
    _, low, high = bootstrap_auc(y[repeated], score[repeated], groups)
    _, low_rows, high_rows = bootstrap_auc(y[repeated], score[repeated])
    assert high - low > 1.8 * (high_rows - low_rows)


def test_chunks_do_not_change_the_result(monkeypatch):
    y, score, groups = cohort()
    whole = bootstrap_auc(y, score, groups, n_resamples=200)
    monkeypatch.setattr("fastmm.validate.resampling._CHUNK", 700)
    assert bootstrap_auc(y, score, groups, n_resamples=200) == whole


def test_larger_label_is_positive():
    y = np.array(["benign", "malignant"] * 10)
    score = np.where(y == "malignant", 2, 1).astype(np.uint8)
    assert bootstrap_auc(y, score) == (1.0, 1.0, 1.0)
    assert bootstrap_auc(y == "benign", score) == (0.0, 0.0, 0.0)


def test_resamples_of_one_class_are_dropped_and_counted():
    y, score = [0, 0, 0, 1], [0.1, 0.4, 0.2, 0.3]
    with pytest.warns(UserWarning, match=r"^\d+ of 500 resamples lacked a class"):
        auc, low, high = bootstrap_auc(y, score, n_resamples=500)
    assert auc == pytest.approx(2 / 3)
    assert 0 <= low <= high <= 1


def test_resamples_without_one_of_three_classes_are_dropped_and_counted():
    y, score = np.array([0, 0, 1, 1, 2, 2, 2, 2]), np.random.default_rng(0).random((8, 3))
    draws = np.random.default_rng(0).integers(0, 8, (100, 8))
    lacking = sum(np.unique(y[draw]).size < 3 for draw in draws)
    assert lacking > 0
    with pytest.warns(UserWarning, match=f"^{lacking} of 100 resamples lacked a class"):
        auc, low, high = bootstrap_auc(y, score, n_resamples=100)
    assert 0 <= low <= auc <= high <= 1


def test_device_arrays(xp_any):
    y, score, groups = cohort()
    found = bootstrap_auc(xp_any.asarray(y), xp_any.asarray(score), groups, n_resamples=50)
    assert found == bootstrap_auc(y, score, groups, n_resamples=50)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": [0, 1, 2, 1]}, ValueError, r"shape \(4, 3\) for 4 labels of 3 classes, got \(4,\)"),
        ({"y": [1, 1, 1, 1]}, ValueError, "1 classes"),
        ({"y": [[0, 1], [1, 0]]}, ValueError, "`y` must have shape"),
        ({"y": [0, 1, 1]}, ValueError, r"`score` must have shape \(3,\)"),
        ({"score": np.zeros((4, 2))}, ValueError, r"`score` must have shape \(4,\)"),
        ({"score": [0.0, np.nan, 1.0, 2.0]}, ValueError, "1 of 4 values"),
        ({"score": [[0.0], [1.0], [1.0], [2.0]]}, ValueError, "`score` must have shape"),
        ({"score": ["a", "b", "c", "d"]}, TypeError, "`score`"),
        ({"groups": [1, 1, 1, 1]}, ValueError, "at least 2 groups"),
        ({"confidence": 1.0}, ValueError, "less than 1"),
        ({"confidence": 0.0}, ValueError, "`confidence`"),
        ({"n_resamples": 0}, ValueError, "`n_resamples`"),
    ],
)
def test_refused(arguments, error, message):
    given = {"y": [0, 1, 0, 1], "score": [0.0, 1.0, 2.0, 3.0], **arguments}
    with pytest.raises(error, match=message):
        bootstrap_auc(**given)


def test_no_resample_with_both_classes():
    with pytest.raises(ValueError, match="All resamples lacked a class"):
        bootstrap_auc([0, 1], [0, 1], n_resamples=1, seed=0)
