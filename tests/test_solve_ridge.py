"""solve_ridge alone: penalties for each target, mixed precision and the backward error."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import weights
from ridge_by_definition import SHAPES, cohort, naive_ridge
from sklearn.linear_model import Ridge as SklearnRidge

from fastmm._space import Space
from fastmm.solve.ridge.solution import RidgeProblem, solve_ridge


def test_solve_ridge_is_usable_alone(xp_any):
    X, y, _ = cohort(30, 6)
    found = solve_ridge(xp_any.asarray(X), xp_any.asarray(y), 2.0)
    reference = SklearnRidge(2.0).fit(X, y)
    np.testing.assert_allclose(xp_any.asnumpy(found.coef), reference.coef_, rtol=1e-10)
    assert found.intercept == pytest.approx(reference.intercept_, rel=1e-10)
    assert (found.solver, found.rank) == ("primal", 6)


def test_mixed_precision_falls_back_where_float32_cannot_serve():
    X, y, _ = cohort(60, 20)
    X[:, 1] = X[:, 0] + 1e-4 * X[:, 1]
    for scale in (1.0, 1e25):
        expected = naive_ridge(X * scale, y, 1e-4 * scale**2)[0]
        found = solve_ridge(X * scale, y, 1e-4 * scale**2, precision="mixed").coef
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_backward_error_tells_of_wrong_coefficients():
    X, y, _ = cohort(60, 8, targets=3)
    for alpha in (0.0, 0.3, 1e3):
        assert solve_ridge(X, y, alpha).residual < 1e-14
    problem = RidgeProblem(X, y, None, True, Space("cpu"))
    coef = problem.solve(0.3).coef
    assert 1e-6 < problem.backward_error(coef * (1 + 1e-4), 0.3) < 1e-3
    assert problem.backward_error(coef, 0.3 + 1e-2) > 1e-6
    assert solve_ridge(X, 0 * y, 1.0).residual == 0
    assert solve_ridge(0 * X, y, 1.0).residual == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_solve_ridge_with_an_alpha_for_each_target(xp_any, shape):
    X, y, _ = cohort(*shape, targets=4)
    alphas = np.array([0.1, 5.0, 0.1, 300.0])
    weight = weights("zeros", len(X))
    found = solve_ridge(*map(xp_any.asarray, (X, y)), alphas, sample_weight=xp_any.asarray(weight))
    for t, alpha in enumerate(alphas):
        coef, intercept = naive_ridge(X, y[:, t], alpha, weight=weight)
        np.testing.assert_allclose(xp_any.asnumpy(found.coef)[t], coef, rtol=1e-8, atol=1e-10)
        assert float(found.intercept[t]) == pytest.approx(intercept, rel=1e-9)
    with_zero = solve_ridge(X, y, [0.0, 1.0, 0.0, 1.0], sample_weight=weight)
    expected = naive_ridge(X, y[:, 2], 0.0, weight=weight)[0]
    np.testing.assert_allclose(with_zero.coef[2], expected, atol=1e-9)
    assert with_zero.solver == "svd"
    with pytest.raises(ValueError, match="one for each of the 4 targets, got 3"):
        solve_ridge(X, y, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"`alpha\[1\]` must be a finite number of at least 0"):
        solve_ridge(X, y, [1.0, -2.0, 3.0, 1.0])
    with pytest.raises(TypeError, match="needs `blocks`"):
        solve_ridge(X, y, {"a": 1.0})
