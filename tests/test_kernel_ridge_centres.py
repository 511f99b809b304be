"""KernelRidge on centres and by conjugate gradients: close to exact, in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from drawing import weights
from kernel_ridge_by_definition import ALPHAS, KERNELS, cohort
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import rbf_kernel

from fastmm import KernelRidge
from fastmm.solve.kernel import kernel_ridge_fit
from fastmm.solve.kernel import products as kernel_products


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_all_rows_as_centres_give_the_exact_solution(xp_any, kernel, intercept):
    X, y, groups = cohort()
    new = cohort(seed=1)[0]
    given = xp_any.asarray(X), xp_any.asarray(y)
    exact = KernelRidge(ALPHAS, kernel=kernel, fit_intercept=intercept).fit(*given, groups=groups)
    model = clone(exact).set_params(solver="nystrom", n_components=99).fit(*given, groups=groups)
    expected = xp_any.asnumpy(exact.predict(xp_any.asarray(new)))
    found = xp_any.asnumpy(model.predict(xp_any.asarray(new)))
    np.testing.assert_allclose(found, expected, atol=2e-7)
    held_out = xp_any.asnumpy(model.cv_predictions_)
    np.testing.assert_allclose(held_out, xp_any.asnumpy(exact.cv_predictions_), atol=2e-7)
    assert model.solver_ == "nystrom"
    np.testing.assert_array_equal(model.component_indices_, np.arange(len(X)))


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("intercept", [False, True])
def test_centres_solve_their_least_squares_problem(intercept, weighting):
    X, y, groups = cohort(80)
    weight = weights(weighting, len(X))
    model = KernelRidge(
        0.7, kernel="rbf", gamma=0.2, solver="nystrom", n_components=12,
        fit_intercept=intercept, tol=1e-12,
    ).fit(X, y, weight, groups)  # fmt: skip
    Z = X[model.component_indices_]
    if weight is not None:
        assert (weight[model.component_indices_] > 0).all()
    weight = np.ones(len(X)) if weight is None else weight

    def solve(train):
        """Solve the penalised normal equations of the centres, with an unpenalised column."""
        design = np.column_stack([rbf_kernel(X[train], Z, gamma=0.2), np.ones(train.sum())])
        penalty = np.zeros((13, 13))
        penalty[:12, :12] = 0.7 * rbf_kernel(Z, gamma=0.2)
        if not intercept:
            design[:, 12], penalty[12, 12] = 0, 1
        scaled = design * weight[train, None]
        return np.linalg.solve(design.T @ scaled + penalty, scaled.T @ y[train])

    solution = solve(np.ones(len(X), bool))
    np.testing.assert_allclose(model.dual_coef_, solution[:12], atol=1e-7)
    np.testing.assert_allclose(model.intercept_, solution[12], atol=1e-8)
    for name in np.unique(groups):
        test = groups == name
        part = solve(~test)
        expected = rbf_kernel(X[test], Z, gamma=0.2) @ part[:12] + part[12]
        np.testing.assert_allclose(model.cv_predictions_[test], expected, atol=1e-8)


def test_centres_come_close_to_the_exact_error():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (4000, 2))
    truth = np.sin(2 * X[:, 0]) * np.cos(X[:, 1])
    y = truth[:3000] + 0.3 * rng.normal(size=3000)
    given = {"alpha": 0.1, "kernel": "rbf", "gamma": 1.0}
    errors = {}
    for solver in ("direct", "nystrom"):
        model = KernelRidge(**given, solver=solver, n_components=200).fit(X[:3000], y)
        errors[solver] = np.mean((model.predict(X[3000:]) - truth[3000:]) ** 2)
    assert model.dual_coef_.shape == (200,)
    assert errors["nystrom"] < 1.01 * errors["direct"]


def test_cg_equals_direct_with_and_without_kept_tiles(monkeypatch):
    X, y, _ = cohort(300)
    weight = weights("zeros", 300)
    given = {"alpha": [1e-3, 1.0], "kernel": "rbf", "fit_intercept": True}
    exact = KernelRidge(**given, solver="direct").fit(X, y, weight)
    monkeypatch.setitem(kernel_products._TILE, "cpu", 1000)
    for limit in (0, 1 << 30):
        monkeypatch.setattr(kernel_ridge_fit, "memory_limit", lambda _, limit=limit: limit)
        model = KernelRidge(**given, tol=1e-10, n_components=150, solver="cg").fit(X, y, weight)
        np.testing.assert_allclose(model.predict(X), exact.predict(X), atol=1e-8)
        scale = np.abs(exact.dual_coef_).max()
        np.testing.assert_allclose(model.dual_coef_, exact.dual_coef_, atol=1e-8 * scale)
        assert 1 < model.n_iter_ < 200
        assert model.residual_ <= 1e-10


@pytest.mark.parametrize("solver", ["auto", "nystrom"])
def test_memory_does_not_grow_with_the_kernel_matrix(solver, monkeypatch):
    rng = np.random.default_rng(0)
    n = 3000
    X, y = rng.normal(size=(n, 4)), rng.normal(size=n)
    monkeypatch.setitem(kernel_products._TILE, "cpu", 1 << 16)
    monkeypatch.setattr(kernel_ridge_fit, "memory_limit", lambda _: 1 << 20)
    model = KernelRidge(10.0, kernel="rbf", solver=solver, n_components=60, tol=1e-4)
    model.fit(X[:64], y[:64]).predict(X[:64])  # compiles
    tracemalloc.start()
    try:
        model.fit(X, y).predict(X)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 8 * n * n / 6
    assert model.solver_ == ("cg" if solver == "auto" else "nystrom")


def test_iterations_that_do_not_do_are_said():
    X, y, _ = cohort(200)
    for solver in ("cg", "nystrom"):
        model = KernelRidge(1e-6, kernel="rbf", solver=solver, max_iter=1, n_components=5)
        with pytest.warns(ConvergenceWarning, match="After 1 iterations"):
            model.fit(X, y)
        assert model.residual_ > model.tol


def test_the_same_seed_gives_the_same_bits():
    X, y, _ = cohort(200)
    for solver in ("cg", "nystrom"):
        one, two = (
            KernelRidge(kernel="rbf", solver=solver, n_components=20, seed=4).fit(X, y)
            for _ in range(2)
        )
        np.testing.assert_array_equal(one.dual_coef_, two.dual_coef_)
