"""A ridge problem in the basis in which every penalty is diagonal, from sums or a factor."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.chunked.factor import Factor
from fastmm.solve.ridge.sufficient import SufficientStatistics
from fastmm.solve.spd import RCOND

__all__ = ["ColumnSpectrum", "from_factor", "from_sums"]


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


def from_factor(factor: Factor, scale: Any, n: int, xp: Any) -> ColumnSpectrum:
    """Diagonalise a triangular factor of `n` rows."""
    design, targets = factor.design()
    d = design.shape[1]
    U, sigma, Vt = xp.linalg.svd(design if scale is None else design * scale, full_matrices=False)
    if sigma.size:
        sigma = sigma * (sigma > np.finfo(np.float64).eps * max(n, d) * sigma[0])
    return ColumnSpectrum("svd", Vt.T, sigma**2, sigma[:, None] * (U.T @ targets))
