"""Newton's method on the rows that matter, for a kernel that is computed row by row."""

from __future__ import annotations

from typing import Any

from fastmm.solve.svm.kernel import DenseKernel, LazyKernel, lower_gram
from fastmm.solve.svm.newton import Progress, minimise, violation
from fastmm.solve.svm.system import ActiveSystem, State

__all__ = ["minimise_in_parts"]

_MOST = 0.5  # share of the rows, from which a part is no smaller a problem


def minimise_in_parts(
    system: ActiveSystem, root: Any, state: State, tol: float, max_iter: int
) -> Progress:
    """Minimise as `minimise` does, over the active rows alone until no other row is.

    Steps on a part of p rows need p^2 kernel values where those on n rows need p n, and rows
    that are active for a step or two are never compared with the others.
    """
    kernel, space, steps = system.kernel, system.space, 0
    xp, y, part, way = space.xp, system.y, None, system.way
    while isinstance(kernel, LazyKernel):
        slack = 1 - y * (state.field + state.intercept)
        wanted = (root > 0) & ((slack > 0) | (state.dual != 0))
        part = wanted if part is None else part | wanted
        rows = xp.flatnonzero(part)
        if not 0 < rows.size <= _MOST * kernel.size or steps >= max_iter:
            break
        # Both classes, else the intercept of the part would run away.
        if bool((y[rows] == y[rows[0]]).all()):
            break
        kernel.check(int(rows.size))
        small = DenseKernel(lower_gram(kernel.function, kernel.X[rows], space), space)
        inner = ActiveSystem(small, y[rows], 0.5 / system.shift, space, way)
        start = State(state.dual[rows], state.intercept, state.field[rows])
        left = max_iter - steps  # the first part is not the last one
        found = minimise(inner, root[rows], start, tol / 2, left, rough=steps == 0)
        steps, way = steps + found.n_iter, inner.way
        dual = xp.zeros(kernel.size)
        dual[rows] = found.state.dual
        state = State(dual, found.state.intercept, kernel.times(dual))
        wrong = violation(system, root, state)
        if wrong <= tol:
            return Progress(state, steps, wrong, True)
        slack = 1 - y * (state.field + state.intercept)
        if not bool(((slack > 0) & (root > 0) & ~part).any()):
            break  # what is left is rounding
    found = minimise(system, root, state, tol, max(1, max_iter - steps))
    return found._replace(n_iter=steps + found.n_iter)
