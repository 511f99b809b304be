r"""A preconditioner of low rank for the kernel matrix of many active rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.svm.algebra import add_outer, cross_part, factorise

__all__ = ["NystromPreconditioner"]

_LANDMARKS = 400  # at most, and one of 8 active rows
_JITTER = 1e-10


class NystromPreconditioner:
    r"""Solves approximately with r K r + shift I on the rows where r is positive.

    .. math:: K \approx K_{nL} K_{LL}^{-1} K_{Ln} + \mathrm{diag}(\ldots)

    with every so-many-th active row a landmark, and the diagonal exact; inverted by
    Woodbury's formula. Landmarks once chosen serve all r. Choosing them takes n m^2 flops,
    another r as many, applying it 4 n m, in float32.

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
        xp = space.xp
        self.matrix, self.shift, self.space = matrix, shift, space
        active = xp.flatnonzero(r)
        count = int(active.size)
        m = max(1, min(_LANDMARKS, count // 8))
        marks = active[(xp.arange(m) * count) // m]
        lines = cross_part(matrix, marks, xp.arange(matrix.shape[0]), space, np.float64)
        core = lines.take(marks, axis=1)
        core.ravel()[:: m + 1] += _JITTER * core.diagonal().mean()
        factor = factorise(core, space)
        self.half, self.rest = None, matrix.diagonal()
        if factor is not None:  # else the landmarks are next to dependent: only the diagonal
            self.half = xp.ascontiguousarray(factor.half(lines), np.float32)
            self.rest = xp.maximum(self.rest - (self.half * self.half).sum(axis=0), 0)

    def solver(self, r: Any) -> Callable[[Any], Any]:
        """Return the solver for the rows where r is positive; it gives 0 on the others."""
        xp, space, half = self.space.xp, self.space, self.half
        inverse = xp.where(r > 0, 1 / (self.shift + self.rest * r * r), 0.0)
        if half is None:
            return lambda v: v * inverse
        gram = xp.zeros((len(half),) * 2, np.float32)
        gram = add_outer(gram, half * (r * xp.sqrt(inverse)).astype(np.float32), 1.0, space)
        gram = gram.astype(np.float64)
        gram.ravel()[:: len(half) + 1] += 1
        inner, weight = factorise(gram, space), r * inverse
        if inner is None:
            return lambda v: v * inverse

        def solve(v: Any) -> Any:
            right = v * weight
            size = float(abs(right).max()) or 1.0  # float32 has no room for small residuals
            low = inner.solve((half @ (right / size).astype(np.float32)).astype(np.float64))
            scale = float(abs(low).max()) or 1.0
            low = (low / scale).astype(np.float32) @ half
            return v * inverse - weight * low * (size * scale)

        return solve
