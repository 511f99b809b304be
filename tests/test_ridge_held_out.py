"""Predictions of left-out groups are those of refits, however rows are weighted and dealt."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import weights
from ridge_by_definition import ALPHAS, SHAPES, cohort, naive_held_out, naive_ridge
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import (
    GroupKFold,
    PredefinedSplit,
    cross_val_predict,
)

from fastmm import Ridge, RidgeCV
from fastmm.solve.grouped import make_folds


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_leaving_groups_out_equals_refits(xp_any, shape, fit_intercept, weighting):
    X, y, groups = cohort(*shape, targets=2)
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    for alpha in ALPHAS:
        model = RidgeCV((alpha,), fit_intercept=fit_intercept)
        model.fit(xp_any.asarray(X), xp_any.asarray(y), there, groups)
        expected = naive_held_out(X, y, groups, alpha, fit_intercept, weight)
        found = xp_any.asnumpy(model.cv_predictions_)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
        coef, intercept = naive_ridge(X, y, alpha, fit_intercept, weight)
        np.testing.assert_allclose(xp_any.asnumpy(model.coef_), coef, rtol=1e-9, atol=1e-10)
        predictions = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
        np.testing.assert_allclose(predictions, X @ coef.T + intercept, atol=1e-10)
        single = Ridge(alpha, fit_intercept=fit_intercept).fit(
            xp_any.asarray(X), xp_any.asarray(y), there
        )
        np.testing.assert_allclose(xp_any.asnumpy(single.coef_), coef, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_leave_one_out_without_groups(shape):
    X, y, _ = cohort(*shape)
    model = RidgeCV((0.5,)).fit(X, y)
    expected = naive_held_out(X, y, np.arange(len(X)), 0.5)
    np.testing.assert_allclose(model.cv_predictions_, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cv", [3, GroupKFold(3), "splits"])
@pytest.mark.parametrize("shape", SHAPES)
def test_folds_of_whole_groups(shape, cv):
    X, y, groups = cohort(*shape)
    if cv == "splits":
        cv = list(GroupKFold(4).split(X, groups=groups))
    model = RidgeCV((0.5,), cv=cv).fit(X, y, groups=groups)
    codes = make_folds(len(X), groups, cv).codes
    expected = cross_val_predict(SklearnRidge(0.5), X, y, cv=PredefinedSplit(codes))
    np.testing.assert_allclose(model.cv_predictions_, expected, rtol=1e-9, atol=1e-9)


def test_ridge_with_groups_predicts_out_of_fold():
    X, y, groups = cohort(40, 10)
    model, plain = Ridge(2.0).fit(X, y, groups=groups), Ridge(2.0).fit(X, y)
    np.testing.assert_allclose(model.cv_predictions_, naive_held_out(X, y, groups, 2.0))
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-10)
    assert not hasattr(plain, "cv_predictions_")


def test_integer_weights_are_repetitions():
    X, y, groups = cohort(30, 8)
    times = np.random.default_rng(3).integers(0, 4, 30)
    weighted = RidgeCV(ALPHAS).fit(X, y, times, groups)
    repeated = RidgeCV(ALPHAS).fit(X.repeat(times, 0), y.repeat(times), groups=groups.repeat(times))
    np.testing.assert_allclose(weighted.cv_scores_, repeated.cv_scores_, rtol=1e-10)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-9)


@pytest.mark.parametrize("shape", [(400, 30), (60, 120)])
def test_many_alphas_and_large_folds_equal_refits(shape):
    # Enough alphas for products of pairs of rows, folds large enough for none.
    X, y, groups = cohort(*shape, targets=3)
    alphas = np.logspace(-2, 3, 9)
    for cv in (None, 4):
        model = RidgeCV(alphas, cv=cv).fit(X, y, groups=groups)
        codes = make_folds(len(X), groups, cv).codes
        expected = naive_held_out(X, y, codes, model.alpha_)
        np.testing.assert_allclose(model.cv_predictions_, expected, rtol=1e-9, atol=1e-9)
        reference = [
            -np.mean([((y - found)[codes == g] ** 2).mean() for g in range(codes.max() + 1)])
            for found in (naive_held_out(X, y, codes, a) for a in alphas)
        ]
        np.testing.assert_allclose(model.cv_scores_, reference, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 1e-13, 1e-9])
def test_a_fold_that_alone_determines_a_direction_is_refitted(alpha):
    X, y, groups = cohort(40, 6)
    X[:, 5] = 0
    X[groups == "big", 5] = [3.0, -1.0, 2.0]
    model = Ridge(alpha).fit(X, y, groups=groups)
    expected = naive_held_out(X, y, groups, alpha)
    np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-7)
