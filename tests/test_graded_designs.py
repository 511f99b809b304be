"""Columns from 1e-8 to 1e14: every solver against rational arithmetic, digit by digit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from exact_ridge import exact, fitted, held_out, off, ridge

from fastmm import Ridge, RidgeClassifier, RidgeCV
from fastmm.solve.ridge.graded import is_graded
from fastmm.solve.ridge.solution import solve_ridge

KINDS = ("1e-8..1e14", "1e0..1e10", "one of 1e14", "two of 1e14, alike")


def design(kind, n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    if kind == "1e-8..1e14":
        X *= rng.permutation(np.logspace(-8, 14, d))
    elif kind == "1e0..1e10":
        X *= rng.permutation(np.logspace(0, 10, d))
    else:
        X[:, 1] *= 1e14
        if "alike" in kind:
            X[:, 0] = X[:, 1] + 1e10 * X[:, 0]
    return X, rng.normal(size=n), rng.uniform(0.1, 3.0, n)


def scale(X, alpha):
    return np.sqrt(X.var(axis=0) + alpha)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), [(9, 4), (5, 5), (5, 8)])
@pytest.mark.parametrize("alpha", [1e-9, 1.0])
def test_fits_and_left_out_rows_are_right(kind, n, d, alpha):
    X, y, weight = design(kind, n, d)
    coef, level = ridge(X, y, alpha, weight)
    expected = (exact(X).dot(coef) + level).astype(float)
    groups = np.arange(n) // 2
    for model in (Ridge(alpha), Ridge(alpha, solver="svd"), Ridge(alpha, precision="mixed")):
        model.fit(X, y, weight)
        assert off(model.coef_, coef, scale(X, alpha)) < 1e-9
        assert off(fitted(X, model.coef_, model.intercept_), expected) < 1e-9
    model = Ridge(alpha).fit(X, y, weight, groups=groups)
    assert off(model.coef_, coef, scale(X, alpha)) < 1e-9
    assert off(model.cv_predictions_, held_out(X, y, alpha, groups, weight)) < 1e-9


def test_targets_with_penalties_of_their_own_and_a_search_are_right():
    X, y, _ = design("one of 1e14", 6, 9)
    Y, alphas = np.stack([y, y[::-1], y**2], 1), np.array([1e-6, 1.0, 1e-6])
    found = solve_ridge(X, Y, alphas)
    for column, coef, alpha in zip(Y.T, found.coef, alphas, strict=True):
        assert off(coef, ridge(X, column, alpha)[0], scale(X, alpha)) < 1e-9
    search = RidgeCV((1e-6, 1.0)).fit(X, y)
    each = [held_out(X, y, alpha, np.arange(6)) for alpha in (1e-6, 1.0)]
    errors = [-np.mean((y - one) ** 2) for one in each]
    np.testing.assert_allclose(search.cv_scores_, errors, rtol=1e-9)
    np.testing.assert_allclose(search.cv_predictions_, each[int(np.argmax(errors))], rtol=1e-8)
    labels = (y > 0).astype(int)
    coef, _ = ridge(X, 2.0 * labels - 1, 1e-3)
    assert off(RidgeClassifier(1e-3).fit(X, labels).coef_[0], coef, scale(X, 1e-3)) < 1e-9


def test_a_row_without_weight_is_predicted_by_the_others():
    for n, d in ((9, 4), (5, 8)):
        X, y, weight = design("one of 1e14", n, d)
        weight[2] = 0
        groups = np.arange(n)
        found = Ridge(1e-3).fit(X, y, weight, groups=groups).cv_predictions_
        assert off(found, held_out(X, y, 1e-3, groups, weight)) < 1e-8


def test_without_a_penalty_all_columns_count_and_nothing_is_said():
    X, y, _ = design("1e-8..1e14", 9, 4)
    coef, _ = ridge(X, y, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = solve_ridge(X, y, 0.0)
    assert found.rank == 4
    assert off(found.coef, coef, scale(X, 0.0)) < 1e-9


def test_more_columns_than_rows_without_a_penalty_give_the_least_norm():
    X, y, _ = design("one of 1e14", 5, 8)
    found = solve_ridge(X, y, 0.0)
    assert found.rank == 4
    coef, _ = ridge(X, y, 1e-30)  # the limit, to as many digits
    assert off(found.coef, coef, scale(X, 0.0)) < 1e-9


def test_columns_of_one_scale_are_not_graded():
    X = np.random.default_rng(0).normal(size=(20, 5)) * [1, 10, 100, 1e3, 1e4]
    assert not is_graded((X**2).sum(axis=0), 1e-12)
    assert is_graded(np.array([1.0, 1e28]), 1e-3)
    assert not is_graded(np.array([1.0, 1e28]), 1e20)  # what the penalty drowns does not count
    assert not is_graded(np.zeros(3), 0.0)


def test_graded_designs_stay_on_their_device(xp_any):
    for n, d in ((9, 4), (5, 8)):
        X, y, weight = design("one of 1e14", n, d)
        given = [xp_any.asarray(each) for each in (X, y, weight)]
        model = Ridge(1e-3).fit(*given, groups=np.arange(n) // 2)
        coef, _ = ridge(X, y, 1e-3, weight)
        assert off(xp_any.asnumpy(model.coef_), coef, scale(X, 1e-3)) < 1e-9


def test_rows_in_chunks_and_rows_that_come_in_pieces_are_right():
    for kind in KINDS[:3]:
        X, y, weight = design(kind, 9, 4)
        groups = np.arange(9) // 2
        coef, _ = ridge(X, y, 1e-3, weight)
        model = Ridge(1e-3, memory_limit=10**8).fit(X, y, weight, groups=groups)
        assert off(model.coef_, coef, scale(X, 1e-3)) < 1e-9
        assert off(model.cv_predictions_, held_out(X, y, 1e-3, groups, weight)) < 1e-8
        search = RidgeCV((1e-3, 10.0), memory_limit=10**8).fit(X, y, weight, groups)
        plain = RidgeCV((1e-3, 10.0)).fit(X, y, weight, groups)
        np.testing.assert_allclose(search.cv_scores_, plain.cv_scores_, rtol=1e-7)
        model = Ridge(1e-3).partial_fit(X[:5], y[:5], weight[:5])
        model.partial_fit(X[5:], y[5:], weight[5:])
        assert off(model.coef_, coef, scale(X, 1e-3)) < 1e-9
