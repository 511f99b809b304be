"""The bordered system of the LSSVM: its residual, its blocks and the factor of its inverse."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import weights
from lssvm_by_definition import cohort, naive_machine, signs_of
from sklearn.metrics.pairwise import (
    linear_kernel,
    rbf_kernel,
)

from fastmm import LSSVC, LSSVCCV
from fastmm._space import Space
from fastmm.solve.kernel.bordered import BorderedSystem, solve_lssvm
from fastmm.solve.kernel.bordered_inverse import inverse_factor, solve_blocks, solve_definite


def test_the_residual_is_reported():
    X, y, groups = cohort(200)
    for C, most in ((1e-3, 1e-15), (1.0, 1e-14), (1e6, 1e-8)):
        for model in (LSSVC(C), LSSVCCV((C,)), LSSVC(C, class_weight="balanced")):
            assert model.fit(X, y, groups=groups).residual_ < most
    system = BorderedSystem(rbf_kernel(X), signs_of(y), None, Space("cpu"))
    weighted = system.solve(0.1)
    assert system.residual(weighted, 0.1) < 1e-14
    dense = np.zeros((201, 201))
    dense[0, 1:] = dense[1:, 0] = 1
    dense[1:, 1:] = rbf_kernel(X) + 0.1 * np.eye(200)
    expected = np.linalg.solve(dense, np.concatenate([[0], signs_of(y)[:, 0]]))
    np.testing.assert_allclose(weighted[:, 0], expected[1:], rtol=1e-9, atol=1e-12)
    worse = weighted + 1e-3 * np.abs(weighted).max() * np.eye(200)[:, :1]
    assert system.residual(worse, 0.1) > 1e-4


@pytest.mark.parametrize("size", [1, 5, 64, 65, 150])
def test_blocks_are_solved(size):
    rng = np.random.default_rng(size)
    root = rng.normal(size=(3, size, size + 5))
    blocks, right = root @ root.swapaxes(1, 2), rng.normal(size=(3, size, 2))
    expected = np.linalg.solve(blocks, right)
    for found in (solve_definite(blocks, right, np), solve_blocks(blocks, right, Space("cpu"))):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    blocks[1] *= -1  # of an indefinite kernel
    expected = np.linalg.solve(blocks, right)
    found = solve_blocks(blocks, right, Space("cpu"))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_the_factor_of_an_inverse():
    root = np.random.default_rng(0).normal(size=(40, 50))
    matrix = root @ root.T
    upper = inverse_factor(matrix.copy(), Space("cpu"))
    np.testing.assert_array_equal(np.tril(upper, -1), 0)
    np.testing.assert_allclose(upper @ upper.T, np.linalg.inv(matrix), rtol=1e-9, atol=1e-12)
    assert inverse_factor(np.ones((3, 3)), Space("cpu")) is None
    assert inverse_factor(-matrix, Space("cpu")) is None


def test_solve_lssvm_is_usable_alone(xp_any):
    X, y, _ = cohort()
    K, signs, weight = linear_kernel(X, X), signs_of(y), weights("zeros", len(X))
    dual, intercept = solve_lssvm(
        xp_any.asarray(K), xp_any.asarray(signs[:, 0]), 3.0, sample_weight=xp_any.asarray(weight)
    )
    expected = naive_machine(K, signs, 3.0, weight)
    np.testing.assert_allclose(xp_any.asnumpy(dual), expected[0][:, 0], atol=1e-9)
    np.testing.assert_allclose(xp_any.asnumpy(intercept), expected[1], atol=1e-9)
    with pytest.raises(ValueError, match="`C`"):
        solve_lssvm(K, signs, 0.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_loose_machine_decides_as_its_system_solved_by_elimination(weighted):
    # Nearly constant kernels: what coefficients lack of a sum of 0 all decisions get.
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(500, 3)), rng.integers(0, 2, 500)
    weight = rng.uniform(0.1, 2, 500) if weighted else np.ones(500)
    K = np.exp(-0.003 * ((X[:, None] - X) ** 2).sum(-1))
    model = LSSVC(1e4, kernel="precomputed").fit(K, y, sample_weight=weight)
    system = np.ones((501, 501))
    system[0, 0], system[1:, 1:] = 0, K + np.diag(1e-4 / weight)
    b, *a = np.linalg.solve(system, np.r_[0, 2 * y - 1])
    np.testing.assert_allclose(model.decision_function(K), K @ a + b, rtol=0, atol=3e-9)
    assert abs(model.dual_coef_.sum()) < 1e-12 * abs(model.dual_coef_).sum()
