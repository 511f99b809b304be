"""Spectral factorisations, in which a problem is diagonal for every penalty at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.ridge.accuracy import Condition, condition_of
from fastmm.solve.ridge.design import Design

__all__ = [
    "Spectrum",
    "dual_spectrum",
    "grouped_products",
    "singular_spectrum",
    "weighted_products",
]

_IN_CACHE = 1 << 18  # elements of float64 that stay in the cache of a core: 2 MB


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

    def damping(self, alpha: Any) -> Any:
        """Return 1 / (values + alpha), and 0 for 1 / 0: the minimum-norm solution.

        An array of alphas (..., 1) gives (..., r).
        """
        total = self.values + alpha
        positive = total > 0
        return positive / (total + ~positive)

    def rank(self) -> int:
        """Count the directions in which the design extends."""
        return int((self.values > 0).sum())

    def condition(self, alpha: float, lengths: Any, xp: Any) -> Condition:
        """Return what the digits for a penalty depend on; `lengths` (d,) of its columns."""
        vectors = self.lift(xp.eye(self.values.size))
        if not self.primal:  # these are the columns of V times singular values
            vectors = vectors / xp.sqrt(xp.where(self.values > 0, self.values, 1.0))
        return condition_of(self.values, vectors, alpha, lengths, xp)

    def coefficients(self, y: Any, alpha: Any) -> Any:
        """Return the coefficients (d, targets) for weighted, centred targets.

        `alpha` is one number, or an array (targets, 1).
        """
        damping = self.damping(alpha)
        damping = damping[:, None] if damping.ndim == 1 else damping.T
        return self.lift(damping * (self.basis.T @ y))


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


def singular_spectrum(design: Design) -> Spectrum:
    """Decompose X itself into singular values and vectors, those of rounding made 0."""
    n, d = design.shape
    xp, X, primal = design.xp, design.whole(), d <= n
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


def grouped_products(part: Any, weights: Any, xp: Any) -> Any:
    """Return part diag(w) part' (a, b, m, m) for matrices (b, m, r) and all w of (a, r).

    For many w the products of pairs of rows are formed once, so that all w are one matrix
    product, which also runs faster than many small ones.
    """
    count, size, rank = part.shape
    if size == 1:
        return ((part[:, 0] ** 2) @ weights.T).T[:, :, None, None]
    blocks = xp.empty((weights.shape[0], count, size, size))
    # Measured on 2 cores: from 8 weights, and to 32 rows, pairs are faster.
    if weights.shape[0] < 8 or size > 32:
        for block, weight in zip(blocks, weights, strict=True):
            if size < 64 or xp is not np:
                block[...] = (part * weight) @ part.swapaxes(1, 2)
                continue
            root = xp.sqrt(weight)
            for one, rows in zip(block, part, strict=True):
                half = rows * root
                xp.matmul(half, half.T, out=one)  # a matrix with itself: half the flops
        return blocks
    first, second = (xp.asarray(index) for index in np.triu_indices(size))
    step = max(1, (_IN_CACHE if xp is np else _IN_CACHE * 64) // (first.size * rank))
    for start in range(0, count, step):
        few = part[start : start + step]
        pairs = few[:, first]
        pairs *= few[:, second]
        sums = (weights @ pairs.reshape(-1, rank).T).reshape(weights.shape[0], -1, first.size)
        blocks[:, start : start + step, first, second] = sums
        blocks[:, start : start + step, second, first] = sums
    return blocks
