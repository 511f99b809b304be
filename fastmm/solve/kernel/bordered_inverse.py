r"""Inverses of shifted kernels, of which cross-validation needs the blocks of the folds only.

With :math:`A = L L^\top` and :math:`U = L^{-\top}`, the block of fold g is
:math:`(A^{-1})_{gg} = U_g U_g^\top`, and U_g is zero before the columns of g. That takes
two thirds of n^3 flops for all folds, where the whole inverse would take n^3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.solve.products import multiply, multiply_by_transpose, solve_definite_pairs
from fastmm.solve.ridge.spectral import weighted_products

__all__ = ["CholeskyInverse", "Inverse", "SpectralInverse", "inverse_factor", "solve_blocks"]

_ELEMENTS = 1 << 20  # of work space: 8 MB
_PARTS = 8  # runs of rows that skip the zeros before them together
_PANEL = 64  # columns of a batched Cholesky factorisation on a device; to here, LU is as fast


class CholeskyInverse(NamedTuple):
    """U U' less pull u u', the part of the intercept."""

    upper: Any  # (n, n), zeros below the diagonal
    unit: Any  # u, (n,)
    pull: float
    space: Space

    def times(self, right: Any) -> Any:
        """Return the product with columns (n, k)."""
        product = multiply(self.upper, right, self.space, transposed=True)
        product = multiply(self.upper, product, self.space)
        return product - self.unit[:, None] * (self.pull * (self.unit @ right))

    def after(self, left: Any) -> Any:
        """Return the product of rows (k, n) with the inverse."""
        product = (left @ self.upper) @ self.upper.T
        return product - (self.pull * (left @ self.unit))[:, None] * self.unit

    def blocks(self, start: int, count: int, size: int) -> Any:
        """Return the blocks (count, size, size) of as many folds from row `start` on."""
        found = self.space.xp.empty((count, size, size))
        step = max(1, self.upper.shape[0] // (_PARTS * size))
        for first in range(0, count, step):
            few = found[first : first + step]
            at = start + first * size
            part = self.upper[at : at + few.shape[0] * size, at:]
            few[...] = multiply_by_transpose(part.reshape(few.shape[0], size, -1), self.space)
            unit = self.unit[at : at + few.shape[0] * size].reshape(-1, size)
            few -= self.pull * unit[:, :, None] * unit[:, None, :]
        return found


class SpectralInverse(NamedTuple):
    """basis diag(values) basis'."""

    basis: Any  # (n, r), contiguous
    values: Any
    space: Space

    def times(self, right: Any) -> Any:
        """Return the product with columns (n, k)."""
        inner = multiply(self.basis, right, self.space, transposed=True)
        return multiply(self.basis, self.values[:, None] * inner, self.space)

    def after(self, left: Any) -> Any:
        """Return the product of rows (k, n) with the inverse."""
        return ((left @ self.basis) * self.values) @ self.basis.T

    def blocks(self, start: int, count: int, size: int) -> Any:
        """Return the blocks (count, size, size) of as many folds from row `start` on."""
        part = self.basis[start : start + count * size].reshape(count, size, -1)
        if self.space.kind != "cpu" or size == 1 or not bool((self.values > 0).all()):
            return weighted_products(part, self.values)
        root = np.sqrt(self.values)  # symmetric products take half the flops
        found = np.empty((count, size, size))
        step = max(1, _ELEMENTS // (size * root.size))
        for first in range(0, count, step):
            few = part[first : first + step] * root
            found[first : first + step] = multiply_by_transpose(few, self.space)
        return found


Inverse = CholeskyInverse | SpectralInverse


def inverse_factor(matrix: Any, space: Space) -> Any:
    """Return U, upper triangular, such that U U' is the inverse; None if it is not definite.

    The matrix, symmetric and contiguous, is overwritten.
    """
    noise = matrix.shape[0] * np.finfo(np.float64).eps * float(matrix.diagonal().max())
    if space.kind == "cuda":
        return _inverse_factor_on_device(matrix, noise, space.xp)
    from scipy.linalg.lapack import dpotrf, dtrtri

    # LAPACK counts columns first: the transpose of a symmetric matrix spares a copy.
    lower, fault = dpotrf(matrix.T, lower=1, clean=1, overwrite_a=1)
    if fault or not bool((lower.diagonal() ** 2 > noise).all()):
        return None
    inverse, fault = dtrtri(lower, lower=1, overwrite_c=1)
    return None if fault else inverse.T


def _inverse_factor_on_device(matrix: Any, noise: float, xp: Any) -> Any:
    from cupyx import errstate
    from cupyx.scipy.linalg import solve_triangular

    n = matrix.shape[0]
    try:
        with errstate(linalg="raise"):  # CuPy returns nonsense otherwise
            lower = xp.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    if not bool((lower.diagonal() ** 2 > noise).all()):
        return None
    # By runs of columns, which spares what is known to be zero: two thirds of the flops.
    upper = xp.zeros((n, n))
    step = -(-n // (2 * _PARTS))
    for start in range(0, n, step):
        right = xp.eye(n - start, min(step, n - start))
        upper[start : start + step, start:] = solve_triangular(
            lower[start:, start:], right, lower=True, overwrite_b=True
        ).T
    return upper


def solve_blocks(blocks: Any, right: Any, space: Space) -> Any:
    """Solve a batch of symmetric systems (b, m, m), mostly positive definite, for (b, m, k)."""
    xp, size = space.xp, blocks.shape[1]
    if size == 1:
        return right / blocks
    if space.kind == "cpu" and size > _PANEL:
        found = solve_definite_pairs(blocks, right)
        if found is not None:
            return found
    if space.kind == "cuda" and size > _PANEL:
        from cupyx import errstate

        # The batched solver of the device is made for small matrices.
        try:
            with errstate(linalg="raise"):
                return solve_definite(blocks, right, xp)
        except np.linalg.LinAlgError:
            pass
    return xp.linalg.solve(blocks, right)


def solve_definite(blocks: Any, right: Any, xp: Any) -> Any:
    """Solve a batch of positive definite systems by Cholesky, in panels of few columns.

    All but a small share of the work is in batched matrix products.
    """
    size = blocks.shape[1]
    left, found = blocks.copy(), right.copy()
    panels = [(s, min(s + _PANEL, size)) for s in range(0, size, _PANEL)]
    for start, stop in panels:
        factor = xp.linalg.cholesky(xp.ascontiguousarray(left[:, start:stop, start:stop]))
        inverse = xp.linalg.inv(factor)
        left[:, start:stop, start:stop] = inverse
        found[:, start:stop] = inverse @ found[:, start:stop]
        if stop < size:
            panel = left[:, stop:, start:stop] @ inverse.swapaxes(1, 2)
            left[:, stop:, start:stop] = panel
            left[:, stop:, stop:] -= panel @ panel.swapaxes(1, 2)
            found[:, stop:] -= panel @ found[:, start:stop]
    for start, stop in reversed(panels):
        part = found[:, start:stop]
        if stop < size:
            part = part - left[:, stop:, start:stop].swapaxes(1, 2) @ found[:, stop:]
        found[:, start:stop] = left[:, start:stop, start:stop].swapaxes(1, 2) @ part
    return found
