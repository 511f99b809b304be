"""Support vector machines solved on a part of the rows first, then on four times as many."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.svm.kernel import DenseKernel, LazyKernel
from fastmm.solve.svm.newton import Progress, minimise
from fastmm.solve.svm.system import ActiveSystem, State

__all__ = ["GrowingMachine"]

_FIRST = 300  # rows to start with
_DENSE = 0.35  # share of support vectors, from which the whole kernel matrix is computed


class GrowingMachine:
    """Solves machines of one kernel, one after the other; the rows of the kernel are kept.

    The support vectors of a part of the rows, with C as many times larger as it is smaller,
    tell those of all rows nearly; where they are few, most of the kernel is never computed.
    """

    def __init__(self, kernel: DenseKernel | LazyKernel, space: Space) -> None:
        self.kernel, self.space, self.way = kernel, space, "plain"

    def fit(self, y: Any, root: Any, C: float, tol: float, max_iter: int) -> Progress:
        """Solve for labels -1 and 1 on the host, from the start; `root` is on the host, too."""
        rows = np.flatnonzero(root)
        order = _mixed(y, rows)
        steps, state, size = 0, self._nothing(), rows.size
        sizes, self.way = [size], "plain"
        while sizes[0] >= 3 * _FIRST:
            sizes.insert(0, max(sizes[0] // 4, _FIRST))
        for size in sizes:
            part = np.zeros_like(root)
            part[order[:size]] = root[order[:size]]
            last = size == rows.size
            found = self._solve(y, part, C * rows.size / size, state, tol, max_iter, rough=not last)
            state, steps = found.state, steps + found.n_iter
            share = int((state.dual != 0).sum()) / size
            if isinstance(self.kernel, LazyKernel) and not last and share > _DENSE:
                self.kernel = self.kernel.whole()
        return found._replace(n_iter=steps)

    def refit(
        self, y: Any, root: Any, C: float, tol: float, max_iter: int, state: State
    ) -> Progress:
        """Solve without some rows of a machine that was solved."""
        near = state.dual * self.space.asarray((root > 0).astype(np.float64))
        start = State(near, state.intercept, self.kernel.times(near))
        return self._solve(y, root, C, start, tol, max_iter, rough=False)

    def _solve(
        self, y: Any, root: Any, C: float, state: State, tol: float, max_iter: int, *, rough: bool
    ) -> Progress:
        used = np.unique(y[root > 0])
        if used.size == 1:  # one class: f is its sign
            nothing = self._nothing()
            return Progress(nothing._replace(intercept=float(used[0])), 1, 0.0, True)
        space = self.space
        # C grows as the rows get fewer, so that what is slow on a part is slow on the whole.
        system = ActiveSystem(self.kernel, space.asarray(y), C, space, self.way)
        found = minimise(system, space.asarray(root), state, tol, max_iter, rough=rough)
        self.way = system.way
        return found

    def _nothing(self) -> State:
        n, xp = self.kernel.size, self.space.xp
        return State(xp.zeros(n), 0.0, xp.zeros(n))


def _mixed(y: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Order rows at random so that each beginning holds the classes as the whole does."""
    shuffled = np.random.default_rng(0).permutation(rows)
    place = np.empty(rows.size)
    for label in np.unique(y[rows]):
        own = y[shuffled] == label
        place[own] = np.arange(own.sum()) / own.sum()
    return shuffled[np.argsort(place, kind="stable")]
