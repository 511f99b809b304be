"""Iterations say that they converged only where their predictions are right."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastmm import Ridge


def exact_fit(X, y, alpha):
    """Fitted values by least squares on columns of one length, with one step of refinement."""
    A = np.vstack([X, np.sqrt(alpha) * np.eye(X.shape[1])])
    b = np.concatenate([y, np.zeros(X.shape[1])])
    A = A / np.linalg.norm(A, axis=0)
    coef = np.linalg.lstsq(A, b, rcond=None)[0]
    coef += np.linalg.lstsq(A, b - A @ coef, rcond=None)[0]
    return (A @ coef)[: len(X)]


def outcome(X, y, alpha, intercept=False):
    """Return the relative error of the fitted values, and whether a warning told of it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = Ridge(alpha, solver="iterative", fit_intercept=intercept, max_iter=300).fit(X, y)
    assert {w.category for w in told} <= {ConvergenceWarning}
    X = X.astype(float)
    offset = y.mean() if intercept else 0.0
    expected = exact_fit(X - X.mean(0) if intercept else X, y - offset, alpha) + offset
    found = model.predict(X)
    return np.linalg.norm(found - expected) / np.linalg.norm(expected), bool(told)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("alpha", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize("shape", [(60, 8), (200, 23)])
def test_columns_of_any_scale_are_right_or_told_of(shape, alpha, dtype, intercept):
    rng = np.random.default_rng(0)
    plain = rng.normal(size=shape)
    X = (plain * np.logspace(-8, 14, shape[1])).astype(dtype)
    targets = (
        plain @ rng.normal(size=shape[1]),
        plain[:, -3:] @ np.ones(3) + 0.02 * plain.sum(axis=1),
        X.astype(float).sum(axis=1),
        rng.normal(size=shape[0]),
    )
    for y in targets:
        error, told = outcome(X, y, alpha, intercept)
        assert told or error < 1e-8


@pytest.mark.parametrize("noise", [0.1, 100.0])
@pytest.mark.parametrize("alpha", [1e-8, 1e-2])
@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_float32_far_from_0_is_right_or_told_of(power, alpha, noise):
    rng = np.random.default_rng(3)
    basis, _ = np.linalg.qr(rng.normal(size=(100, 60)))
    falling = np.arange(1.0, 61) ** -power
    X = (rng.normal(size=(60, 60)) * falling @ basis.T + 1e4).astype(np.float32)
    y = X.astype(float) @ rng.normal(size=100) + noise * rng.normal(size=60)
    error, told = outcome(X, y, alpha)
    assert error < 1e-6 or told


def test_columns_of_one_scale_are_right_without_a_warning():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 60))
    for scale in (1e-8, 1.0, 1e14):
        y = X @ rng.normal(size=60) + rng.normal(size=120)
        error, told = outcome(X * scale, y, scale**2)
        assert not told
        assert error < 1e-9
