from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fastmm.validate.bootstrap import _areas, bootstrap_auc


def cohort(n=80, patients=25, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    score = rng.normal(size=n) + y
    groups = np.array([f"p{i}" for i in rng.integers(0, patients, n)])
    return y, score.round(1) if ties else score, groups


@pytest.mark.parametrize("ties", [False, True])
def test_areas_equal_weighted_roc_auc_score(ties):
    y, score, _ = cohort(ties=ties)
    times = np.random.default_rng(1).integers(0, 4, (20, y.size))
    order = np.argsort(score, kind="stable")
    levels = np.unique(score[order], return_index=True)[1]
    found = _areas(times[:, order], y[order] == 1, levels)
    expected = [roc_auc_score(y, score, sample_weight=row) for row in times]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


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


def test_patients_widen_the_interval():
    y, score, _ = cohort(n=40, ties=False)
    repeated, groups = np.repeat(np.arange(40), 5), np.repeat(np.arange(40), 5)
    _, low, high = bootstrap_auc(y[repeated], score[repeated], groups)
    _, low_rows, high_rows = bootstrap_auc(y[repeated], score[repeated])
    assert high - low > 1.8 * (high_rows - low_rows)


def test_chunks_do_not_change_the_result(monkeypatch):
    y, score, groups = cohort()
    whole = bootstrap_auc(y, score, groups, n_resamples=200)
    monkeypatch.setattr("fastmm.validate.bootstrap._CHUNK", 700)
    assert bootstrap_auc(y, score, groups, n_resamples=200) == whole


def test_larger_label_is_positive():
    y = np.array(["benign", "malignant"] * 10)
    score = np.where(y == "malignant", 2, 1).astype(np.uint8)
    assert bootstrap_auc(y, score) == (1.0, 1.0, 1.0)
    assert bootstrap_auc(y == "benign", score) == (0.0, 0.0, 0.0)


def test_resamples_of_one_class_are_dropped_and_counted():
    y, score = [0, 0, 0, 1], [0.1, 0.4, 0.2, 0.3]
    with pytest.warns(UserWarning, match=r"^\d+ of 500 resamples held one class only"):
        auc, low, high = bootstrap_auc(y, score, n_resamples=500)
    assert auc == pytest.approx(2 / 3)
    assert 0 <= low <= high <= 1


def test_device_arrays(xp_any):
    y, score, groups = cohort()
    found = bootstrap_auc(xp_any.asarray(y), xp_any.asarray(score), groups, n_resamples=50)
    assert found == bootstrap_auc(y, score, groups, n_resamples=50)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": [0, 1, 2, 1]}, ValueError, "2 classes"),
        ({"y": [1, 1, 1, 1]}, ValueError, "1 classes"),
        ({"y": [0, 1, 1]}, ValueError, "as long"),
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
    with pytest.raises(ValueError, match="All resamples held one class only"):
        bootstrap_auc([0, 1], [0, 1], n_resamples=1, seed=0)
