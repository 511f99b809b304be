"""A preconditioner for many active rows: the Cholesky factor of their matrix in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.svm.algebra import Factor, factorise, lower_part

__all__ = ["RoundedFactor"]


class RoundedFactor:
    """Solves with r K r + shift I on the rows where r is positive, to float32's digits.

    Half the time and the memory of a factorisation in float64, n^3 / 3 flops.
    """

    def __init__(self, factor: Factor, rows: Any, space: Space) -> None:
        self.factor, self.rows, self.space = factor, rows, space

    @classmethod
    def of(cls, matrix: Any, r: Any, shift: float, space: Space) -> RoundedFactor | None:
        """Factorise; None where rounding leaves the matrix indefinite."""
        xp = space.xp
        rows = xp.flatnonzero(r)
        part, scale = lower_part(matrix, rows, space, np.float32), r[rows].astype(np.float32)
        if not bool((scale == 1).all()):
            part *= scale
            part *= scale[:, None]
        part.ravel()[:: rows.size + 1] += np.float32(shift)
        factor = factorise(part, space)
        return None if factor is None else cls(factor, rows, space)

    def solve(self, v: Any) -> Any:
        """Solve approximately; 0 on the other rows."""
        xp = self.space.xp
        part = v[self.rows]
        size = float(abs(part).max()) or 1.0  # float32 has no room for small residuals
        found = self.factor.solve((part / size).astype(np.float32))
        out = xp.zeros(v.shape[0])
        out[self.rows] = found
        return out * size
