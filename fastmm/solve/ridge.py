"""Ridge regression in closed form, with exact predictions for groups left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import number
from fastmm._space import Space, enter
from fastmm.solve.design import Design
from fastmm.solve.grouped import Folds, fold_shares
from fastmm.solve.held_out import held_out_predictions, held_out_residuals
from fastmm.solve.scoring import r2, roc_auc
from fastmm.solve.spd import RCOND, solve_spd
from fastmm.solve.spectral import Spectrum, factorise_exactly, weighted_products

__all__ = ["SCORINGS", "RidgeProblem", "RidgeSolution", "solve_ridge"]

SCORINGS = ("neg_mean_squared_error", "r2", "roc_auc")


class RidgeSolution(NamedTuple):
    """Coefficients (d,) or (targets, d) and intercept of a ridge regression.

    Parameters
    ----------
    coef : array of shape (d,) or (targets, d), float64
        Coefficients, where X lives.
    intercept : float or array of shape (targets,)
        Prediction at X = 0.
    solver : {"primal", "dual", "svd"}
        What was factorised: X'X, XX', or X itself.
    rank : int
        Rank of the centred design; for alpha > 0, where it does not matter, d.
    """

    coef: Any
    intercept: Any
    solver: str
    rank: int


def solve_ridge(
    X: Any, y: Any, alpha: float, *, fit_intercept: bool = True, sample_weight: Any = None
) -> RidgeSolution:
    r"""Solve a ridge regression in closed form, in float64.

    .. math:: \min_{\beta, b} \sum_i w_i (y_i - x_i^\top \beta - b)^2 + \alpha \|\beta\|^2

    Parameters
    ----------
    X : array of shape (n, d), NumPy or CuPy
        Design, of any real dtype, finite.
    y : array of shape (n,) or (n, targets)
        Targets, where `X` lives.
    alpha : float
        Penalty, not negative. 0 gives the minimum-norm least-squares solution.
    fit_intercept : bool, default True
        Whether b is free; else it is 0.
    sample_weight : array of shape (n,), optional
        Weights w, not negative. Default: 1.

    Returns
    -------
    RidgeSolution
        Coefficients, intercept, solver and rank.

    Raises
    ------
    ValueError
        If `alpha` is negative or not finite.

    Notes
    -----
    The smaller of X'X and XX', centred before it is accumulated, is factorised by
    Cholesky: about n d min(n, d) flops. Where that would lose more than 7 digits, and for
    alpha = 0, X itself is, by SVD.

    Examples
    --------
    >>> solve_ridge(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]), 0.0).coef.round(6)
    array([2.])
    """
    alpha = number(alpha, "alpha", minimum=0)
    space, (X, y, weight), _ = enter(X=X, y=y, sample_weight=sample_weight)
    problem = RidgeProblem(X, y, weight, fit_intercept, space)
    coef, solver, rank = _solve_one(problem.design, problem.y, alpha, space)
    return RidgeSolution(*problem.original(coef), solver, rank)


def _solve_one(design: Design, y: Any, alpha: float, space: Space) -> tuple[Any, str, int]:
    n, d = design.shape
    if alpha > 0:
        primal = d <= n
        gram = design.gram(primal)
        if not primal and design.unit is not None:
            # y is orthogonal to this direction, which alone would spoil the condition.
            gram += float(gram.trace() / n) * design.unit[:, None] * design.unit
        gram.ravel()[:: gram.shape[0] + 1] += alpha
        right = design.transposed_times(y) if primal else y
        solved = solve_spd(gram, right, space)
        if solved is not None:
            coef = solved if primal else design.transposed_times(solved)
            return coef, "primal" if primal else "dual", d
    spectrum = factorise_exactly(design)
    return spectrum.coefficients(y, alpha), spectrum.kind, spectrum.rank()


class RidgeProblem:
    """A ridge problem with its intercept and weights taken out."""

    def __init__(self, X: Any, y: Any, weight: Any, fit_intercept: bool, space: Space) -> None:
        xp = self.xp = space.xp
        self.space, self.weight, self.fit_intercept = space, weight, fit_intercept
        self.flat = y.ndim == 1
        self.targets = y.reshape(y.shape[0], -1).astype(np.float64)
        design = self.design = Design(X, weight, fit_intercept, xp)
        self.y_mean = xp.zeros(self.targets.shape[1])
        if fit_intercept:
            self.y_mean = xp.average(self.targets, axis=0, weights=weight)
        self.y = self.targets - self.y_mean
        if design.root is not None:
            self.y = self.y * design.root[:, None]

    def original(self, coef: Any) -> tuple[Any, Any]:
        """Return coefficients (targets, d) and intercept in the user's terms."""
        if not self.fit_intercept:
            intercept = 0.0
        else:
            intercept = self.y_mean - self.design.offset() @ coef
            intercept = float(intercept[0]) if self.flat else intercept
        return (coef[:, 0] if self.flat else coef.T), intercept

    def held_out(self, spectrum: Spectrum, folds: Folds, alphas: Sequence[float]) -> Any:
        """Return predictions (alphas, n, targets), each by the fit without its fold."""
        basis, damping = spectrum.basis, self.xp.stack([spectrum.damping(a) for a in alphas])
        projected = (damping[:, :, None] * (basis.T @ self.y)).swapaxes(0, 1)
        projected = (basis @ projected.reshape(basis.shape[1], -1)).reshape(
            -1, len(alphas), self.y.shape[1]
        )
        parts = {rows.shape[1]: basis[self.xp.asarray(rows)] for rows in folds.batches}
        return self.xp.stack(
            [
                self._held_out_at(spectrum, folds, parts, alpha, projected[:, i])
                for i, alpha in enumerate(alphas)
            ]
        )

    def scores(self, held_out: Any, folds: Folds, scoring: str) -> Any:
        """Return the score of each alpha, on the host; several targets are averaged."""
        space, y = self.space, self.targets
        weight = None if self.weight is None else space.to_host(self.weight)
        if scoring == "neg_mean_squared_error":
            error = ((held_out - y) ** 2).mean(axis=2)
            return -space.to_host(error @ space.asarray(fold_shares(folds, weight)))
        y, held_out = space.to_host(y), space.to_host(held_out)
        if scoring == "r2":
            return r2(y, held_out, weight)
        used = y if weight is None else y[weight > 0]
        if any(np.unique(column).size != 2 for column in (*y.T, *used.T)):
            raise ValueError('`scoring="roc_auc"` needs a `y` of two values, both with weight.')
        positive = (y == y.max(axis=0)).T
        return roc_auc(positive[None], held_out.swapaxes(1, 2), weight).mean(axis=1)

    def _held_out_at(
        self, spectrum: Spectrum, folds: Folds, parts: Any, alpha: float, projected: Any
    ) -> Any:
        xp, primal, unit = self.xp, spectrum.primal, self.design.unit
        damping, values = spectrum.damping(alpha), spectrum.values
        # Far below the eigenvalues a fold may hold all that determines some direction.
        suspect = values.size > 0 and alpha < RCOND * float(values.max())
        weak: list[Any] = []

        def blocks(rows: Any) -> Any:
            block = weighted_products(parts[rows.shape[1]], damping)
            if not primal:
                return block
            block = xp.eye(rows.shape[1]) - block
            if unit is not None:
                block -= unit[rows][:, :, None] * unit[rows][:, None, :]
            if suspect:
                low = xp.linalg.eigvalsh(block).min(axis=1) < RCOND
                block = xp.where(low[:, None, None], xp.eye(rows.shape[1]), block)
                weak.extend(self.space.to_host(rows[low]))
            return block

        if not primal and alpha == 0 and not bool((values > 0).all()):
            weak.extend(rows for batch in folds.batches for rows in batch)
            residual = xp.zeros_like(self.y)
        else:
            projected = self.y - projected if primal else projected
            residual = held_out_residuals(folds, blocks, projected, xp)

        def smoother(rows: Any) -> Any:
            lifted = spectrum.lift(xp.eye(values.size))
            lines = ((self.design.centred(rows) @ lifted) * damping) @ spectrum.basis.T
            if unit is not None:
                lines += self.design.root / self.weight.sum()
            return lines

        predicted = held_out_predictions(
            folds, self.targets, residual, self.design.root, smoother, self.space
        )
        for rows in weak:
            predicted[xp.asarray(rows)] = self._refit(rows, alpha)
        return predicted

    def _refit(self, rows: Any, alpha: float) -> Any:
        train = np.ones(self.targets.shape[0], bool)
        train[rows] = False
        keep = self.xp.asarray(np.flatnonzero(train))
        X, weight = self.design.X, None if self.weight is None else self.weight[keep]
        y, intercept = self.targets[keep], self.fit_intercept
        part = solve_ridge(X[keep], y, alpha, fit_intercept=intercept, sample_weight=weight)
        return X[self.xp.asarray(rows)].astype(np.float64) @ part.coef.T + part.intercept
