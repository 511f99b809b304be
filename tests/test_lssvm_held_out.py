"""Decisions of left-out groups are those of refits, and scores are of these."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import weights
from lssvm_by_definition import CS, KERNELS, cohort, naive_held_out, naive_machine, signs_of
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.metrics.pairwise import (
    linear_kernel,
    rbf_kernel,
)
from sklearn.model_selection import GroupKFold

from fastmm import LSSVC, LSSVCCV
from fastmm.solve.fold_order import order_by_fold, runs
from fastmm.solve.grouped import make_folds, training_means
from fastmm.solve.kernel.bordered import BorderedSystem


def as_parameter(xp_any, kernel):
    if kernel != "callable":
        return kernel
    if xp_any.name == "cupy":
        return lambda X, Y: (X @ Y.T / X.shape[1] + 1) ** 2
    return KERNELS["callable"]


@pytest.mark.parametrize("way", ["direct", "spectral"])
@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kernel", list(KERNELS))
def test_leaving_groups_out_equals_refits(xp_any, kernel, classes, weighting, way, monkeypatch):
    if way == "spectral":
        monkeypatch.setattr(BorderedSystem, "_direct", None)
        monkeypatch.setattr(BorderedSystem, "inverses", lambda self, count: self.spectral())
    X, y, groups = cohort(classes=classes)
    K, signs, weight = KERNELS[kernel](X, X), signs_of(y), weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    for C in CS:
        model = LSSVCCV((C,), kernel=as_parameter(xp_any, kernel), gamma=0.2)
        model.fit(xp_any.asarray(X), y, there, groups)
        expected = naive_held_out(K, signs, groups, C, weight)
        found = xp_any.asnumpy(model.cv_decision_).reshape(signs.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        dual, intercept = naive_machine(K, signs, C, weight)
        found = xp_any.asnumpy(model.dual_coef_).reshape(signs.shape)
        np.testing.assert_allclose(found, dual, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(xp_any.asnumpy(model.intercept_), intercept, atol=1e-9)
        decision = xp_any.asnumpy(model.decision_function(xp_any.asarray(X)))
        expected = (K @ dual + intercept).reshape(decision.shape)
        np.testing.assert_allclose(decision, expected, atol=1e-9)
        single = LSSVC(C, kernel=as_parameter(xp_any, kernel), gamma=0.2)
        single.fit(xp_any.asarray(X), y, there)
        found = xp_any.asnumpy(single.dual_coef_).reshape(signs.shape)
        np.testing.assert_allclose(found, dual, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_search_scores_are_those_of_refits(count):
    X, y, groups = cohort(60)
    Cs, signs = np.logspace(-2, 2, count), signs_of(y)
    K = rbf_kernel(X, X, gamma=1 / (5 * X.var()))
    held_out = [naive_held_out(K, signs, groups, C)[:, 0] for C in Cs]
    model = LSSVCCV(Cs).fit(X, y, groups=groups)
    lean = training_means(make_folds(60, groups), signs)[:, 0]
    expected = [roc_auc_score(y, decision - lean) for decision in held_out]
    np.testing.assert_allclose(model.cv_scores_, expected, rtol=1e-12)
    best = int(np.argmax(expected))
    assert Cs[best] == model.C_
    assert model.best_score_ == model.cv_scores_[best]
    np.testing.assert_allclose(model.cv_decision_, held_out[best], atol=1e-9)
    names = np.where(held_out[best] > 0, "grade 1", "benign")
    np.testing.assert_array_equal(model.cv_predictions_, names)
    found = LSSVCCV(Cs, scoring="accuracy").fit(X, y, groups=groups)
    right = [(np.where(decision > 0, "grade 1", "benign") == y) for decision in held_out]
    expected = [np.mean([r[groups == name].mean() for name in np.unique(groups)]) for r in right]
    np.testing.assert_allclose(found.cv_scores_, expected, rtol=1e-12)


def test_scores_of_three_classes():
    X, y, groups = cohort(60, classes=3)
    weight = weights("zeros", 60)
    held_out = naive_held_out(linear_kernel(X, X), signs_of(y), groups, 1.0, weight)
    ranked = held_out - training_means(make_folds(60, groups), signs_of(y), weight)
    areas = [
        roc_auc_score(y == name, column, sample_weight=weight)
        for name, column in zip(np.unique(y), ranked.T, strict=True)
    ]
    model = LSSVCCV((1.0,), kernel="linear").fit(X, y, weight, groups)
    assert model.best_score_ == pytest.approx(np.mean(areas), rel=1e-12)
    model = LSSVCCV((1.0,), kernel="linear", scoring="balanced_accuracy")
    found = np.unique(y)[held_out.argmax(1)]
    expected = balanced_accuracy_score(y, found, sample_weight=weight)
    assert model.fit(X, y, weight, groups).best_score_ == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cv", [None, 3, GroupKFold(4)])
def test_folds(cv):
    X, y, groups = cohort()
    given = None if cv is None else groups
    model = LSSVCCV((2.0,), kernel="linear", cv=cv).fit(X, y, groups=given)
    codes = make_folds(len(X), given, cv).codes
    expected = naive_held_out(linear_kernel(X, X), signs_of(y), codes, 2.0)
    np.testing.assert_allclose(model.cv_decision_, expected[:, 0], atol=1e-10)


def test_lssvc_with_groups_decides_out_of_fold():
    X, y, groups = cohort()
    model, plain = LSSVC(2.0).fit(X, y, groups=groups), LSSVC(2.0).fit(X, y)
    K = rbf_kernel(X, X, gamma=model.gamma_)
    expected = naive_held_out(K, signs_of(y), groups, 2.0)
    np.testing.assert_allclose(model.cv_decision_, expected[:, 0], atol=1e-10)
    np.testing.assert_allclose(model.dual_coef_, plain.dual_coef_, atol=1e-10)
    assert not hasattr(plain, "cv_decision_")


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("cv", [None, 5])
def test_pure_noise_scores_half_however_strongly_it_is_shrunk(share, cv):
    rng = np.random.default_rng(int(100 * share))
    found, pooled = [], []
    for _ in range(200):
        X, y = rng.normal(size=(100, 20)), rng.permutation(np.arange(100) < 100 * share)
        model = LSSVCCV((1e-6,), cv=cv).fit(X, y)
        found.append(model.best_score_)
        pooled.append(roc_auc_score(y, model.cv_decision_))
    assert abs(np.mean(found) - 0.5) < 0.02
    assert np.mean(pooled) < 0.45  # what it would be without the correction


def test_folds_side_by_side():
    folds = make_folds(9, groups=["b", "a", "b", "c", "a", "d", "d", "d", "e"])
    order, sorted_folds = order_by_fold(folds)
    assert sorted(order) == list(range(9))
    np.testing.assert_array_equal(sorted_folds.codes, folds.codes[order])
    assert runs(sorted_folds) == [(0, 2, 1), (2, 2, 2), (6, 1, 3)]
    for batch, sorted_batch in zip(folds.batches, sorted_folds.batches, strict=True):
        np.testing.assert_array_equal(order[sorted_batch], batch)


def test_a_class_without_weight_has_no_part_in_the_score():
    X, y, groups = cohort(60, classes=3)
    weight = (y != "grade 2").astype(float)
    K, part = linear_kernel(X, X), weight > 0
    held_out = naive_held_out(K, signs_of(y), groups, 1.0, weight)
    held_out -= training_means(make_folds(60, groups), signs_of(y), weight)
    areas = [roc_auc_score(y[part] == np.unique(y)[i], held_out[part, i]) for i in range(2)]
    model = LSSVCCV((1.0,), kernel="linear").fit(X, y, weight, groups)
    assert model.best_score_ == pytest.approx(np.mean(areas), rel=1e-12)
