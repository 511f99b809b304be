"""What the Newton steps of the SVM rest on: factors, preconditioners and the line search."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel
from svm_by_hinge import error

from fastmm.solve.svm import kernel as svm_kernel
from fastmm.solve.svm import newton as svm_newton


def definite(n, seed=4):
    rng = np.random.default_rng(seed)
    K = rbf_kernel(rng.normal(size=(n, 4)), gamma=0.1)
    r = rng.uniform(0.5, 2, n)
    return K, r, rng.normal(size=n), rng


@pytest.mark.parametrize("unit", [True, False])
def test_a_rounded_factor_follows_the_active_rows(unit):
    from fastmm._space import Space
    from fastmm.solve.svm.rounded import RoundedFactor

    K, weights, slack, rng = definite(300)
    weights = np.ones(300) if unit else weights
    active = slack > -0.8
    lower = np.tril(K) + np.triu(np.full(K.shape, np.nan), 1)
    factor = RoundedFactor(lower, weights * active, slack, 0.1, Space("cpu"))
    for _ in range(6):  # rows leave, join, and return: those expected to leave, and others
        r = weights * active
        rows, right = np.flatnonzero(active), rng.normal(size=300) * active
        M = (K * r * r[:, None] + 0.1 * np.eye(300))[np.ix_(rows, rows)]
        found = factor.solver(r)(right)
        assert not found[~active].any()
        expected = np.linalg.solve(M, right[rows])
        assert error(found[rows], expected) < 1e-4
        active[rng.choice(300, 5)] ^= True
    assert factor.basis.size
    assert factor.last.size > int(0.4 * factor.count)
    assert factor.solver(weights * (slack < -0.8)) is None


def test_a_nystrom_preconditioner_serves_any_rows():
    from fastmm._space import Space
    from fastmm.solve.svm.nystrom import NystromPreconditioner

    K, weights, slack, rng = definite(400)
    lower = np.tril(K) + np.triu(np.full(K.shape, np.nan), 1)
    of = NystromPreconditioner(lower, weights * (slack > -0.5), 0.5, Space("cpu"))
    for limit in (-0.5, 0.5, -2.0):
        r = weights * (slack > limit)
        right = rng.normal(size=400) * (r > 0)
        M = K * r * r[:, None] + 0.5 * np.eye(400)
        found = of.solver(r)(right)
        assert not found[r == 0].any()
        assert error(M @ found, right) < 0.6  # 50 landmarks of a smooth kernel
        diagonal = right / M.diagonal()
        assert error(M @ diagonal, right) > 1


def test_dependent_landmarks_leave_the_diagonal():
    from fastmm._space import Space
    from fastmm.solve.svm.nystrom import NystromPreconditioner

    K = -np.ones((40, 40))
    of = NystromPreconditioner(K, np.ones(40), 2.0, Space("cpu"))
    np.testing.assert_allclose(of.solver(np.ones(40))(np.ones(40)), 1.0)


@pytest.mark.parametrize("n", [1, 127, 128, 300])
def test_substitution_in_blocks(n):
    from fastmm._space import Space
    from fastmm.solve.svm.substitution import Substitution

    rng = np.random.default_rng(n)
    A = np.cov(rng.normal(size=(n, 2 * n + 5))).reshape(n, n)
    lower = np.linalg.cholesky(A).astype(np.float32)
    lower[np.triu_indices(n, 1)] = np.nan
    right = rng.normal(size=n).astype(np.float32)
    both = Substitution(lower, Space("cpu"))
    found = both.backward(both.forward(right))
    assert found.dtype == np.float32
    assert error(A @ found, right) < 1e-4


def test_rows_across_are_taken_from_the_lower_triangle():
    from fastmm._space import Space
    from fastmm.solve.svm.algebra import cross_part

    rng = np.random.default_rng(0)
    K = rng.normal(size=(400, 400))
    K = K + K.T
    lower = np.tril(K) + np.triu(np.full(K.shape, np.nan), 1)
    for share in (0.01, 0.4, 0.9, 1.0):
        rows = np.flatnonzero(rng.random(400) < share)
        columns = np.flatnonzero(rng.random(400) < 0.6)
        found = cross_part(lower, rows, columns, Space("cpu"), np.float64)
        np.testing.assert_array_equal(found, K[np.ix_(rows, columns)])


def test_line_search_finds_the_minimum():
    from fastmm._space import Space
    from fastmm.solve.svm.system import ActiveSystem, State

    rng = np.random.default_rng(5)
    K = np.cov(rng.normal(size=(30, 60)))
    y = np.where(rng.random(30) < 0.5, 1.0, -1.0)
    system = ActiveSystem(svm_kernel.DenseKernel(K, Space("cpu")), y, 3.0, Space("cpu"))

    def loss(a, b):
        return a @ K @ a / 2 + 3 * (np.maximum(0, 1 - y * (K @ a + b)) ** 2).sum()

    a, way = np.zeros(30), y * rng.random(30) / 9
    start, end = State(a, 0.1, K @ a), State(way, 0.0, K @ way)
    t = svm_newton._line_search(system, np.ones(30), start, end)
    values = [loss(a + s * (way - a), 0.1 - 0.1 * s) for s in (0.99 * t, t, 1.01 * t)]
    assert t > 0
    assert values[1] < min(values[0], values[2])
