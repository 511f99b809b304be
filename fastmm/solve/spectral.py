"""Spectral factorisations, in which a problem is diagonal for every penalty at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.design import Design
from fastmm.solve.spd import RCOND

__all__ = ["Spectrum", "dual_spectrum", "factorise", "factorise_exactly", "weighted_products"]


class Spectrum(NamedTuple):
    """The weighted, centred problem in the basis in which every alpha is diagonal.

    Primal: the smoother is basis D basis' (+ the mean), with D = 1 / (values + alpha).
    Dual: the smoother's complement, divided by alpha, is basis D basis'.
    Either way the coefficients are lift(D basis' y).
    """

    kind: str
    primal: bool
    basis: Any  # (n, r), orthogonal to the unit vector of the intercept
    values: Any  # (r,), not negative
    lift: Callable[[Any], Any]

    def damping(self, alpha: float) -> Any:
        """Return 1 / (values + alpha), and 0 for 1 / 0: the minimum-norm solution."""
        if alpha > 0:
            return 1.0 / (self.values + alpha)
        positive = self.values > 0
        return positive / (self.values + ~positive)

    def rank(self) -> int:
        """Count the directions in which the design extends."""
        return int((self.values > 0).sum())

    def coefficients(self, y: Any, alpha: float) -> Any:
        """Return the coefficients (d, targets) for weighted, centred targets."""
        return self.lift(self.damping(alpha)[:, None] * (self.basis.T @ y))


class Complement:
    """Coordinates of the orthogonal complement of a unit vector, by a Householder reflection.

    The intercept's direction is taken out before a matrix is factorised: afterwards, it
    could not be told from other null vectors.
    """

    def __init__(self, unit: Any, xp: Any) -> None:
        self.mirror, self.xp = unit.copy(), xp
        self.mirror[0] += 1  # the unit vector is not negative: nothing cancels
        self.scale = 1.0 / self.mirror[0]

    def coordinates(self, columns: Any) -> Any:
        """Turn columns (n, k) into their coordinates (n - 1, k)."""
        return columns[1:] - self.mirror[1:, None] * (self.scale * (self.mirror @ columns))

    def vectors(self, coordinates: Any) -> Any:
        """Turn coordinates (n - 1, k) into the columns (n, k) that they stand for."""
        zero = self.xp.zeros((1, coordinates.shape[1]))
        shift = self.scale * (self.mirror[1:] @ coordinates)
        return self.xp.concatenate([zero, coordinates]) - self.mirror[:, None] * shift


def dual_spectrum(kernel: Any, unit: Any, xp: Any) -> tuple[Any, Any]:
    """Return eigenvalues and eigenvectors of a kernel, but for the intercept's direction."""
    if unit is None:
        return xp.linalg.eigh(kernel)  # type: ignore[no-any-return]
    complement = Complement(unit, xp)
    values, basis = xp.linalg.eigh(complement.coordinates(complement.coordinates(kernel).T))
    return values, complement.vectors(basis)


def factorise(design: Design, smallest_alpha: float) -> Spectrum:
    """Diagonalise the smaller Gram matrix, or X itself where that would lose digits."""
    n, d = design.shape
    primal, xp = d <= n, design.xp
    gram = design.gram(primal)
    if not primal:
        values, basis = dual_spectrum(gram, design.unit, xp)
        values = values.clip(0)
        spectrum = Spectrum(
            "dual", False, basis, values, lambda z: design.transposed_times(basis @ z)
        )
    else:
        values, vectors = xp.linalg.eigh(gram)
        values = values.clip(0)
        basis = design.times(vectors)
        spectrum = Spectrum("primal", True, basis, values, lambda z: vectors @ z)
    if values.size and float(values[0]) + smallest_alpha <= RCOND * float(values[-1]):
        return factorise_exactly(design)
    return spectrum


def factorise_exactly(design: Design) -> Spectrum:
    """Factorise X itself, which keeps the digits that its Gram matrix would lose."""
    n, d = design.shape
    xp, X = design.xp, design.whole()
    primal = d <= n
    complement = None if primal or design.unit is None else Complement(design.unit, xp)
    if complement is not None:
        X = complement.coordinates(X)
    U, sigma, Vt = xp.linalg.svd(X, full_matrices=False)
    if complement is not None:
        U = complement.vectors(U)
    if sigma.size:
        sigma = sigma * (sigma > np.finfo(np.float64).eps * max(n, d) * sigma[0])
    if primal:
        return Spectrum("svd", True, U * sigma, sigma**2, lambda z: Vt.T @ z)
    return Spectrum("svd", False, U, sigma**2, lambda z: Vt.T @ (sigma[:, None] * z))


def weighted_products(part: Any, weight: Any) -> Any:
    """Return part diag(weight) part' for a batch of matrices (b, m, r)."""
    if part.shape[1] == 1:
        return ((part * part) @ weight)[:, :, None]
    return (part * weight) @ part.swapaxes(1, 2)
