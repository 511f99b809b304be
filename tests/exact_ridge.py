"""Ridge regression in rational numbers: what every digit of a float64 answer is compared with."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np


def exact(array: Any) -> Any:
    """Turn floats into the rational numbers that they are."""
    return np.vectorize(Fraction, otypes=[object])(np.asarray(array, np.float64))


def solve_exactly(matrix: Any, right: Any) -> Any:
    """Solve a positive definite system of rational numbers by elimination."""
    rows = np.concatenate([matrix, right], axis=1)
    n = len(rows)
    for i in range(n):
        rows[i, i:] = rows[i, i:] / rows[i, i]
        for j in range(n):
            if j != i and rows[j, i]:
                rows[j, i:] = rows[j, i:] - rows[j, i] * rows[i, i:]
    return rows[:, n:]


def ridge(
    X: Any, y: Any, alpha: float, weight: Any = None, *, intercept: bool = True
) -> tuple[Any, Any]:
    """Return the coefficients (d,) and the intercept, as rational numbers."""
    X, y = exact(X), exact(y)[:, None]
    w = exact(np.ones(len(X)) if weight is None else weight)[:, None]
    mean, level = (w * X).sum(axis=0) / w.sum(), (w * y).sum() / w.sum()
    if not intercept:
        mean, level = 0 * mean, Fraction(0)
    Z, t, a = X - mean, y - level, Fraction(alpha)
    if Z.shape[1] <= len(Z):
        gram = Z.T.dot(w * Z)
        gram += np.diag([a] * len(gram))
        coef = solve_exactly(gram, Z.T.dot(w * t))[:, 0]
    else:
        gram = Z.dot(Z.T) * w.T
        gram += np.diag([a] * len(gram))
        coef = Z.T.dot(w * solve_exactly(gram, t))[:, 0]
    return coef, level - mean.dot(coef)


def held_out(X: Any, y: Any, alpha: float, groups: Any, weight: Any = None) -> Any:
    """Return the prediction of each row by the fit without its group, float64."""
    found = np.empty(len(y))
    for group in np.unique(groups):
        rest = groups != group
        coef, level = ridge(X[rest], y[rest], alpha, None if weight is None else weight[rest])
        found[~rest] = (exact(X[~rest]).dot(coef) + level).astype(float)
    return found


def fitted(X: Any, coef: Any, intercept: Any) -> Any:
    """Return X coef + intercept with nothing rounded but the result, float64."""
    return (exact(X).dot(exact(coef)) + Fraction(float(intercept))).astype(float)


def off(found: Any, expected: Any, scale: Any = 1.0) -> float:
    """Return the relative error of a vector, whose entries count times `scale`."""
    expected = np.asarray(expected, float)
    wrong = np.linalg.norm((np.asarray(found, float) - expected) * scale)
    return float(wrong / np.linalg.norm(expected * scale))
