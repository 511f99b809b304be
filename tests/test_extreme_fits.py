"""Weights and scales at the ends of float64: exact, or refused in words."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from exact_ridge import held_out, off, ridge

from fastmm import LSSVC, KernelRidge, KernelRidgeCV, Ridge, RidgeCV

RNG = np.random.default_rng(0)


def data(n, d):
    return RNG.normal(size=(n, d)), RNG.normal(size=n)


@pytest.mark.parametrize(("n", "d"), [(8, 3), (6, 9)])
@pytest.mark.parametrize("heavy", [1e5, 1e8, 1e12])
@pytest.mark.parametrize("rows", [1, 2])
def test_rows_of_nearly_all_the_weight_are_left_out_exactly(n, d, heavy, rows):
    X, y = data(n, d)
    groups, weight = np.arange(n) // 2, np.ones(n)
    weight[:rows] = heavy
    expected = held_out(X, y, 1.0, groups, weight)
    for model in (
        Ridge(1.0),
        Ridge(1.0, memory_limit=10**8),
        KernelRidge(1.0, kernel="linear", fit_intercept=True),
        KernelRidgeCV((1.0,), kernel="linear", fit_intercept=True),
    ):
        model.fit(X, y, sample_weight=weight, groups=groups)
        assert off(model.cv_predictions_, expected) < 1e-9
    signs = np.where(y > np.median(y), 1, -1)
    model = LSSVC(1.0, kernel="linear").fit(X, signs, weight, groups)
    assert off(model.cv_decision_, held_out(X, signs, 1.0, groups, weight)) < 1e-9


@pytest.mark.parametrize("limit", [None, 10**8])
@pytest.mark.parametrize(("n", "d"), [(8, 3), (6, 9)])
def test_features_whose_squares_overflow_are_refused(n, d, limit):
    X, y = data(n, d)
    given = {"memory_limit": limit}
    models = [Ridge(1.0, **given), RidgeCV(**given), KernelRidge(1.0, kernel="linear")]
    models += [Ridge(1.0, solver="iterative"), Ridge(1.0, solver="svd")] if limit is None else []
    for model in models:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of the overflow itself
            with pytest.raises(ValueError, match="overflow float64; bring features"):
                model.fit(1e160 * X, y)


@pytest.mark.parametrize("size", [1e-300, 1e200])
def test_iterations_do_not_mind_the_scale_of_the_targets(size):
    X, y = data(8, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the backward error
        found = Ridge(1.0, solver="iterative").fit(X, size * y).coef_
    assert off(found / size, ridge(X, y, 1.0)[0]) < 1e-9
