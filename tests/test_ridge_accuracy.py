"""What is said of digits lost is true: against rational arithmetic, on collinear columns."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from exact_ridge import off, ridge
from scipy.linalg import LinAlgWarning

from fastmm import Ridge, RidgeClassifier, RidgeCV
from fastmm.solve.ridge.solution import solve_ridge


def nearly_repeated(distance, n=12, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    X[:, 1] = X[:, 0] + distance * X[:, 1]
    return X, rng.normal(size=n)


@pytest.mark.parametrize("distance", [1e-4, 1e-7, 1e-9, 1e-10])
@pytest.mark.parametrize("alpha", [1e-14, 1e-10, 1e-6])
def test_the_estimate_is_no_less_than_the_error(distance, alpha):
    X, y = nearly_repeated(distance)
    found = solve_ridge(X, y, alpha)
    coef, _ = ridge(X, y, alpha)
    error = off(found.coef, coef, np.sqrt(X.var(axis=0) + alpha))
    assert error < max(found.error, 1e-8)
    assert found.error < max(1e3 * error, 1e-6)  # nor does it cry wolf


def test_few_digits_are_told_of_by_every_way_to_fit():
    X, y = nearly_repeated(1e-10)
    groups, labels = np.arange(12) // 3, (y > 0).astype(int)
    ways = [
        lambda: Ridge(1e-12).fit(X, y),
        lambda: Ridge(1e-12, memory_limit=10**8).fit(X, y),
        lambda: Ridge(1e-12).fit(X, y, groups=groups),
        lambda: Ridge(1e-12).partial_fit(X, y),
        lambda: RidgeCV((1e-12,)).fit(X, y),
        lambda: RidgeClassifier(1e-12).fit(X, labels),
        lambda: RidgeClassifier(1e-12).fit(X, labels, groups=groups),
    ]
    for way in ways:
        with pytest.warns(LinAlgWarning, match="digits of the coefficients") as caught:
            way()
        assert {each.filename for each in caught} == {__file__}


@pytest.mark.parametrize("repeated", [False, True])
def test_nothing_is_said_where_digits_are_not_lost(repeated):
    rng = np.random.default_rng(1)
    for n, d in ((12, 4), (6, 9)):
        X, y = rng.normal(size=(n, d)) * np.logspace(-6, 6, d), rng.normal(size=n)
        if repeated:
            X[:, 1] = X[:, 0]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for alpha in (1.0, 1e3):
                Ridge(alpha).fit(X, y)
                Ridge(alpha).fit(X, y, groups=np.arange(n) // 2)
                Ridge(alpha, memory_limit=10**8).fit(X, y)
                Ridge(alpha).partial_fit(X, y)


@pytest.mark.parametrize(("n", "d"), [(12, 5), (6, 6), (5, 9)])
def test_sums_say_when_a_penalty_is_as_small_as_their_rounding(n, d):
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(n, d)) * np.logspace(0, 6, d), rng.normal(size=n)
    for alpha in (1e-10, 1e-4, 1.0):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = Ridge(alpha).partial_fit(X[:3], y[:3]).partial_fit(X[3:], y[3:])
        coef, _ = ridge(X, y, alpha)
        assert caught or off(model.coef_, coef, np.sqrt(X.var(axis=0) + alpha)) < 1e-6
