"""The kernel matrix of a support vector machine where it has no room: made anew, in tiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.chunked.base import FLOAT
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.svm.kernel import DenseKernel, LazyKernel, kernel_rows, lower_gram
from fastmm.streams.limits import say_bytes

__all__ = ["TiledKernel"]

_COPIES = 3.2  # of the kernel of the active rows: a solve holds it, a rounded one, and a factor
_SHARE = 8  # of the room, that a tile may take


class TiledKernel(LazyKernel):
    """Rows of a kernel matrix, none of which is kept; only active rows are compared at once.

    Parameters
    ----------
    function : KernelFunction
        The kernel.
    X : array of shape (n, d)
        Training rows.
    space : Space
        Where they live.
    room : int
        Bytes that all of it may take beside the rows.
    """

    def __init__(self, function: KernelFunction, X: Any, space: Space, room: int) -> None:
        self.function, self.X, self.space, self.room = function, X, space, room
        self.size = X.shape[0]

    def times(self, vector: Any) -> Any:
        """Multiply by a vector, mostly zeros."""
        xp = self.space.xp
        rows, total = xp.flatnonzero(vector), xp.zeros(self.size)
        step = max(1, self.room // (_SHARE * FLOAT * self.size))
        for start in range(0, rows.size, step):
            few = rows[start : start + step]
            tile = xp.empty((few.size, self.size))
            kernel_rows(self.function, self.X[few], self.X, self.space, tile)
            total += vector[few] @ tile
        return total

    def sub(self, rows: Any) -> Any:
        """Compute the matrix of some rows, of which the lower triangle is valid."""
        self.check(rows.size)
        return lower_gram(self.function, self.X[rows], self.space)

    def part(self, rows: Any) -> TiledKernel:
        """Return the kernel of some rows alone."""
        return TiledKernel(self.function, self.X[rows], self.space, self.room)

    def whole(self) -> DenseKernel:
        """Compute all of the matrix."""
        self.check(self.size)
        return super().whole()

    def grows(self) -> bool:
        """Say whether the whole matrix may take the place of its rows."""
        return _bytes_of(self.size) <= self.room

    def check(self, count: int) -> None:
        """Refuse so many active rows that their kernel has no room."""
        if _bytes_of(count) > self.room:
            raise ValueError(
                f"{count} rows lie within the margin on the way, whose kernel and factors take "
                f"{say_bytes(_bytes_of(count))}, and `memory_limit` leaves "
                f"{say_bytes(self.room)}. Raise `memory_limit`, or take `NystromFeatures` and a "
                "linear model on them."
            )


def _bytes_of(count: int) -> int:
    return int(np.ceil(FLOAT * _COPIES * count * count * (1 + 1 / _SHARE)))
