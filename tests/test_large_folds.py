"""Folds of more rows than columns are left out by systems of the columns, as exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from fastmm import Ridge, RidgeClassifierCV, RidgeCV
from fastmm.solve.ridge import problem
from fastmm.solve.ridge.large_folds import prefers_columns

ALPHAS = (1e-3, 1.0, 100.0)


@pytest.fixture
def by_columns(monkeypatch):
    """Rows (m) of the blocks that were formed, which should be small."""
    seen = []

    def grouped_products(part, *rest):
        seen.append(part.shape[1])
        return original(part, *rest)

    original = problem.grouped_products
    monkeypatch.setattr(problem, "grouped_products", grouped_products)
    return seen


def cohort(n=240, d=7, targets=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.5, 3, d) + 5
    y = X @ rng.normal(size=(d, targets)) + 3 * rng.normal(size=(n, targets))
    # Two large folds, some small ones, and one in between.
    fold = np.repeat([0, 1, 2, 3, 4], [90, 110, 9, 3, n - 212])
    return X, y, rng.permutation(fold), rng


def refits(X, y, fold, alpha, weight=None, fit_intercept=True):
    """Predict each fold by a fit of scikit-learn to the others."""
    out = np.empty_like(y)
    for f in np.unique(fold):
        train, test = fold != f, fold == f
        given = None if weight is None else weight[train]
        model = SklearnRidge(alpha, fit_intercept=fit_intercept, solver="cholesky")
        out[test] = model.fit(X[train], y[train], sample_weight=given).predict(X[test])
    return out


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_large_and_small_folds_equal_refits(by_columns, fit_intercept, weighted, xp_any):
    X, y, fold, rng = cohort()
    weight = rng.uniform(0, 2, len(X)) * (rng.random(len(X)) > 0.2) if weighted else None
    for alpha in ALPHAS:
        model = Ridge(alpha, fit_intercept=fit_intercept)
        given = None if weight is None else xp_any.asarray(weight)
        model.fit(xp_any.asarray(X), xp_any.asarray(y), given, groups=fold)
        found = model.cv_predictions_
        found = found if isinstance(found, np.ndarray) else found.get()
        expected = refits(X, y, fold, alpha, weight, fit_intercept)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * abs(expected).max())
    assert max(by_columns) < 10  # the others never formed m x m


def test_both_ways_of_a_search_are_the_same(by_columns, monkeypatch):
    X, y, fold, _ = cohort()
    cv = PredefinedSplit(fold)
    found = RidgeCV(ALPHAS, cv=cv).fit(X, y)
    assert max(by_columns) < 10
    monkeypatch.setattr(problem, "prefers_columns", lambda *_: False)
    expected = RidgeCV(ALPHAS, cv=cv).fit(X, y)
    assert max(by_columns) == 110
    np.testing.assert_allclose(found.cv_scores_, expected.cv_scores_, rtol=1e-12)
    np.testing.assert_allclose(found.cv_predictions_, expected.cv_predictions_, rtol=1e-11)
    plain = SklearnRidge(found.alpha_, solver="cholesky")
    np.testing.assert_allclose(found.cv_predictions_, cross_val_predict(plain, X, y, cv=cv),
                               rtol=1e-9)  # fmt: skip


def test_classes_and_blocks_take_the_same_way(by_columns, monkeypatch):
    X, y, fold, _ = cohort()
    labels = np.digitize(y[:, 0], np.quantile(y[:, 0], [0.3, 0.6]))
    one = RidgeClassifierCV(ALPHAS, cv=PredefinedSplit(fold)).fit(X, labels)
    blocks = {"ct": slice(0, 3), "age": slice(3, 7)}
    two = RidgeCV(ALPHAS, blocks=blocks, n_candidates=3).fit(X, y, groups=fold)
    assert max(by_columns) < 10
    monkeypatch.setattr(problem, "prefers_columns", lambda *_: False)
    same = RidgeClassifierCV(ALPHAS, cv=PredefinedSplit(fold)).fit(X, labels)
    np.testing.assert_allclose(one.cv_decision_, same.cv_decision_, rtol=0, atol=1e-12)
    same = RidgeCV(ALPHAS, blocks=blocks, n_candidates=3).fit(X, y, groups=fold)
    np.testing.assert_allclose(two.cv_predictions_, same.cv_predictions_, rtol=1e-11)


@pytest.mark.parametrize("alpha", [0.0, 1e-9])
def test_a_large_fold_that_holds_a_direction_alone_is_refitted(by_columns, alpha):
    X, y, fold, _ = cohort()
    X[:, 5] = (fold == 1) * np.arange(len(X))  # no other fold has seen this column
    found = RidgeCV((alpha, 1.0)).fit(X, y, groups=fold)
    assert max(by_columns) < 10
    test = fold == 1
    rest = np.delete(X, 5, axis=1)  # least norm: its coefficient is 0
    model = SklearnRidge(1e-9, solver="svd").fit(rest[~test], y[~test])
    left = Ridge(alpha).fit(X, y, groups=fold).cv_predictions_
    np.testing.assert_allclose(left[test], model.predict(rest[test]), rtol=1e-6)
    assert np.isfinite(found.cv_scores_).all()


def test_columns_without_variance_have_no_direction(by_columns):
    X, y, fold, _ = cohort()
    X = np.hstack([X, X[:, :1], np.ones((len(X), 1))])
    with pytest.warns(LinAlgWarning, match="rank 7 for 9"):
        found = Ridge(0.0).fit(X, y, groups=fold).cv_predictions_
    assert max(by_columns) < 12
    expected = refits(X[:, :7], y, fold, 0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_the_cheaper_way_is_counted():
    assert prefers_columns(4000, 200, 1)
    assert prefers_columns(500, 400, 1)
    assert not prefers_columns(300, 400, 1)
    assert not prefers_columns(20, 400, 1)
    assert not prefers_columns(1, 1, 1)
