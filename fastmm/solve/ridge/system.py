"""A ridge problem with its intercept and weights taken out, and its solution."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.solve.ridge.accuracy import relative_error
from fastmm.solve.ridge.design import Design
from fastmm.solve.ridge.factorisation import factorise, factorise_exactly
from fastmm.solve.ridge.refinement import refine
from fastmm.solve.spd import solve_spd

__all__ = ["RidgeSystem", "Solved"]


class Solved(NamedTuple):
    """Coefficients (d, targets) of the scaled columns, how they were found, and how well."""

    coef: Any
    solver: str
    rank: int
    error: float = 0.0  # estimated, relative; 0 where a Gram matrix held the digits


class RidgeSystem:
    """A ridge problem with its intercept and weights taken out."""

    def __init__(self, X: Any, y: Any, weight: Any, fit_intercept: bool, space: Space) -> None:
        xp = self.xp = space.xp
        self.space, self.weight, self.fit_intercept = space, weight, fit_intercept
        self.flat = y.ndim == 1
        self.targets = y.reshape(y.shape[0], -1).astype(np.float64)
        design = self.design = self._make_design(X)
        self.y_mean = xp.zeros(self.targets.shape[1])
        if fit_intercept:
            self.y_mean = xp.average(self.targets, axis=0, weights=weight)
        self.y = self.targets - self.y_mean
        if design.root is not None:
            self.y = self.y * design.root[:, None]

    def scaled(self, scale: Any) -> Any:
        """Return this problem with its columns multiplied by `scale` (d,)."""
        other = copy.copy(self)
        other.design = self.design.scaled(scale)
        return other

    def original(self, coef: Any) -> tuple[Any, Any]:
        """Return coefficients (targets, d) and intercept in the user's terms."""
        coef = self.design.unscaled(coef)
        if not self.fit_intercept:
            intercept = 0.0
        else:
            intercept = self.y_mean - self.design.offset() @ coef
            intercept = float(intercept[0]) if self.flat else intercept
        return (coef[:, 0] if self.flat else coef.T), intercept

    def coefficients(self, spectrum: Any, columns: Any, alpha: Any) -> Any:
        """Return coefficients (d, targets) of the scaled columns for some targets.

        `alpha` is one number, or an array (targets, 1).
        """
        return spectrum.coefficients(self.y[:, columns], alpha)

    def solve(self, alpha: Any, solver: str = "auto", precision: str = "float64") -> Solved:
        """Solve for one alpha, or one for each target, on the host (targets,)."""
        n, d = self.design.shape
        distinct = np.unique(alpha)
        primal = d <= n if solver in ("auto", "svd") else solver == "primal"
        if distinct[0] == 0 or solver == "svd":
            return self._from_spectrum(factorise_exactly(self.design, float(distinct[0])), alpha)
        if distinct.size > 1:
            spectrum = factorise(self.design, float(distinct[0]), primal)
            return self._from_spectrum(spectrum, alpha)
        only = float(distinct[0])
        coef = None
        if precision == "mixed":
            coef = refine(self.design, self.y, only, primal, self.space)
        if coef is None:
            coef = self._by_cholesky(only, primal)
        if coef is None:
            return self._from_spectrum(factorise_exactly(self.design, only), only)
        return Solved(coef, "primal" if primal else "dual", d)

    def backward_error(self, coef: Any, alpha: Any) -> float:
        """Bound how far, relatively, the data must move for `coef` to be the exact solution.

        The smaller of two rank-one changes of Z = (X; sqrt(alpha) I): by Stewart, which
        makes the residual s orthogonal to Z; by Rigal and Gaches, which makes s zero.
        """
        xp, alpha = self.xp, self.space.asarray(np.atleast_1d(alpha))
        # One random mixture of the targets has their norm on the mean, at the cost of one.
        mix = xp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (coef.shape[1], 1)))
        gradient, left = self.design.normal_residual(coef @ mix, self.y @ mix)
        gradient -= (alpha * coef) @ mix
        size = np.sqrt(self.design.square() + coef.shape[0] * float(alpha.min()))
        misfit = np.sqrt(float((left**2).sum() + (alpha * coef**2).sum()))
        length = float(xp.linalg.norm(coef))
        if misfit == 0 or size == 0:
            return 0.0
        by_fit = misfit / (size * length) if length > 0 else np.inf
        return float(min(float(xp.linalg.norm(gradient)) / (size * misfit), by_fit))

    def error(self, spectrum: Any, coef: Any, columns: Any, alpha: Any) -> float:
        """Estimate the relative error of coefficients; alpha as for `coefficients`."""
        if spectrum.kind != "svd":  # by a Gram matrix, which has lost no more than 7 digits
            return 0.0
        xp, error = self.xp, 0.0
        left, squares = self._left(coef, columns)
        alphas = self.space.to_host(xp.zeros(coef.shape[1]) + xp.asarray(alpha).ravel())
        for each in np.unique(alphas):
            at = xp.asarray(np.flatnonzero(alphas == each))
            lengths, alpha = xp.sqrt(squares + each), float(each)
            condition = spectrum.condition(alpha, lengths, xp)
            found = relative_error(
                coef[:, at], left[:, at], lengths, alpha, condition, spectrum.primal, xp
            )
            error = max(error, found)
        return error

    def _left(self, coef: Any, columns: Any) -> tuple[Any, Any]:
        """Return the residuals (n, targets) and the squared lengths of the columns (d,)."""
        return self.y[:, columns] - self.design.times(coef), self.design.squares()

    def _from_spectrum(self, spectrum: Any, alpha: Any) -> Solved:
        single = np.ndim(alpha) == 0
        alphas = alpha if single else self.space.asarray(np.asarray(alpha))[:, None]
        rank = spectrum.rank() if np.min(alpha) == 0 else self.design.shape[1]
        coef = self.coefficients(spectrum, slice(None), alphas)
        error = self.error(spectrum, coef, slice(None), alphas)
        return Solved(coef, spectrum.kind, rank, error)

    def _make_design(self, X: Any) -> Design:
        return Design(X, self.weight, self.fit_intercept, self.xp)

    def _by_cholesky(self, alpha: float, primal: bool) -> Any:
        design = self.design
        gram = design.gram(primal)
        if not primal and design.unit is not None:
            # y is orthogonal to this direction, which alone would spoil the condition.
            gram += float(gram.trace() / gram.shape[0]) * design.unit[:, None] * design.unit
        gram.ravel()[:: gram.shape[0] + 1] += alpha
        solved = solve_spd(gram, design.transposed_times(self.y) if primal else self.y, self.space)
        return solved if primal or solved is None else design.transposed_times(solved)
