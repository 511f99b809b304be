"""Singular, ill-conditioned and far-off designs keep the digits that float64 holds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from drawing import weights
from ridge_by_definition import cohort, naive_held_out, naive_ridge
from scipy.linalg import LinAlgWarning

from fastmm import Ridge, RidgeCV
from fastmm.solve.ridge.solution import solve_ridge


@pytest.mark.parametrize("case", ["duplicate", "constant", "wide", "rows"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_alpha_0_gives_the_minimum_norm(case, fit_intercept):
    X, y, groups = cohort(*((12, 30) if case == "wide" else (40, 6)))
    if case == "duplicate":
        X = np.hstack([X, 3 * X[:, :2]])
    elif case == "constant":
        X = np.hstack([X, np.full((40, 1), 1234.5678), np.zeros((40, 1))])
    elif case == "rows":
        X, y, groups = X[:5].repeat(2, 0), y[:5].repeat(2), np.arange(10)
    coef, intercept = naive_ridge(X, y, 0.0, fit_intercept)
    for model in (Ridge(0.0), RidgeCV((0.0,)), RidgeCV((0.0, 1e-30))):
        model.set_params(fit_intercept=fit_intercept)
        with pytest.warns(LinAlgWarning, match=r"rank \d+ for \d+ features"):
            model.fit(X, y, None, groups)
        np.testing.assert_allclose(model.coef_, coef, atol=1e-9)
        assert model.intercept_ == pytest.approx(intercept, abs=1e-8)
        expected = naive_held_out(X, y, groups, 0.0, fit_intercept)
        np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-7)
    with pytest.warns(LinAlgWarning, match="rank"):
        model = Ridge(0.0, fit_intercept=fit_intercept).fit(X, y)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-9)
    assert model.solver_ == "svd"


def test_alpha_0_with_full_rank_does_not_warn():
    X, y, groups = cohort(50, 6)
    coef, _ = naive_ridge(X, y, 0.0)
    model = Ridge(0.0).fit(X, y, groups=groups)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-10)
    np.testing.assert_allclose(model.cv_predictions_, naive_held_out(X, y, groups, 0.0))


@pytest.mark.parametrize("shape", [(60, 20), (20, 60)])
def test_ill_conditioned_designs_keep_their_digits(shape):
    rng = np.random.default_rng(4)
    n, d = shape
    left, right = (np.linalg.qr(rng.normal(size=(m, 20)))[0] for m in shape)
    X = left * np.logspace(0, -6, 20) @ right.T
    y = X @ rng.normal(size=d) + 1e-3 * rng.normal(size=n)
    coef, _ = naive_ridge(X, y, 1e-10)
    for model in (Ridge(1e-10), RidgeCV((1e-10,))):
        model.fit(X, y)
        assert model.solver_ == "svd"
        np.testing.assert_allclose(model.coef_, coef, atol=1e-8 * np.abs(coef).max())
    expected = naive_held_out(X, y, np.arange(n), 1e-10)
    np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-8)


@pytest.mark.parametrize("shape", [(200, 40), (60, 200)])
def test_float32_with_a_large_mean(xp_any, shape):
    rng = np.random.default_rng(5)
    X = (rng.normal(size=shape) + 1e4).astype(np.float32)
    y = X.astype(float) @ rng.normal(size=shape[1])
    y = ((y - y.mean()) / y.std()).astype(np.float32)
    wide = X.astype(np.float64)
    U, s, Vt = np.linalg.svd(wide - wide.mean(0), full_matrices=False)
    coef = Vt.T @ (s / (s**2 + 1.0) * (U.T @ (y - y.mean(dtype=float))))
    expected = (wide - wide.mean(0)) @ coef + y.mean(dtype=float)
    for model in (Ridge(), RidgeCV((1.0,))):
        model.fit(xp_any.asarray(X), xp_any.asarray(y))
        found = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-6


def test_a_constant_column_of_any_size_gets_no_weight():
    X, y, _ = cohort(40, 4)
    for constant in (0.1, 1e10 / 3):
        wide = np.hstack([X, np.full((40, 1), constant)])
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            model = Ridge(0.0).fit(wide, y)
        assert abs(model.coef_[4] * constant) < 1e-8
        np.testing.assert_allclose(model.coef_[:4], naive_ridge(X, y, 0.0)[0], rtol=1e-9)


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("n", [20, 21, 30])
def test_constant_features_predict_the_mean_of_the_others(n, weighting):
    y, groups, weight = np.arange(n) % 3 - 0.5, np.arange(n) // 2, weights(weighting, n)
    for constant in (1.0, 0.1, 1e5 / 3):
        X = np.full((n, 40), constant)
        expected = naive_held_out(0 * X, y, groups, 1.0, weight=weight)
        model = RidgeCV((1e-3, 1.0)).fit(X, y, weight, groups)
        np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-9)
        with pytest.warns(LinAlgWarning, match="rank 0 for 40"):
            model = Ridge(0.0).fit(X, y, weight, groups)
        np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-9)


def hard_design(kind, rng):
    n, d = (30, 80) if kind in ("n < d", "graded, n < d") else (120, 20)
    X = rng.normal(size=(n, d))
    if kind == "mean 1e4":
        X += 1e4
    elif kind == "duplicated":
        X = np.hstack([X, X[:, :5], 2 * X[:, 3:4]])
    elif kind == "collinear":
        X[:, 1] = X[:, 0] + 1e-5 * X[:, 1]
        X[:, 2] = X[:, 3] - X[:, 4] + 1e-6 * X[:, 2]
    elif kind == "badly scaled":
        X *= np.logspace(-4, 4, d)
    elif kind == "constant":
        X[:, 4], X[:, 7] = 1234.5678, 0
    elif kind == "float32":
        X = (X + 1e4).astype(np.float32)
    elif kind == "graded, n < d":
        X = np.linalg.qr(X)[0][:, :30] * np.logspace(0, -6, 30) @ np.linalg.qr(X.T)[0].T
    return X


def by_svd(X, y, alpha):
    X = X.astype(np.longdouble)
    mean, centre = X.mean(0), y.mean(0)
    U, s, Vt = np.linalg.svd((X - mean).astype(float), full_matrices=False)
    kept = s > np.finfo(float).eps * max(X.shape) * s[0]
    s = np.where(kept, s, 1.0)
    factor = kept * (1 / s if alpha == 0 else s / (s**2 + alpha))
    coef = Vt.T @ (factor[:, None] * (U.T @ (y - centre)))
    return coef, (X - mean).astype(float) @ coef + centre


@pytest.mark.parametrize(
    "kind",
    [
        "mean 1e4",
        "duplicated",
        "n < d",
        "collinear",
        "badly scaled",
        "constant",
        "float32",
        "graded, n < d",
    ],
)
@pytest.mark.parametrize("alpha", [0.0, 1e-8, 1e-3, 1.0, 1e3, 1e8])
@pytest.mark.filterwarnings("ignore:The design has rank:scipy.linalg.LinAlgWarning")
def test_hard_designs_keep_six_digits_of_a_singular_value_decomposition(kind, alpha):
    rng = np.random.default_rng(8)
    X = hard_design(kind, rng)
    signal = (X - X.mean(0, dtype=float)) / np.maximum(X.std(0, dtype=float), 1e-12)
    y = signal @ rng.normal(size=(X.shape[1], 2)) + rng.normal(size=(len(X), 2))
    coef, predicted = by_svd(X, y, alpha)
    ways = [
        {},
        {"solver": "primal"},
        {"solver": "dual"},
        {"solver": "svd"},
        {"precision": "mixed"},
        {"blocks": [slice(0, 9), slice(9, None)]},
    ]
    found = {str(way): solve_ridge(X, y, alpha, **way) for way in ways[: 6 if alpha else 5]}
    found["search"] = RidgeCV((alpha,)).fit(X, y)
    for way, solution in found.items():
        if way == "search":
            got, intercept = solution.coef_.T, solution.intercept_
        else:
            got, intercept = solution.coef.T, solution.intercept
            assert solution.residual < 1e-8, way
        close = np.linalg.norm(got - coef) < 1e-6 * np.linalg.norm(coef)
        assert close, (way, np.linalg.norm(got - coef) / np.linalg.norm(coef))
        error = np.abs(X.astype(float) @ got + intercept - predicted).max()
        assert error < 1e-6 * np.abs(predicted).max(), way
