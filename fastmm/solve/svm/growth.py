"""Support vector machines solved on a part of the rows first, then on four times as many."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.svm.kernel import DenseKernel, LazyKernel
from fastmm.solve.svm.newton import Progress, minimise
from fastmm.solve.svm.system import ActiveSystem, State
from fastmm.solve.svm.working_set import minimise_in_parts
from fastmm.solve.threads import one_thread

__all__ = ["GrowingMachine"]

_FIRST = 300  # rows to start with, at least
_TIMES = 4  # as many rows in the next part
_SMALL = 1500  # rows of a whole kernel, up to which threads gain nothing
_DENSE = 0.5  # share of support vectors, from which the whole kernel matrix is computed


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
        sizes, self.way = [rows.size], "plain"
        while sizes[0] >= _TIMES * _FIRST:
            sizes.insert(0, sizes[0] // _TIMES)
        steps, dual, intercept = 0, self.space.xp.zeros(self.kernel.size), 0.0
        for size in sizes[:-1]:
            part = np.sort(order[:size])
            there = self.space.asarray(part)
            problem = (y[part], root[part], C * rows.size / size, tol, max_iter)
            found = self._solve(self.kernel.part(there), problem, dual[there], intercept, True)
            dual[there], intercept = found.state.dual, found.state.intercept
            steps += found.n_iter
            few = int((dual != 0).sum()) < _DENSE * size
            if isinstance(self.kernel, LazyKernel) and not few and self.kernel.grows():
                self.kernel = self.kernel.whole()
        found = self._solve(self.kernel, (y, root, C, tol, max_iter), dual, intercept)
        return found._replace(n_iter=steps + found.n_iter)

    def refit(
        self, y: Any, root: Any, C: float, tol: float, max_iter: int, state: State
    ) -> Progress:
        """Solve without some rows of a machine that was solved."""
        near = state.dual * self.space.asarray((root > 0).astype(np.float64))
        return self._solve(self.kernel, (y, root, C, tol, max_iter), near, state.intercept)

    def _solve(
        self,
        kernel: DenseKernel | LazyKernel,
        problem: tuple[Any, Any, float, float, int],
        dual: Any,
        intercept: float,
        rough: bool = False,
    ) -> Progress:
        y, root, C, tol, max_iter = problem
        used, space = np.unique(y[root > 0]), self.space
        if used.size == 1:  # one class: f is its sign
            nothing = space.xp.zeros(len(y))
            return Progress(State(nothing, float(used[0]), nothing), 1, 0.0, True)
        # C grows as the rows get fewer, so that what is slow on a part is slow on the whole.
        system = ActiveSystem(kernel, space.asarray(y), C, space, self.way)
        small = not kernel.dense or kernel.size <= _SMALL
        with one_thread(space) if small else nullcontext():
            state = State(dual, intercept, kernel.times(dual))
            there = space.asarray(root)
            if rough:
                found = minimise(system, there, state, tol, max_iter, rough=True)
            else:
                found = minimise_in_parts(system, there, state, tol, max_iter)
        self.way = system.way
        return found


def _mixed(y: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Order rows at random so that each beginning holds the classes as the whole does."""
    shuffled = np.random.default_rng(0).permutation(rows)
    place = np.empty(rows.size)
    for label in np.unique(y[rows]):
        own = y[shuffled] == label
        place[own] = np.arange(own.sum()) / own.sum()
    return shuffled[np.argsort(place, kind="stable")]
