"""Kernel machines by conjugate gradients: products in tiles, centres, pivots, limits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel

from fastmm._space import Space, enter
from fastmm.solve.conjugate import solve_shifted
from fastmm.solve.kernel import products as kernel_products
from fastmm.solve.kernel.bordered import solve_lssvm
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.matrix_free import solve_kernel_cg
from fastmm.solve.kernel.nystrom import draw_centres
from fastmm.solve.kernel.products import KernelProducts, tile_size
from fastmm.solve.pivots import pivoted_cholesky, solve_upper, upper_factor

HOST = Space("cpu")
RBF = KernelFunction("rbf", 0.3)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(kernel_products._TILE, "cpu", 400)
    monkeypatch.setitem(kernel_products._TILE, "cuda", 400)


def rows(n, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("keep", [0, 1 << 20])
@pytest.mark.parametrize("kind", ["rbf", "precomputed", "callable"])
def test_products_equal_the_whole_matrix(xp_any, kind, keep):
    X, Z = rows(90), rows(47, seed=1)
    V, U, w = rows(47, 2, seed=2), rows(90, 2, seed=3), np.abs(rows(90, 1, seed=4))[:, 0]
    there = [xp_any.asarray(array) for array in (X, Z, V, U, w)]
    space, xp = enter(X=there[0])[0], enter(X=there[0])[0].xp
    K, square = rbf_kernel(X, Z, gamma=0.3), rbf_kernel(X, gamma=0.3)
    function, left, whole = RBF, there[0], there[0]
    if kind == "precomputed":
        function, left = KernelFunction("precomputed"), xp_any.asarray(K)
        whole = xp_any.asarray(square)
    elif kind == "callable":
        function = KernelFunction(lambda A, B: RBF.between(A, B, xp))
    products = KernelProducts(function, left, there[1], space, keep=keep)
    symmetric = KernelProducts(function, whole, None, space, keep=keep)
    assert products.shape == (90, 47)
    for _ in range(2):  # the second time from kept tiles
        for found, expected in [
            (products.times(there[2]), K @ V),
            (products.transposed_times(there[3]), K.T @ U),
            (products.normal_times(there[2], there[4]), K.T @ (w[:, None] * (K @ V))),
            (products.normal_times(there[2]), K.T @ (K @ V)),
            (xp.concatenate([block for _, block in products.row_blocks()]), K),
            (symmetric.times(there[3]), square @ U),
            (symmetric.transposed_times(there[3]), square @ U),
        ]:
            np.testing.assert_allclose(xp_any.asnumpy(found), expected, atol=1e-12)


def test_symmetric_tiles_are_made_once(tiny):
    made = []

    def counting(A, B):
        made.append(len(A) * len(B))
        return rbf_kernel(A, B)

    X = rows(100)
    KernelProducts(KernelFunction(counting), X, None, HOST).times(X)
    assert sum(made) < 0.65 * 100 * 100
    made.clear()
    kept = KernelProducts(KernelFunction(counting), X, None, HOST, keep=8 * 100 * 100)
    kept.times(X)
    before = len(made)
    kept.times(X)
    assert len(made) == before > 0


@pytest.mark.parametrize(("n", "m"), [(5, 3), (10**6, 3), (10**6, 10**6), (3, 10**6), (1, 1)])
def test_tiles_are_bounded(n, m):
    high, wide = tile_size(n, m, HOST)
    assert 1 <= high <= n
    assert 1 <= wide <= m
    assert high * wide <= kernel_products._TILE["cpu"]


def test_conjugate_gradients_reach_the_true_residual():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    G = (basis * np.logspace(-4, 3, 60)) @ basis.T
    G = (G + G.T) / 2
    right, alphas = rng.normal(size=(60, 3)), np.array([1e-3, 1.0, 1e3])
    right[:, 1] = 0
    found = solve_shifted(lambda v: G @ v, right, alphas, tol=1e-9, max_iter=5000)
    left = right - G @ found.solution - alphas * found.solution
    expected = np.linalg.norm(left, axis=0) / np.maximum(np.linalg.norm(right, axis=0), 1e-300)
    np.testing.assert_allclose(found.residual, expected, rtol=0.5, atol=1e-12)
    assert (found.residual <= 1e-9).all()
    assert (found.solution[:, 1] == 0).all()
    few = solve_shifted(lambda v: G @ v, right, alphas, tol=1e-9, max_iter=3)
    assert few.n_iter == 3
    assert few.residual.max() > 1e-9


def test_conjugate_gradients_end_where_rounding_ends():
    G = np.diag(np.logspace(0, 12, 30))
    right = np.ones((30, 1))
    found = solve_shifted(lambda v: G @ v, right, np.array([1e-8]), tol=1e-30, max_iter=10**4)
    assert found.n_iter < 10**4
    assert 1e-30 < found.residual[0] < 1e-6


def test_an_exact_preconditioner_takes_one_step():
    G = np.diag(np.arange(1.0, 9.0))
    right, alphas = rows(8, 2), np.array([0.5, 2.0])

    def inverse(columns, shifts):
        return columns / (np.arange(1.0, 9.0)[:, None] + shifts)

    found = solve_shifted(lambda v: G @ v, right, alphas, precondition=inverse, tol=1e-12)
    assert found.n_iter == 1
    expected = right / (np.arange(1.0, 9.0)[:, None] + alphas)
    np.testing.assert_allclose(found.solution, expected, atol=1e-14)


def test_an_indefinite_matrix_is_refused():
    with pytest.raises(ValueError, match="not positive semidefinite"):
        solve_shifted(lambda v: -v, np.ones((3, 1)), np.array([0.5]))


def test_pivoted_cholesky_approximates_and_stops_at_the_rank(xp_any):
    X = rows(150, 2)
    there = xp_any.asarray(X)
    space = enter(X=there)[0]
    factor, pivots = pivoted_cholesky(RBF, there, 100, 0, space)
    F = xp_any.asnumpy(factor)
    assert F.shape == (150, pivots.size)
    assert np.unique(pivots).size == pivots.size
    assert np.abs(F @ F.T - rbf_kernel(X, gamma=0.3)).max() < 1e-9
    function = KernelFunction("poly", 1.0, 2, 1.0)  # 6 monomials
    factor, pivots = pivoted_cholesky(function, there, 100, 0, space)
    F, K = xp_any.asnumpy(factor), polynomial_kernel(X, gamma=1.0, degree=2, coef0=1.0)
    assert np.abs(F @ F.T - K).max() < 1e-9 * np.abs(K).max()
    nothing, pivots = pivoted_cholesky(KernelFunction("linear"), 0 * there, 5, 0, space)
    assert nothing.shape == (150, 0)
    assert pivots.size == 0


def test_pivots_avoid_copies():
    X = np.concatenate([np.repeat(rows(1), 400, axis=0), rows(100, seed=1)])
    _, pivots = pivoted_cholesky(KernelFunction("rbf", 30.0), X, 101, 0, HOST)
    assert (pivots < 400).sum() < 60  # all of one block at most, of 400 copies


def test_upper_factor():
    A = rows(20, 20)
    U = upper_factor(A @ A.T, HOST)
    np.testing.assert_allclose(U.T @ U, A @ A.T, atol=1e-10)
    assert (np.tril(U, -1) == 0).all()
    np.testing.assert_allclose(U @ solve_upper(U, A, HOST), A, atol=1e-9)
    np.testing.assert_allclose(U.T @ solve_upper(U, A, HOST, transposed=True), A, atol=1e-9)
    singular = upper_factor(np.ones((5, 5)), HOST)
    np.testing.assert_allclose(singular.T @ singular, 1, atol=1e-12 * 100 + 1e-9)
    np.testing.assert_array_equal(np.triu(upper_factor(np.zeros((2, 2)), HOST), 1), 0)
    with pytest.raises(ValueError, match="not positive semidefinite"):
        upper_factor(np.diag([1.0, -1.0]), HOST)


def test_centres_are_drawn_from_rows_with_weight():
    weight = np.zeros(100)
    weight[10:40] = 1
    drawn = draw_centres(100, 20, weight, 3)
    assert drawn.size == np.unique(drawn).size == 20
    assert drawn.min() >= 10
    assert drawn.max() < 40
    np.testing.assert_array_equal(drawn, draw_centres(100, 20, weight, 3))
    assert (draw_centres(100, 20, weight, 4) != drawn).any()
    np.testing.assert_array_equal(draw_centres(100, 50, weight, 0), np.arange(10, 40))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_lssvm_system(xp_any, weighted):
    X = rows(80)
    y = np.where(X @ [1.0, -1.0, 0.5] > 0, 1.0, -1.0)[:, None]
    weight = np.random.default_rng(1).integers(0, 3, 80).astype(float) if weighted else None
    dual, intercept = solve_lssvm(rbf_kernel(X, gamma=0.3), y, 4.0, sample_weight=weight)
    there = xp_any.asarray(X)
    products = KernelProducts(RBF, there, None, enter(X=there)[0])
    found = solve_kernel_cg(
        products, xp_any.asarray(y), np.array([0.25]), fit_intercept=True, rank=20, tol=1e-12,
        weight=None if weight is None else xp_any.asarray(weight),
    )  # fmt: skip
    np.testing.assert_allclose(xp_any.asnumpy(found.dual), dual, atol=1e-9)
    np.testing.assert_allclose(xp_any.asnumpy(found.intercept), intercept, atol=1e-9)
    assert abs(float(found.dual.sum())) < 1e-9


def test_the_preconditioner_saves_iterations():
    X = rows(400)
    y = np.sin(X[:, :1])
    products = KernelProducts(RBF, X, None, HOST, keep=1 << 30)
    count = {
        rank: solve_kernel_cg(products, y, np.array([1e-4]), rank=rank).n_iter for rank in (1, 200)
    }
    assert count[200] < count[1] / 5
