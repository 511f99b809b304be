"""RidgeCV: scores over all held-out predictions, and the penalties chosen by them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from drawing import weights
from ridge_by_definition import ALPHAS, SHAPES, cohort, naive_held_out
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    LeaveOneGroupOut,
)

from fastmm import Ridge, RidgeCV
from fastmm.solve.ridge import design


@pytest.mark.parametrize("shape", SHAPES)
def test_search_equals_grid_search(shape):
    X, y, groups = cohort(*shape)
    search = GridSearchCV(
        SklearnRidge(),
        {"alpha": ALPHAS},
        cv=LeaveOneGroupOut(),
        scoring="neg_mean_squared_error",
    ).fit(X, y, groups=groups)
    model = RidgeCV(ALPHAS).fit(X, y, groups=groups)
    assert len(set(np.unique(groups, return_counts=True)[1])) > 2
    np.testing.assert_allclose(model.cv_scores_, search.cv_results_["mean_test_score"], rtol=1e-10)
    assert model.alpha_ == search.best_params_["alpha"]
    assert model.best_score_ == model.cv_scores_.max()


def naive_training_means(y, groups, weight=None):
    weight = np.ones(len(y)) if weight is None else weight
    return np.array([np.average(y[groups != g], 0, weight[groups != g]) for g in groups])


def test_scorings_over_all_held_out_predictions():
    X, y, groups = cohort(60, 5)
    sick = (y > np.median(y)).astype(float)
    weight = weights("positive", 60)
    held_out = [naive_held_out(X, sick, groups, a, weight=weight) for a in ALPHAS]
    means = naive_training_means(sick, groups, weight)
    model = RidgeCV(ALPHAS, scoring="roc_auc").fit(X, sick, weight, groups)
    expected = [roc_auc_score(sick, found - means, sample_weight=weight) for found in held_out]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)
    labels = np.where(sick == 1, 7.0, 3.0)  # cut in the middle, whatever the values
    model = RidgeCV(ALPHAS, scoring="balanced_accuracy").fit(X, labels, weight, groups)
    expected = [
        balanced_accuracy_score(sick, found > 0.5, sample_weight=weight) for found in held_out
    ]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)
    model = RidgeCV(ALPHAS, scoring="accuracy").fit(X, sick, weight, groups)
    hits = np.array(held_out) > 0.5
    folds = [groups == g for g in np.unique(groups)]
    expected = [
        np.mean([np.average(hit[f] == sick[f], weights=weight[f]) for f in folds]) for hit in hits
    ]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)
    model = RidgeCV(ALPHAS, scoring="r2").fit(X, y, weight, groups)
    held_out = [naive_held_out(X, y, groups, a, weight=weight) for a in ALPHAS]
    expected = [r2_score(y, found, sample_weight=weight) for found in held_out]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-10)


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "r2", "roc_auc", "accuracy"])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_target_chooses_its_own_alpha(xp_any, shape, scoring):
    X, y, groups = cohort(*shape, targets=7)
    y += 40 * np.arange(7) * np.random.default_rng(1).normal(size=y.shape)
    y = (y > np.median(y, 0)).astype(float) if scoring in ("roc_auc", "accuracy") else y
    model = RidgeCV(ALPHAS, scoring=scoring, alpha_per_target=True)
    model.fit(xp_any.asarray(X), xp_any.asarray(y), groups=groups)
    assert model.cv_scores_.shape == (len(ALPHAS), 7)
    assert len(set(model.alpha_.tolist())) > 1
    for t in range(7):
        alone = RidgeCV(ALPHAS, scoring=scoring).fit(X, y[:, t], groups=groups)
        assert model.alpha_[t] == alone.alpha_
        assert model.best_score_[t] == pytest.approx(alone.best_score_, rel=1e-9)
        np.testing.assert_allclose(model.cv_scores_[:, t], alone.cv_scores_, rtol=1e-9)
        for name in ("cv_predictions_", "coef_", "intercept_"):
            found = xp_any.asnumpy(getattr(model, name))
            found = found[t] if name != "cv_predictions_" else found[:, t]
            np.testing.assert_allclose(found, getattr(alone, name), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("per_target", [False, True])
@pytest.mark.parametrize("piece", [1, 500, 8000])
def test_many_targets_in_batches_give_the_same(per_target, piece, monkeypatch):
    X, y, groups = cohort(40, 60, targets=9)
    y += 30 * np.arange(9) * np.random.default_rng(1).normal(size=y.shape)
    whole = RidgeCV(ALPHAS, alpha_per_target=per_target).fit(X, y, groups=groups)
    monkeypatch.setattr(design, "_PIECE", piece)
    found = RidgeCV(ALPHAS, alpha_per_target=per_target).fit(X, y, groups=groups)
    np.testing.assert_array_equal(found.alpha_, whole.alpha_)
    for name in ("cv_scores_", "cv_predictions_", "coef_", "intercept_"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("per_target", [False, True])
def test_predictions_of_all_alphas_are_never_held_at_once(per_target):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 20)), rng.normal(size=(100, 8000))
    alphas = np.logspace(-2, 4, 40)
    tracemalloc.start()
    RidgeCV(alphas, alpha_per_target=per_target, cv=5).fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(alphas) * y.nbytes / 2.5


@pytest.mark.parametrize(("positive", "balanced"), [(30, False), (12, False), (12, True)])
def test_the_area_of_noise_is_one_half(positive, balanced):
    rng = np.random.default_rng(3)
    areas, plain = [], []
    sick = np.arange(60) < positive
    weight = np.where(sick, 30 / positive, 30 / (60 - positive)) if balanced else None
    for _ in range(200):
        X = rng.normal(size=(60, 15)) + 2
        model = RidgeCV((1e2, 1e4, 1e8), scoring="roc_auc").fit(X, sick, weight)
        areas.append(model.cv_scores_)
        plain.append(
            roc_auc_score(sick, Ridge(1e8).fit(X, sick, weight, np.arange(60)).cv_predictions_)
        )
    assert np.abs(np.mean(areas, 0) - 0.5).max() < 0.02
    assert np.mean(plain) < 0.1  # what the predictions themselves would say


def test_rounding_does_not_rank_rows():
    sick = np.arange(40) % 4 == 0
    model = RidgeCV((1e-3, 1e3), scoring="roc_auc").fit(np.full((40, 3), 0.1), sick)
    np.testing.assert_array_equal(model.cv_scores_, [0.5, 0.5])
