"""A ridge problem in the basis in which every penalty is diagonal, from sums or a factor."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.chunked.factor import Factor
from fastmm.solve.ridge.accuracy import Condition, condition_of
from fastmm.solve.ridge.graded import SINGULAR, factorise_columns, is_graded
from fastmm.solve.ridge.sufficient import SufficientStatistics
from fastmm.solve.spd import RCOND

__all__ = ["ColumnSpectrum", "GradedColumns", "from_factor", "from_sums"]


class ColumnSpectrum(NamedTuple):
    """Eigenvalues of X'X and what the targets are in its eigenvectors.

    As `fastmm.solve.ridge.spectral.Spectrum`, but without anything that has a row for each
    sample.
    """

    kind: str
    vectors: Any  # (d, r)
    values: Any  # (r,), not negative
    inner: Any  # (r, targets): vectors' X'y
    primal: bool = True

    def damping(self, alpha: Any) -> Any:
        """Return 1 / (values + alpha), and 0 for 1 / 0: the minimum-norm solution."""
        total = self.values + alpha
        positive = total > 0
        return positive / (total + ~positive)

    def rank(self) -> int:
        """Count the directions in which the design extends."""
        return int((self.values > 0).sum())

    def condition(self, alpha: float, lengths: Any, xp: Any) -> Condition:
        """Return what the digits for a penalty depend on; `lengths` (d,) of its columns."""
        return condition_of(self.values, self.vectors, alpha, lengths, xp)

    def solution(self, columns: Any, alpha: Any) -> Any:
        """Return coefficients (d, targets) of some targets; alpha a number or (targets, 1)."""
        damping = self.damping(alpha)
        damping = damping[:, None] if damping.ndim == 1 else damping.T
        return self.vectors @ (damping * self.inner[:, columns])


def from_sums(
    sums: SufficientStatistics, intercept: bool, scale: Any, smallest: float, xp: Any
) -> ColumnSpectrum | None:
    """Diagonalise sums; None where they have lost the digits that `smallest` alpha needs."""
    gram, right = sums.normal_equations(intercept)
    if scale is not None:
        gram, right = gram * scale * scale[:, None], right * scale[:, None]
    values, vectors = xp.linalg.eigh(gram)
    values = values.clip(0)
    if float(values[0]) + smallest <= RCOND * float(values[-1]):
        return None
    return ColumnSpectrum("primal", vectors, values, vectors.T @ right)


def from_factor(
    factor: Factor, scale: Any, n: int, smallest: float, xp: Any
) -> ColumnSpectrum | GradedColumns:
    """Diagonalise a triangular factor of `n` rows, or keep it for each penalty's own basis."""
    design, targets = factor.design()
    design = design if scale is None else design * scale
    if is_graded(xp.einsum("ij,ij->j", design, design), smallest):
        return GradedColumns(design, targets, n, xp)
    return _decomposed(design, targets, n, xp)


class OneAlphaColumns(ColumnSpectrum):
    """Columns in a basis in which the penalty it was made for is no longer to be seen."""

    __slots__ = ()

    def damping(self, alpha: Any) -> Any:
        """Return ones: the penalty is in the basis."""
        return (self.values > 0).astype(np.float64)


class GradedColumns:
    """A factor whose columns differ by many orders of magnitude: a basis for each penalty."""

    kind, primal = "svd", True

    def __init__(self, design: Any, targets: Any, n: int, xp: Any) -> None:
        self.design, self.targets, self.n, self.xp = design, targets, n, xp
        self._known: tuple[float, ColumnSpectrum] | None = None
        self._numbers: dict[float, float] = {}

    def at(self, alpha: float) -> ColumnSpectrum:
        """Return the basis for one penalty."""
        if self._known is None or self._known[0] != alpha:
            xp, inner = self.xp, self.targets
            found = factorise_columns(self.design, alpha, xp)
            if alpha == 0 and not found.condition < SINGULAR:
                made = _decomposed(self.design, inner, self.n, xp)
            else:
                # As eigenvalues: beside them any penalty is small, and every fold is looked at.
                values = xp.full(self.design.shape[1], np.inf)
                inner = found.basis.T @ inner
                made = OneAlphaColumns("svd", found.vectors, values, inner)
            self._numbers[alpha] = found.condition
            self._known = alpha, made
        return self._known[1]

    def rank(self) -> int:
        """Count the directions in which the design extends."""
        return self.at(0.0).rank()

    def condition(self, alpha: float, lengths: Any, xp: Any) -> Condition:
        """Return what the digits for a penalty depend on; `lengths` (d,) of its columns."""
        if alpha not in self._numbers:
            self.at(alpha)
        number = self._numbers[alpha]
        if alpha == 0 and not number < SINGULAR:
            return self.at(alpha).condition(alpha, lengths, xp)
        return Condition(number)

    def solution(self, columns: Any, alpha: Any) -> Any:
        """Return coefficients (d, targets) of some targets; alpha a number or (targets, 1)."""
        if np.ndim(alpha) == 0:
            return self.at(float(alpha)).solution(columns, float(alpha))
        alphas = np.array([float(each) for each in alpha[:, 0]])
        found = self.xp.empty((self.design.shape[1], alphas.size))
        for each in np.unique(alphas):
            at, basis = self.xp.asarray(np.flatnonzero(alphas == each)), self.at(float(each))
            found[:, at] = basis.solution(columns, float(each))[:, at]
        return found


def _decomposed(design: Any, targets: Any, n: int, xp: Any) -> ColumnSpectrum:
    U, sigma, Vt = xp.linalg.svd(design, full_matrices=False)
    if sigma.size:
        sigma = sigma * (sigma > np.finfo(np.float64).eps * max(n, design.shape[1]) * sigma[0])
    return ColumnSpectrum("svd", Vt.T, sigma**2, sigma[:, None] * (U.T @ targets))
