"""Least squares with few columns, free or not negative, with every group left out in turn.

The rows of each group are reduced to a triangular factor of (1, X, y), which keeps all
that least squares can tell of them. Factors of two sets of rows are joined by one small
QR decomposition: so all rows but those of one group are the join of those before and
those after it, and nothing is ever subtracted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.grouped import Folds

__all__ = ["TriangularProblem", "Weights"]

_TIE = 1e-4  # of the columns: makes those that could stand for each other share a weight


class Weights(NamedTuple):
    """Coefficients (m, targets), intercepts (targets,), norms of what is left, and the rank."""

    coef: np.ndarray[Any, Any]
    intercept: np.ndarray[Any, Any]
    residual: np.ndarray[Any, Any]
    rank: int


class TriangularProblem:
    r"""A least-squares problem for each target, on the host.

    .. math:: \min_{\beta, b} \sum_i w_i (y_i - x_i^\top \beta - b)^2,
        \quad \beta \ge 0 \text{ if positive}

    Parameters
    ----------
    X : array of shape (n, m)
        Rows, far more than columns.
    y : array of shape (n, targets), float64
        Targets.
    weight : array of shape (n,), or None
        Weights, not negative.
    fit_intercept : bool
        Whether b is free; else it is 0.
    positive : bool
        Whether coefficients must not be negative.

    References
    ----------
    .. [1] Lawson, C. L., & Hanson, R. J. (1995). Solving Least Squares Problems. SIAM.
       https://doi.org/10.1137/1.9781611971217
    """

    def __init__(
        self,
        X: np.ndarray[Any, Any],
        y: np.ndarray[Any, Any],
        weight: np.ndarray[Any, Any] | None,
        fit_intercept: bool,
        positive: bool,
    ) -> None:
        self.m, self.fit_intercept, self.positive = X.shape[1], fit_intercept, positive
        self.rounding = float(np.finfo(np.float64).eps) * max(X.shape)
        X = X.astype(np.float64)
        self.x_mean, self.y_mean = np.zeros(self.m), np.zeros(y.shape[1])
        if fit_intercept:
            self.x_mean = X[0] + np.average(X - X[0], axis=0, weights=weight)
            self.y_mean = np.average(y, axis=0, weights=weight)
        ones = np.ones((len(y), int(fit_intercept)))
        self.centred = X - self.x_mean
        self.rows = np.concatenate([ones, self.centred, y - self.y_mean], axis=1)
        if weight is not None:
            self.rows *= np.sqrt(weight)[:, None]

    def solve(self) -> Weights:
        """Return the weights from all rows."""
        found = self._weights(_factor(self.rows))
        return found._replace(intercept=found.intercept + self.y_mean - self.x_mean @ found.coef)

    def held_out(self, folds: Folds) -> np.ndarray[Any, Any]:
        """Return predictions (n, targets), each by weights from all other folds."""
        order = np.argsort(folds.codes, kind="stable")
        ends = np.cumsum(np.bincount(folds.codes, minlength=folds.n_folds))[:-1]
        rows = np.split(order, ends)
        own = [_factor(self.rows[part]) for part in rows]
        nothing = np.zeros((0, self.rows.shape[1]))
        after = [nothing]
        for factor in own[:0:-1]:
            after.append(_join(factor, after[-1]))
        predicted, before = np.empty((len(order), self.y_mean.size)), nothing
        for part, factor in zip(rows, own, strict=True):
            found = self._weights(_join(before, after.pop()))
            predicted[part] = self.centred[part] @ found.coef + found.intercept + self.y_mean
            before = _join(before, factor)
        return predicted

    def _weights(self, factor: np.ndarray[Any, Any]) -> Weights:
        """Return the weights of the centred problem with this triangular factor."""
        first, last = int(self.fit_intercept), int(self.fit_intercept) + self.m
        square = np.zeros((self.rows.shape[1],) * 2)
        square[: len(factor)] = factor
        left, right = square[first:last, first:last], square[first:last, last:]
        # Neither the rank nor the tolerances of `nnls` may depend on the scale of columns.
        scale, whole = (
            np.linalg.norm(part[:, first:last], axis=0) for part in (square[first:], square)
        )
        scale = np.where(scale > self.rounding * whole, scale, np.inf)
        rank = _rank(left, scale, self.rounding)
        if self.positive:
            columns = [_nonnegative(left, scale, column, self.rounding) for column in right.T]
            coef = np.stack(columns, axis=1)
        else:
            coef = _free(left, scale, right, self.rounding)
        residual = np.hypot(
            np.linalg.norm(right - left @ coef, axis=0),
            np.linalg.norm(square[last:, last:], axis=0),
        )
        intercept = np.zeros(right.shape[1])
        if first:
            intercept = (square[0, last:] - square[0, first:last] @ coef) / square[0, 0]
        return Weights(coef, intercept, residual, rank)


def _factor(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if len(rows) < 2:
        return rows
    factor: Any = np.linalg.qr(rows, mode="r")
    return factor  # type: ignore[no-any-return]


def _join(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return _factor(np.concatenate([one, other]))


def _rank(left: Any, scale: Any, rounding: float) -> int:
    return int(np.linalg.matrix_rank(left / scale, rtol=rounding))


def _free(left: Any, scale: Any, right: Any, rounding: float) -> np.ndarray[Any, Any]:
    if _rank(left, scale, rounding) == scale.size:
        scaled: Any = np.linalg.lstsq(left / scale, right, rcond=rounding)[0] / scale[:, None]
        return scaled  # type: ignore[no-any-return]
    least: Any = np.linalg.lstsq(left, right, rcond=rounding)[0]
    return least  # type: ignore[no-any-return]


def _nonnegative(left: Any, scale: Any, right: Any, rounding: float) -> np.ndarray[Any, Any]:
    from scipy.optimize import nnls

    size = float(np.linalg.norm(right))
    if size == 0:
        return np.zeros(scale.size)
    used = np.flatnonzero(np.isfinite(scale))
    matrix, target = left[:, used] / scale[used], right / size
    if _rank(matrix, 1.0, rounding) < used.size:
        tie = np.diag(_TIE * scale[used].min() / scale[used])
        matrix, target = np.concatenate([matrix, tie]), np.append(target, np.zeros(used.size))
    coef = np.zeros(scale.size)
    coef[used] = nnls(matrix, target, maxiter=100 * used.size)[0] * size / scale[used]
    # `nnls` squares the condition, and the tie shifts the weights: solved again, free.
    above = np.flatnonzero(coef)
    if above.size:
        again = _free(left[:, above], scale[above], right[:, None], rounding)[:, 0]
        coef[above] = again if (again >= 0).all() else coef[above]
    return coef
