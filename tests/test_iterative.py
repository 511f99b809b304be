"""Ridge by iteration with a sketched preconditioner, against the singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import Ridge
from fastmm._space import Space
from fastmm.solve.ridge import iterative, row_products
from fastmm.solve.ridge import ridge as linear
from fastmm.solve.ridge.design import Design
from fastmm.solve.ridge.iterative import iterative_pays, solve_ridge_iteratively
from fastmm.solve.ridge.row_products import ExactProducts, FastProducts
from fastmm.solve.ridge.sketch import sketch_gram


def exact_ridge(X, y, alpha, fit_intercept=True, weight=None):
    """Ridge by SVD in float64; the minimum norm for alpha 0."""
    weight = np.ones(len(X)) if weight is None else weight
    X, mean, centre = X.astype(float), np.zeros(X.shape[1]), np.zeros(y.shape[1:])
    if fit_intercept:
        mean, centre = np.average(X, 0, weight), np.average(y, 0, weight)
    root = np.sqrt(weight)[:, None]
    U, s, Vt = np.linalg.svd(root * (X - mean), full_matrices=False)
    s = s * (s > 1e-12 * s[0])
    target = U.T @ (root * (y - centre).reshape(len(y), -1))
    factor = s[:, None] / np.where(s[:, None] ** 2 + alpha > 0, s[:, None] ** 2 + alpha, 1)
    coef = (Vt.T @ (factor * target)).reshape(X.shape[1], *y.shape[1:])
    return coef.T, centre - mean @ coef


def decaying(n, d, targets=3, seed=0, power=1.0):
    """Features whose spectrum falls off, as that of images does."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(d, min(n, d))))
    X = rng.normal(size=(n, min(n, d))) * np.arange(1.0, min(n, d) + 1) ** -power @ basis.T
    y = X @ rng.normal(size=(d, targets)) + 0.1 * rng.normal(size=(n, targets)) + 2
    return X, y


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(300, 200), (200, 500)])
def test_equals_the_svd(xp_any, shape, dtype, weighted, fit_intercept):
    X, y = decaying(*shape)
    X = (X + 0.3).astype(dtype)
    weight = np.random.default_rng(1).uniform(0, 2, len(X)) if weighted else None
    alphas = np.array([1e-2, 1.0, 30.0])
    model = Ridge(alphas, fit_intercept=fit_intercept, solver="iterative")
    model.fit(
        xp_any.asarray(X), xp_any.asarray(y), None if weight is None else xp_any.asarray(weight)
    )
    coef, intercept = exact_ridge(X, y, alphas, fit_intercept, weight)
    found = xp_any.asnumpy(model.coef_)
    assert np.abs(found - coef).max() < 1e-8 * np.abs(coef).max()
    if fit_intercept:
        np.testing.assert_allclose(xp_any.asnumpy(model.intercept_), intercept, atol=1e-8)
    assert model.solver_ == "iterative"
    assert 0 < model.n_iter_ < 200
    assert model.residual_ < 1e-9


def test_one_target_is_a_vector():
    X, y = decaying(120, 80, 1)
    model = Ridge(0.1, solver="iterative").fit(X, y[:, 0])
    coef, intercept = exact_ridge(X, y[:, 0], 0.1)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-8)
    assert model.intercept_ == pytest.approx(intercept, abs=1e-8)
    assert isinstance(model.intercept_, float)
    assert Ridge(0.1).fit(X, y[:, 0]).n_iter_ == 1


@pytest.mark.parametrize("mean", [0.0, 30.0, 1e4])
def test_float32_with_a_large_mean(xp_any, mean):
    X, y = decaying(400, 150, 2)
    X = (X * 10 + mean).astype(np.float32)
    model = Ridge(0.5, solver="iterative").fit(xp_any.asarray(X), xp_any.asarray(y))
    coef, intercept = exact_ridge(X, y, 0.5)
    found = xp_any.asnumpy(model.predict(xp_any.asarray(X.astype(np.float64))))
    expected = X.astype(float) @ coef.T + intercept
    assert np.abs(found - expected).max() < 1e-8 * np.abs(expected).max()


def test_rough_products_that_fail_are_replaced(monkeypatch):
    X, y = decaying(200, 100, 2)
    X = (X + 1e4).astype(np.float32)
    monkeypatch.setattr(row_products, "_LARGE_MEAN", np.inf)
    model = Ridge(1e-2, solver="iterative").fit(X, y)
    coef, _ = exact_ridge(X, y, 1e-2)
    assert np.abs(model.coef_ - coef).max() < 1e-6 * np.abs(coef).max()


