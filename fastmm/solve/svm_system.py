r"""The linear system of the active rows of a support vector machine.

With z = a / sqrt(w), r = sqrt(w) and K the kernel of the active rows,

.. math::

    \begin{pmatrix} 0 & r^\top \\ r & r K r + \tfrac{1}{2C} I \end{pmatrix}
    \begin{pmatrix} b \\ z \end{pmatrix} = \begin{pmatrix} 0 \\ r y \end{pmatrix}

Few rows are solved by Cholesky. For many, a product with K costs n / 28 times less than
a factorisation: conjugate gradients are tried first, then with a preconditioner of low
rank, and the factorisation is what is left. What was needed once is not tried again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastmm._space import Space
from fastmm.solve.svm_algebra import dot, factorise, symmetric_times
from fastmm.solve.svm_nystrom import NystromPreconditioner

__all__ = ["ActiveSystem", "State"]

_DIRECT = 1000  # rows, up to which a factorisation costs less than the search for another way
_MASKED = 0.6  # share of active rows, from which the whole matrix is cheaper than their copy
_TRIALS = {"plain": 25, "nystrom": 60}  # products, before the next way is taken


class State(NamedTuple):
    """Coefficients a (n,), intercept b, and K a (n,)."""

    dual: Any
    intercept: Any
    field: Any


class ActiveSystem:
    """Solves for the coefficients of active rows, all others 0."""

    def __init__(self, kernel: Any, y: Any, C: float, space: Space, way: str = "plain") -> None:
        self.kernel, self.y, self.shift, self.space = kernel, y, 1 / (2 * C), space
        self.way = way  # "plain", "nystrom" or "direct"

    def solve(self, root: Any, state: State, target: float) -> State:
        """Solve until no residual is over `target`; `root` is 0 where a row is not active."""
        xp = self.space.xp
        rows = xp.flatnonzero(root)
        if rows.size <= _DIRECT or self.way == "direct":
            return self._direct(rows, root, target)
        if self.kernel.dense and rows.size > _MASKED * root.size:
            near = dual = xp.where(root > 0, state.dual, 0.0)
            dual = near - root * root * (near.sum() / dot(root, root))
            field = state.field + self.kernel.times(dual - state.dual)
            found = self._krylov(self.kernel.matrix, self.y, root, dual, field, target)
            return self._direct(rows, root, target) if found is None else found
        r, y, matrix = root[rows], self.y[rows], self.kernel.sub(rows)
        dual = state.dual[rows]
        dual -= r * r * (dual.sum() / dot(r, r))
        field = symmetric_times(matrix, dual, self.space)
        found = self._krylov(matrix, y, r, dual, field, target)
        if found is None:
            return self._direct(rows, root, target)
        return self._everywhere(rows, found.dual, found.intercept)

    def _krylov(
        self, matrix: Any, y: Any, r: Any, dual: Any, field: Any, target: float
    ) -> State | None:
        """Solve by conjugate gradients among vectors orthogonal to r; None if that is slow."""
        xp, shift, total = self.space.xp, self.shift, dot(r, r)
        z = xp.where(r > 0, dual / xp.where(r > 0, r, 1.0), 0.0)
        while self.way != "direct":
            residual = r * (y - field) - shift * z
            residual -= r * (dot(r, residual) / total)
            precondition = self._preconditioner(matrix, r)
            step, decrease = None, 0.0
            for _ in range(_TRIALS[self.way]):
                if float(abs(residual).max()) <= target:
                    intercept = dot(r, r * (y - field) - shift * z) / total
                    return State(r * z, intercept, field)
                towards = precondition(residual)
                before, decrease = decrease, dot(residual, towards)
                step = towards if step is None else towards + (decrease / before) * step
                image = symmetric_times(matrix, r * step, self.space)
                product = r * image + shift * step
                product -= r * (dot(r, product) / total)
                curvature = dot(step, product)
                if not bool(curvature > 0):
                    raise _indefinite()
                length = decrease / curvature
                z = z + length * step
                field = field + length * image
                residual = residual - length * product
            self.way = "nystrom" if self.way == "plain" else "direct"
        return None

    def _preconditioner(self, matrix: Any, r: Any) -> Any:
        total = dot(r, r)
        if self.way == "plain":
            return lambda v: v - r * (dot(r, v) / total)
        approximate = NystromPreconditioner(matrix, r, self.shift, self.space)
        border = approximate.solve(r)
        height = dot(r, border)

        def precondition(v: Any) -> Any:
            found = approximate.solve(v)
            return found - border * (dot(r, found) / height)

        return precondition

    def _direct(self, rows: Any, root: Any, target: float) -> State:
        xp, r, y = self.space.xp, root[rows], self.y[rows]
        matrix = self.kernel.sub(rows)
        if not bool((r == 1).all()):
            matrix *= r
            matrix *= r[:, None]
        matrix.ravel()[:: rows.size + 1] += self.shift
        factor = factorise(matrix, self.space)
        if factor is None:
            raise _indefinite()
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


def _indefinite() -> ValueError:
    return ValueError(
        "The kernel is not positive semidefinite: K + I / (2 C) has an eigenvalue that is not "
        "positive. Lower `C`, or change the kernel."
    )
