"""The kernel matrix as a support vector machine needs it: whole, or row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.svm.algebra import Symmetric, lower_part, transposed_times
from fastmm.solve.threads import at_once, free_threads

__all__ = ["DenseKernel", "LazyKernel", "kernel_of", "kernel_rows", "lower_gram"]

_BLOCK = 128  # rows whose kernels are computed at a time: they stay in the cache until written
_ROOM = 1 << 26  # elements of rows that are made room for at once: 512 MB at the most
_SMALL = 600  # rows, below which the whole matrix costs nothing


class DenseKernel:
    """A symmetric kernel matrix (n, n), float64, of which the lower triangle is valid."""

    dense = True

    def __init__(self, matrix: Any, space: Space) -> None:
        self.matrix, self.space, self.size = matrix, space, matrix.shape[0]
        self.symmetric = Symmetric(matrix, space)

    def times(self, vector: Any) -> Any:
        """Multiply by a vector."""
        return self.symmetric.times(vector)

    def diagonal(self) -> Any:
        """Return the kernel of each row with itself."""
        return self.matrix.diagonal()

    def sub(self, rows: Any) -> Any:
        """Copy the matrix of some rows, in ascending order."""
        return lower_part(self.matrix, rows, self.space)

    def part(self, rows: Any) -> DenseKernel:
        """Return the kernel of some rows alone, in ascending order."""
        return DenseKernel(self.sub(rows), self.space)


class LazyKernel:
    """Rows of a kernel matrix, each computed when it is first asked for, and kept."""

    dense = False

    def __init__(self, function: KernelFunction, X: Any, space: Space) -> None:
        self.function, self.X, self.space = function, X, space
        n = self.size = X.shape[0]
        self.place = np.full(n, -1)
        self.count = 0
        # On the host, memory that nothing is written to costs nothing.
        room = _ROOM // n if space.kind == "cpu" else 0
        self.panel = space.xp.empty((min(n, max(256, room)), n))

    def times(self, vector: Any) -> Any:
        """Multiply by a vector, mostly zeros."""
        rows = self.space.to_host(self.space.xp.flatnonzero(vector))
        if not rows.size:
            return 0 * vector
        self._ensure(rows)
        there = np.empty(self.count, np.intp)
        there[self.place[self.place >= 0]] = np.flatnonzero(self.place >= 0)
        weights = vector[self.space.asarray(there)]
        return transposed_times(self.panel[: self.count], weights, self.space)

    def diagonal(self) -> Any:
        """Return the kernel of each row with itself."""
        return self.function.diagonal(self.X, self.space.xp)

    def sub(self, rows: Any) -> Any:
        """Copy the matrix of some rows."""
        host = self.space.to_host(rows)
        self._ensure(host)
        return self.panel[self.space.asarray(self.place[host])[:, None], rows]

    def part(self, rows: Any) -> LazyKernel:
        """Return the kernel of some rows alone."""
        return LazyKernel(self.function, self.X[rows], self.space)

    def whole(self) -> DenseKernel:
        """Compute all of the matrix."""
        return DenseKernel(lower_gram(self.function, self.X, self.space), self.space)

    def grows(self) -> bool:
        """Say whether the whole matrix may take the place of its rows."""
        return True

    def check(self, count: int) -> None:
        """Refuse so many active rows that their kernel has no room."""

    def _ensure(self, rows: np.ndarray[Any, Any]) -> None:
        new = rows[self.place[rows] < 0]
        if not new.size:
            return
        xp, end = self.space.xp, self.count + new.size
        if end > self.panel.shape[0]:
            n = self.X.shape[0]
            grown = xp.empty((min(max(end, 2 * self.panel.shape[0]), n), n))
            grown[: self.count] = self.panel[: self.count]
            self.panel = grown
        part = self.X[self.space.asarray(new)]
        kernel_rows(self.function, part, self.X, self.space, self.panel[self.count : end])
        self.place[new] = np.arange(self.count, end)
        self.count = end


def kernel_of(function: KernelFunction, X: Any, space: Space) -> DenseKernel | LazyKernel:
    """Return the kernel of the training rows, row by row where it is a known function."""
    if _named(function):
        return LazyKernel(function, X, space)
    return DenseKernel(lower_gram(function, X, space), space)


def lower_gram(function: KernelFunction, X: Any, space: Space) -> Any:
    """Compute the lower triangle of the kernel matrix, and no more than that costs."""
    n = X.shape[0]
    if space.kind != "cpu" or not _named(function) or n < _SMALL:
        return function.training(X, space.xp)
    gram = np.zeros((n, n))  # pages that nothing is written to cost nothing
    function = function._replace(parallel=free_threads() == 1)

    def fill(start: int) -> None:
        end = min(start + _BLOCK, n)
        gram[start:end, :end] = function.between(X[start:end], X[:end], np)

    at_once(fill, range(0, n, _BLOCK)[::-1])  # long rows first, so that all end together
    return gram


def kernel_rows(function: KernelFunction, X: Any, Y: Any, space: Space, out: Any) -> None:
    """Write the kernel matrix of some rows with all."""
    if space.kind != "cpu" or not _named(function):
        out[...] = function.between(X, Y, space.xp)
        return
    function = function._replace(parallel=free_threads() == 1)

    def fill(start: int) -> None:
        rows = slice(start, start + _BLOCK)
        out[rows] = function.between(X[rows], Y, np)

    at_once(fill, range(0, X.shape[0], _BLOCK))


def _named(function: KernelFunction) -> bool:
    return not callable(function.kernel) and function.kernel != "precomputed"
