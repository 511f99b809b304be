"""KernelRidge against scikit-learn and the system as it is written."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import weights
from kernel_ridge_by_definition import ALPHAS, KERNELS, cohort, gram, naive_fit, naive_held_out
from scipy.linalg import LinAlgWarning
from sklearn.kernel_ridge import KernelRidge as Peer

from fastmm import KernelRidge

EXACT = {"direct": {}, "cg": {"tol": 1e-12, "n_components": 15}}


@pytest.mark.parametrize("solver", list(EXACT))
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_scikit_learn(kernel, solver):
    X, y, _ = cohort()
    new = cohort(seed=1)[0]
    for weight in (None, weights("positive", len(X))):
        peer = Peer(ALPHAS, kernel=kernel).fit(X, y, weight)
        model = KernelRidge(ALPHAS, kernel=kernel, solver=solver, **EXACT[solver])
        model.fit(X, y, weight)
        np.testing.assert_allclose(model.dual_coef_, peer.dual_coef_, atol=1e-10, rtol=1e-9)
        np.testing.assert_allclose(model.predict(new), peer.predict(new), atol=1e-10)
        assert model.intercept_ == 0.0
        assert model.solver_ == solver
        assert 0 <= model.residual_ < 1e-11
        assert model.gamma_ == (None if kernel == "linear" else 0.2)
    single = KernelRidge(0.5, kernel=kernel).fit(X, y[:, 0])
    expected = Peer(0.5, kernel=kernel).fit(X, y[:, 0])
    assert single.dual_coef_.shape == (len(X),)
    np.testing.assert_allclose(single.predict(new), expected.predict(new), atol=1e-11)


@pytest.mark.parametrize("solver", list(EXACT))
@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_the_system_as_written(xp_any, kernel, intercept, weighting, solver):
    X, y, _ = cohort()
    new, weight = cohort(seed=1)[0], weights(weighting, len(X))
    dual, b = naive_fit(gram(kernel, X, X), y, ALPHAS, intercept, weight)
    model = KernelRidge(
        ALPHAS, kernel=kernel, fit_intercept=intercept, solver=solver, **EXACT[solver]
    )
    model.fit(
        xp_any.asarray(X), xp_any.asarray(y), None if weight is None else xp_any.asarray(weight)
    )
    found = xp_any.asnumpy(model.dual_coef_)
    np.testing.assert_allclose(found, dual, atol=1e-9, rtol=1e-8)
    expected = gram(kernel, new, X) @ dual + b
    found = xp_any.asnumpy(model.predict(xp_any.asarray(new)))
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("weighting", ["none", "positive", "zeros"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_leaving_groups_out_equals_refits(xp_any, kernel, intercept, weighting):
    X, y, groups = cohort()
    weight = weights(weighting, len(X))
    there = None if weight is None else xp_any.asarray(weight)
    model = KernelRidge(ALPHAS, kernel=kernel, fit_intercept=intercept)
    model.fit(xp_any.asarray(X), xp_any.asarray(y), there, groups)
    expected = naive_held_out(gram(kernel, X, X), y, groups, ALPHAS, intercept, weight)
    found = xp_any.asnumpy(model.cv_predictions_)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    plain = model.fit(xp_any.asarray(X), xp_any.asarray(y[:, :2]))
    assert not hasattr(plain, "cv_predictions_")


@pytest.mark.parametrize("solver", ["direct", "cg", "nystrom"])
def test_precomputed_and_callable_equal_their_kernel(solver):
    X, y, groups = cohort()
    new = cohort(seed=1)[0]
    given = {"fit_intercept": True, "solver": solver, "n_components": 20}
    groups = None if solver == "cg" else groups
    expected = KernelRidge(0.5, kernel="rbf", gamma=0.2, **given).fit(X, y, groups=groups)
    model = KernelRidge(0.5, kernel="precomputed", **given)
    model.fit(gram("rbf", X, X), y, groups=groups)
    found = model.predict(gram("rbf", new, X))
    np.testing.assert_allclose(found, expected.predict(new), atol=1e-7)
    assert model.X_fit_ is None
    assert model.__sklearn_tags__().input_tags.pairwise
    named = KernelRidge(0.5, kernel=lambda A, B: gram("rbf", A, B), **given)
    named.fit(X, y, groups=groups)
    np.testing.assert_allclose(named.predict(new), expected.predict(new), atol=1e-7)
    if groups is not None:
        for other in (model, named):
            np.testing.assert_allclose(other.cv_predictions_, expected.cv_predictions_, atol=1e-7)


def test_gamma():
    X, y, _ = cohort()
    assert KernelRidge(kernel="rbf").fit(X, y).gamma_ == 0.2
    assert KernelRidge(kernel="rbf", gamma="auto").fit(X, y).gamma_ == 0.2
    scale = KernelRidge(kernel="rbf", gamma="scale").fit(X, y).gamma_
    assert scale == pytest.approx(1 / (5 * X.var()), rel=1e-12)
    assert KernelRidge(gamma="scale").fit(X, y).gamma_ is None


@pytest.mark.parametrize("solver", ["direct", "cg", "nystrom"])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_float32_with_a_large_mean(xp_any, kernel, solver):
    rng = np.random.default_rng(2)
    X = (rng.normal(size=(80, 6)) + 1e4).astype(np.float32)
    y = rng.normal(size=(80, 2)).astype(np.float32)
    wide = X.astype(np.float64) - X.mean(0, dtype=np.float64)
    K = gram(kernel, wide, wide)
    dual, b = naive_fit(K, y.astype(np.float64), 2.0, True)
    model = KernelRidge(
        2.0, kernel=kernel, gamma=0.2, fit_intercept=True, solver=solver, n_components=80
    )
    model.fit(xp_any.asarray(X), xp_any.asarray(y))
    found = xp_any.asnumpy(model.predict(xp_any.asarray(X)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, K @ dual + b, atol=2e-6)


@pytest.mark.parametrize("intercept", [False, True])
def test_no_penalty_on_a_singular_kernel_gives_the_least_norm(intercept):
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    model = KernelRidge(0.0, fit_intercept=intercept)
    with pytest.warns(LinAlgWarning, match="rank 4 and alpha is 0"):
        model.fit(X, y)
    left = np.column_stack([X, np.ones(30)]) if intercept else X
    coef = np.linalg.lstsq(left, y, rcond=None)[0]
    np.testing.assert_allclose(model.predict(X), left @ coef, atol=1e-10)
    assert np.abs(model.dual_coef_).max() < 10
    groups = np.arange(30) // 2
    with pytest.warns(LinAlgWarning):
        model.fit(X, y, groups=groups)
    for name in (0, 7):
        train = groups != name
        coef = np.linalg.lstsq(left[train], y[train], rcond=None)[0]
        np.testing.assert_allclose(model.cv_predictions_[~train], left[~train] @ coef, atol=1e-10)


def test_a_kernel_beyond_float64_is_said():
    X, y, _ = cohort()
    with pytest.warns(LinAlgWarning, match="ill-conditioned"):
        KernelRidge(kernel="poly", fit_intercept=True).fit(X + 1e4, y)


def test_an_indefinite_kernel_is_solved_directly_and_refused_by_iteration():
    rng = np.random.default_rng(3)
    K = rng.normal(size=(40, 40))
    K, y, groups = K + K.T, rng.normal(size=(40, 1)), np.arange(40) // 4
    for intercept in (False, True):
        model = KernelRidge(1.5, kernel="precomputed", fit_intercept=intercept)
        model.fit(K, y, groups=groups)
        dual, b = naive_fit(K, y, 1.5, intercept)
        np.testing.assert_allclose(model.predict(K), K @ dual + b, atol=1e-9)
        expected = naive_held_out(K, y, groups, 1.5, intercept)
        np.testing.assert_allclose(model.cv_predictions_, expected, atol=1e-8)
    for solver in ("cg", "nystrom"):
        model = KernelRidge(kernel="precomputed", solver=solver)
        with pytest.raises(ValueError, match="not positive semidefinite"):
            model.fit(K, y)
    with pytest.raises(ValueError, match="singular"):
        KernelRidge(1.0, kernel="precomputed").fit(np.diag([1.0, -1.0, 2.0]), [1.0, 2, 3])


def test_constant_features_and_one_row():
    y = np.arange(12.0)
    for solver in ("direct", "cg", "nystrom"):
        for kernel in ("linear", "rbf"):
            model = KernelRidge(kernel=kernel, fit_intercept=True, solver=solver)
            model.fit(np.full((12, 3), 0.1), y)
            np.testing.assert_allclose(model.predict(np.ones((2, 3)) / 10), 5.5, atol=1e-9)
            model.fit([[1.0, 2.0]], [3.0])
            np.testing.assert_allclose(model.predict([[1.0, 2.0]]), 3.0, atol=1e-9)
