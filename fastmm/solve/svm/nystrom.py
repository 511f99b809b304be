r"""A preconditioner of low rank for the kernel matrix of many active rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastmm._space import Space
from fastmm.solve.svm.algebra import Factor, factorise

__all__ = ["NystromPreconditioner"]

_LANDMARKS = 400  # at most, and one of 8 active rows
_JITTER = 1e-10
_STALE = 0.03  # share of rows that may have left or joined since it was built


class NystromPreconditioner:
    r"""Solves approximately with r K r + shift I on the rows where r is positive.

    .. math:: K \approx K_{nL} K_{LL}^{-1} K_{Ln} + \mathrm{diag}(\ldots)

    with every so-many-th active row a landmark, and the diagonal exact; inverted by
    Woodbury's formula. Building takes 2 n m^2 flops, applying it 4 n m.

    Parameters
    ----------
    matrix : array of shape (n, n), float64
        Kernel matrix, of which the lower triangle is valid.
    r : array of shape (n,)
        Square roots of the weights; 0 where a row is not active.
    shift : float
        What is added to the diagonal.
    space : Space
        Where the arrays live.

    References
    ----------
    .. [1] Frangella, Z., Tropp, J. A., & Udell, M. (2023). Randomized Nystrom
       preconditioning. SIAM Journal on Matrix Analysis and Applications, 44(2), 718-752.
       https://doi.org/10.1137/21M1466244
    """

    way = "nystrom"

    def __init__(self, matrix: Any, r: Any, shift: float, space: Space) -> None:
        xp = self.xp = space.xp
        self.matrix, self.r, self.shift, self.diagonal = matrix, r, shift, matrix.diagonal()
        self.space, self.rows = space, xp.flatnonzero(r)
        count = int(self.rows.size)
        m = max(1, min(_LANDMARKS, count // 8))
        marks = self.rows[(xp.arange(m) * count) // m]
        # Row and column of a landmark each hold the half that the other lacks.
        lines = xp.where(
            xp.arange(matrix.shape[0]) <= marks[:, None],
            matrix.take(marks, axis=0),
            matrix.take(marks, axis=1).T,
        )
        core = lines.take(marks, axis=1)
        core.ravel()[:: m + 1] += _JITTER * core.diagonal().mean()
        factor = factorise(core, space)
        weight, lines = r[self.rows], lines.take(self.rows, axis=1)
        diagonal = self.diagonal[self.rows] * weight * weight
        self.inner: Factor | None = None
        if factor is None:  # the landmarks are next to dependent: leave the diagonal alone
            self.inverse = 1 / (diagonal + shift)
            return
        half = factor.half(lines) * weight
        rest = diagonal - (half * half).sum(axis=0)
        self.inverse = 1 / (shift + xp.maximum(rest, 0))
        self.half = xp.ascontiguousarray(half * self.inverse)
        gram = _outer(xp.ascontiguousarray(half * xp.sqrt(self.inverse)), space)
        gram.ravel()[:: m + 1] += 1
        self.inner = factorise(gram, space)

    def solver(self, r: Any) -> Callable[[Any], Any] | None:
        """Return the solver for almost the same active rows; None for others.

        It is that of the old ones, and the diagonal of new ones.
        """
        xp, old = self.xp, self.r > 0
        new = (r > 0) & ~old
        changed = int(((r > 0) != old).sum())
        if changed > _STALE * self.rows.size:
            return None
        if not changed:
            return self.solve
        stays, inverse = (r > 0) & old, xp.where(new, 1 / (self.diagonal * r * r + self.shift), 0)
        return lambda v: xp.where(stays, self.solve(xp.where(stays, v, 0.0)), v * inverse)

    def solve(self, v: Any) -> Any:
        """Solve approximately; 0 on the other rows."""
        out = self.space.xp.zeros(v.shape[0])
        part = v[self.rows]
        found = part * self.inverse
        if self.inner is not None:
            inner = self.inner.solve(_up(self.half, part, self.space))
            found = found - _down(self.half, inner, self.space)
        out[self.rows] = found
        return out


def _outer(half: Any, space: Space) -> Any:
    if space.kind == "cuda":
        return half @ half.T
    from scipy.linalg.blas import dsyrk

    return dsyrk(1.0, half.T, trans=1, lower=0).T


def _up(half: Any, v: Any, space: Space) -> Any:
    if space.kind == "cuda":
        return half @ v
    from scipy.linalg.blas import dgemv

    return dgemv(1.0, half.T, v, trans=1)


def _down(half: Any, v: Any, space: Space) -> Any:
    if space.kind == "cuda":
        return v @ half
    from scipy.linalg.blas import dgemv

    return dgemv(1.0, half.T, v)