def test_overflow_in_float32_is_survived():
    X, y = decaying(100, 60, 2)
    X = (X * 1e30).astype(np.float32)
    model = Ridge(1e58, solver="iterative").fit(X, y)
    coef, _ = exact_ridge(X, y, 1e58)
    assert np.abs(model.coef_ - coef).max() < 1e-7 * np.abs(coef).max()


def test_alpha_0_tends_to_the_minimum_norm():
    X, y = decaying(60, 200, 2, power=0.3)
    model = Ridge(0.0, solver="iterative").fit(X, y)
    coef, _ = exact_ridge(X, y, 0.0)
    assert np.abs(model.coef_ - coef).max() < 1e-7 * np.abs(coef).max()


def test_blocks_and_constant_targets():
    X, y = decaying(150, 100, 2)
    y[:, 1] = 7.0
    blocks, alpha = [np.arange(0, 100, 2), np.arange(1, 100, 2)], [0.2, 9.0]
    model = Ridge(alpha, blocks=blocks, solver="iterative").fit(X, y)
    scale = np.where(np.arange(100) % 2, 9.0**-0.5, 0.2**-0.5)
    coef, _ = exact_ridge(X * scale, y, 1.0)
    assert np.abs(model.coef_ - coef * scale).max() < 1e-8 * np.abs(coef).max()
    assert (model.coef_[1] == 0).all()
    assert model.intercept_[1] == 7.0


@pytest.mark.parametrize("layout", ["fortran", "strided", "int8", "float16", "readonly"])
def test_layouts_and_dtypes(layout):
    X = np.random.default_rng(0).integers(-100, 100, (80, 50)).astype(float)
    y = X[:, :2] @ np.array([[1.0, 0.5], [0.2, 3.0]]) + np.cos(np.arange(80))[:, None]
    coef, _ = exact_ridge(X, y, 5.0)
    if layout == "fortran":
        X = np.asfortranarray(X)
    elif layout == "strided":
        X = X.repeat(2, 0).repeat(3, 1)[::2, ::3]
    elif layout == "readonly":
        X.flags.writeable = False
    else:
        X = X.astype(layout)
    found = Ridge(5.0, solver="iterative").fit(X, y).coef_
    np.testing.assert_allclose(found, coef, atol=1e-9)


def test_products_are_those_of_the_centred_design(xp_any):
    rng = np.random.default_rng(3)
    X, weight, scale = rng.normal(size=(70, 9)) + 5, rng.uniform(0, 2, 70), rng.uniform(1, 2, 9)
    centred = np.sqrt(weight)[:, None] * (X - np.average(X, 0, weight)) * scale
    there = xp_any.asarray(X)
    xp = np if xp_any.name == "numpy" else __import__("cupy")
    design = Design(there, xp_any.asarray(weight), True, xp).scaled(xp_any.asarray(scale))
    left, right = rng.normal(size=(9, 2)), rng.normal(size=(70, 2))
    for products in (ExactProducts(design), FastProducts(design)):
        found = xp_any.asnumpy(products.times(xp_any.asarray(left)))
        np.testing.assert_allclose(found, centred @ left, atol=1e-12)
        found = xp_any.asnumpy(products.transposed_times(xp_any.asarray(right)))
        np.testing.assert_allclose(found, centred.T @ right, atol=1e-11)
    found = ExactProducts(design).gradient(xp_any.asarray(right), xp_any.asarray(left))
    expected = centred.T @ (right - centred @ left)
    np.testing.assert_allclose(xp_any.asnumpy(found), expected, atol=1e-11)


def test_exact_products_are_made_in_pieces(monkeypatch):
    X, y = decaying(90, 40)
    whole = solve_ridge_iteratively(X[::-1, ::-1], y, 0.5).coef
    monkeypatch.setattr(row_products, "_CACHE", 1000)
    np.testing.assert_allclose(
        solve_ridge_iteratively(X[::-1, ::-1], y, 0.5).coef, whole, atol=1e-9
    )


def test_the_sketch_flattens_the_spectrum():
    X, _ = decaying(400, 300, power=1.5)
    design = Design(X, None, True, np)
    centred, alpha = X - X.mean(0), 1e-3
    system = centred.T @ centred + alpha * np.eye(300)
    inverse = sketch_gram(FastProducts(design), 60).solve(np.eye(300), np.full(300, alpha))
    values = np.linalg.eigvals(inverse @ system).real
    assert np.linalg.cond(system) > 1e5
    assert values.max() / values.min() < 28
    rank_2 = np.outer(X[:, 0], np.ones(5)) + np.outer(X[:, 1], np.arange(5))
    assert sketch_gram(FastProducts(Design(rank_2, None, True, np)), 5).values.size == 2
    nothing = sketch_gram(FastProducts(Design(np.ones((9, 4)), None, True, np)), 4)
    assert nothing.values.size == 0
    np.testing.assert_array_equal(nothing.solve(np.eye(4), np.ones(4)), np.eye(4))


