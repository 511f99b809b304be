r"""The linear system of the active rows of a support vector machine.

With z = a / sqrt(w), r = sqrt(w) and K the kernel of the active rows,

.. math::

    \begin{pmatrix} 0 & r^\top \\ r & r K r + \tfrac{1}{2C} I \end{pmatrix}
    \begin{pmatrix} b \\ z \end{pmatrix} = \begin{pmatrix} 0 \\ r y \end{pmatrix}

Few rows are solved by Cholesky. For many, a product with K costs n / 28 times less than
a factorisation: conjugate gradients are tried first, then with a preconditioner of low
rank or a factor in float32, and the factorisation is what is left. What was needed once
is not tried again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastmm._space import Space
from fastmm.solve.svm.algebra import Symmetric, dot, factorise
from fastmm.solve.svm.conjugate import WAYS, ConjugateGradients, indefinite

__all__ = ["ActiveSystem", "State"]

_DIRECT = 1000  # rows, up to which a factorisation costs less than the search for another way
_MASKED = 0.4  # share of active rows, from which the whole matrix is cheaper than their copy
_SAME = 1e-15  # of the coefficients: changes below are rounding


class State(NamedTuple):
    """Coefficients a (n,), intercept b, and K a (n,)."""

    dual: Any
    intercept: Any
    field: Any


class ActiveSystem:
    """Solves for the coefficients of active rows, all others 0."""

    def __init__(self, kernel: Any, y: Any, C: float, space: Space, way: str = WAYS[0]) -> None:
        self.kernel, self.y, self.shift, self.space = kernel, y, 1 / (2 * C), space
        self._gradients = ConjugateGradients(self.shift, space, way)
        self._diagonal: Any = None

    @property
    def way(self) -> str:
        """How systems of many rows are solved: one of WAYS."""
        return self._gradients.way

    @property
    def diagonal(self) -> Any:
        """What a coefficient of 1 adds to the decision of its own row."""
        if self._diagonal is None:
            self._diagonal = self.kernel.diagonal()
        return self._diagonal

    def solve(self, root: Any, state: State, target: float) -> State:
        """Solve until no residual is over `target`; `root` is 0 where a row is not active."""
        rows = self.space.xp.flatnonzero(root)
        if rows.size <= _DIRECT or self.way == "direct":
            return self._direct(rows, root, target)
        slack = 1 - self.y * (state.field + state.intercept)
        if self.kernel.dense and rows.size > _MASKED * root.size:
            start, field = self._orthogonal(root, state.dual), state.field
            change = root * start - state.dual
            if float(abs(change).max()) > _SAME * float(abs(state.dual).max()):
                field = field + self.kernel.times(change)
            found = self._gradients.solve(
                self.kernel.symmetric, self.y, root, start, field, slack, target
            )
            if found is not None:
                return State(root * found[0], *found[1:])
        else:
            r, matrix = root[rows], Symmetric(self.kernel.sub(rows), self.space)
            start = self._orthogonal(r, state.dual[rows])
            field = matrix.times(r * start)
            found = self._gradients.solve(
                matrix, self.y[rows], r, start, field, slack[rows], target
            )
            if found is not None:
                return self._everywhere(rows, r * found[0], found[1])
        return self._direct(rows, root, target)

    def _orthogonal(self, r: Any, dual: Any) -> Any:
        """Return z of the coefficients of the active rows, with no component along r."""
        xp = self.space.xp
        z = xp.where(r > 0, dual / xp.where(r > 0, r, 1.0), 0.0)
        return z - r * (dot(r, z) / dot(r, r))

    def _direct(self, rows: Any, root: Any, target: float) -> State:
        xp, r, y = self.space.xp, root[rows], self.y[rows]
        matrix = self.kernel.sub(rows)
        if not bool((r == 1).all()):
            matrix *= r
            matrix *= r[:, None]
        matrix.ravel()[:: rows.size + 1] += self.shift
        factor = factorise(matrix, self.space)
        if factor is None:
            raise indefinite()
        both = factor.solve(xp.stack([r * y, r], axis=1))
        border = both[:, 1]
        height = dot(r, border)
        intercept = dot(r, both[:, 0]) / height
        z = both[:, 0] - intercept * border
        state = self._everywhere(rows, r * z, intercept)
        for _ in range(2):  # refinement, where rounding was amplified
            residual = r * (y - state.field[rows] - intercept) - self.shift * z
            excess = dot(r, z)
            if float(abs(residual).max()) <= target and float(abs(excess)) <= target:
                break
            change = factor.solve(residual)
            lift = (dot(r, change) + excess) / height
            z = z + change - lift * border
            intercept = intercept + lift
            state = self._everywhere(rows, r * z, intercept)
        return state

    def _everywhere(self, rows: Any, part: Any, intercept: Any) -> State:
        dual = self.space.xp.zeros(self.y.shape[0])
        dual[rows] = part
        return State(dual, intercept, self.kernel.times(dual))
