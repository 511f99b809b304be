"""Areas from pairs of patients left out, against refits without each pair."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fastmm import LSSVC, LSSVCCV, KernelRidge, Ridge, RidgeClassifier, RidgeCV
from fastmm.validate.pairs import leave_pair_out_auc


def refitted(model, X, y, groups, weight):
    """Compare every positive with every negative row by a model without their patients."""
    won = total = 0.0
    weight = np.ones(len(y)) if weight is None else weight
    decide = getattr(model, "decision_function", model.predict)
    for i in np.flatnonzero(y == y.max()):
        for j in np.flatnonzero(y != y.max()):
            train = (groups != groups[i]) & (groups != groups[j])
            model.fit(X[train], y[train], sample_weight=weight[train])
            one, two = np.ravel(decide(X[[i, j]]))
            pair = weight[i] * weight[j]
            won, total = won + pair * ((one > two) + 0.5 * (one == two)), total + pair
    return won / total


def cohort(within=False, n=26):
    rng = np.random.default_rng(2)
    groups = np.sort(rng.integers(0, 9, n))
    y = rng.integers(0, 2, n) if within else groups % 2
    return rng.normal(size=(n, 4)) + 0.5 * y[:, None], y, np.unique(groups, return_inverse=True)[1]


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("within", [False, True], ids=["patients", "rows"])
@pytest.mark.parametrize(
    "model",
    [
        Ridge(2.0),
        Ridge(0.5, fit_intercept=False),
        RidgeClassifier(1.0),
        LSSVC(2.0, gamma=0.2),
        KernelRidge(0.3, kernel="rbf", gamma=0.2, fit_intercept=True),
    ],
    ids=["ridge", "no intercept", "classifier", "LS-SVM", "kernel ridge"],
)
def test_equals_refits(model, within, weighted):
    X, y, groups = cohort(within)
    weight = np.random.default_rng(4).uniform(0.2, 3, len(y)) if weighted else None
    found = leave_pair_out_auc(model, X, y, groups, sample_weight=weight)
    assert found == pytest.approx(refitted(model, X, y, groups, weight), abs=1e-12)
    assert 0 < found < 1


def test_rows_of_no_weight_do_not_count():
    X, y, groups = cohort()
    weight = (np.arange(len(y)) % 4 > 0).astype(float)
    part = weight > 0
    found = leave_pair_out_auc(Ridge(2.0), X, y, groups, sample_weight=weight)
    assert found == pytest.approx(leave_pair_out_auc(Ridge(2.0), X[part], y[part], groups[part]))


def test_every_row_its_own_and_labels_of_any_name():
    X, y, _ = cohort(n=14)
    names = np.array(["well", "ill"])[1 - y]
    found = leave_pair_out_auc(RidgeClassifier(), X, names)
    assert found == pytest.approx(refitted(Ridge(), X, y * 1.0, np.arange(14), None), abs=1e-12)


def test_a_model_without_any_signal_ties():
    X, y, groups = cohort()
    assert leave_pair_out_auc(Ridge(1.0), 0 * X, y, groups) == 0.5


def test_noise_has_an_area_of_one_half_where_pooled_scores_lean_below():
    rng = np.random.default_rng(0)
    pairs, pooled, centred = [], [], []
    for _ in range(80):
        X, y = rng.normal(size=(40, 10)), rng.permutation(np.arange(40) % 2)
        pairs.append(leave_pair_out_auc(LSSVC(1e-3), X, y))
        model = LSSVCCV((1e-3,)).fit(X, y)
        pooled.append(roc_auc_score(y, model.cv_decision_))
        centred.append(model.best_score_)
    assert abs(np.mean(pairs) - 0.5) < 0.03
    assert abs(np.mean(centred) - 0.5) < 0.05
    assert np.mean(pooled) < 0.05


@pytest.mark.parametrize(
    ("model", "change", "error", "message"),
    [
        (RidgeCV(), {}, ValueError, "got a search"),
        (Ridge(), {"y": np.arange(26) % 3}, ValueError, "needs a `y` of two values"),
        (RidgeClassifier(), {"y": np.arange(26) % 3}, ValueError, "must hold 2 classes, got 3"),
        (RidgeClassifier(), {"y": np.zeros(26)}, ValueError, "at least 2 classes"),
        (LSSVC(class_weight="balanced"), {}, ValueError, "`class_weight` must be None"),
        (roc_auc_score, {}, TypeError, "`estimator` must be a Ridge"),
    ],
)
def test_bad_arguments(model, change, error, message):
    X, y, groups = cohort()
    with pytest.raises(error, match=message):
        leave_pair_out_auc(model, X, change.get("y", y), groups)