def test_the_sketch_spares_iterations(monkeypatch):
    X, y = decaying(600, 500, power=1.5)
    with_sketch = solve_ridge_iteratively(X, y, 1e-4).n_iter
    monkeypatch.setattr(iterative, "_RANK", 1)
    assert solve_ridge_iteratively(X, y, 1e-4, max_iter=5000).n_iter > 5 * with_sketch


def test_too_few_iterations_are_told():
    X, y = decaying(300, 280, power=0.0)
    with pytest.warns(ConvergenceWarning, match="not 1.0e-10, since `max_iter` = 3 was reached"):
        model = Ridge(1e-3, solver="iterative", max_iter=3).fit(X, y)
    assert model.n_iter_ == 3
    rough = Ridge(1.0, solver="iterative", tol=1e-2).fit(X, y)
    assert rough.n_iter_ < Ridge(1.0, solver="iterative").fit(X, y).n_iter_


def test_auto_iterates_where_a_gram_matrix_does_not_fit_or_costs_more(monkeypatch):
    cpu = Space("cpu")
    assert not iterative_pays(100_000, 1_000, 1, cpu)
    assert not iterative_pays(500, 1_000_000, 1, cpu)
    monkeypatch.setattr(iterative, "memory_limit", lambda space: 1 << 60)
    assert iterative_pays(60_000, 60_000, 1, cpu)
    assert not iterative_pays(30_000, 8_000, 1, cpu)
    assert not iterative_pays(60_000, 60_000, 2_000, cpu)
    monkeypatch.setattr(iterative, "memory_limit", lambda space: 2 * 8 * 20_000**2 - 1)
    assert iterative_pays(20_000, 20_000, 2_000, cpu)
    X, y = decaying(60, 50)
    assert Ridge().fit(X, y).solver_ == "primal"
    monkeypatch.setattr(linear, "iterative_pays", lambda n, d, targets, space: True)
    assert Ridge().fit(X, y).solver_ == "iterative"
    assert Ridge().fit(X, y, groups=np.arange(60) // 2).solver_ == "primal"
    assert Ridge(solver="dual").fit(X, y).solver_ == "dual"


def test_the_same_input_gives_the_same_bits():
    X, y = decaying(200, 150)
    one, two = (Ridge(solver="iterative").fit(X, y).coef_ for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_nothing_is_written_and_little_is_copied():
    import tracemalloc

    X = np.random.default_rng(0).normal(size=(3000, 3000)).astype(np.float32) + 2
    y = X[:, :3] @ np.ones((3, 1)) + np.sin(np.arange(3000))[:, None]
    original = X.copy()
    monkey = pytest.MonkeyPatch()
    monkey.setattr("fastmm.solve.ridge.design._PIECE", 1 << 20)
    tracemalloc.start()
    model = Ridge(1000.0, solver="iterative").fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    monkey.undo()
    np.testing.assert_array_equal(X, original)
    assert peak < 2 * X.nbytes  # of which the sketch's 256 directions take a half each
    direct = Ridge(1000.0).fit(X, y)
    assert np.abs(model.coef_ - direct.coef_).max() < 1e-8 * np.abs(direct.coef_).max()


def test_what_is_refused():
    X, y = decaying(30, 20)
    with pytest.raises(ValueError, match='solver="iterative" does not make'):
        Ridge(solver="iterative").fit(X, y, groups=np.arange(30))
    with pytest.raises(ValueError, match="`tol` must be a finite number greater than 0"):
        Ridge(solver="iterative", tol=0.0).fit(X, y)
    with pytest.raises(ValueError, match="`max_iter` must be a positive integer"):
        Ridge(solver="iterative", max_iter=0).fit(X, y)
    with pytest.raises(ValueError, match="`alpha` must be a finite number of at least 0"):
        Ridge(-1.0, solver="iterative").fit(X, y)
    with pytest.raises(ValueError, match="one for each of the 3 targets, got 2"):
        Ridge([1.0, 2.0], solver="iterative").fit(X, y)


class FitOnly(Ridge):
    """Without `partial_fit`, which iterations refuse."""

    @property
    def partial_fit(self):
        raise AttributeError("partial_fit")


@parametrize_with_checks([FitOnly(solver="iterative")])
def test_scikit_learn_contract(estimator, check):
    check(estimator)
