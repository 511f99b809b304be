"""Rows that are never held all at once: what the fits in chunks ask of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastmm._check import real
from fastmm._space import Space

__all__ = ["FLOAT", "Rows", "call", "part_of"]

FLOAT = 8  # bytes of what is computed


class Rows(ABC):
    """A matrix (n, d) whose rows come in chunks, wherever they lie.

    A function of a chunk is called as ``function(X, *arrays, *constants)``: the rows, those
    of each array that has a row for each, and what is the same for all. It must be a
    function of a module, or a partial of one, since it may run in another process.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    space: Space
    names: Any = None  # of the columns, where they have some
    limit: int  # bytes of memory

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def chunks(self, fixed: int = 0, per_row: int = 0) -> list[slice]:
        """Cut the rows into chunks, beside `fixed` bytes and `per_row` more for each row."""

    @abstractmethod
    def each(
        self,
        function: Callable[..., Any],
        parts: Sequence[Any],
        arrays: Sequence[Any] = (),
        constants: Sequence[Any] = (),
    ) -> Iterable[Any]:
        """Call a function on parts, slices or ascending indices; results come in order."""

    @abstractmethod
    def reduce(
        self,
        function: Callable[..., Any],
        join: Callable[[Any, Any], Any],
        parts: Sequence[Any],
        arrays: Sequence[Any] = (),
        constants: Sequence[Any] = (),
    ) -> Any:
        """Join the results of a function on parts."""

    @abstractmethod
    def pairs(
        self, function: Callable[..., Any], parts: Sequence[Any], constants: Sequence[Any] = ()
    ) -> Iterator[tuple[int, int, Any]]:
        """Call ``function(X_i, X_j, *constants)`` for i <= j; yield i, j and the result."""

    @abstractmethod
    def take(self, part: Any) -> Any:
        """Return some rows in memory."""

    @abstractmethod
    def mapped(self, function: Callable[..., Any], width: int, constants: Sequence[Any]) -> Rows:
        """Return the rows ``function(X, *constants)``, of so many columns, float64."""


def check_matrix(array: Any) -> None:
    """Refuse what is not a matrix of real numbers with rows and columns."""
    shape = tuple(array.shape)
    if len(shape) != 2:
        raise ValueError(f"Expected 2D array, got {len(shape)}D array instead.")
    real(array, "X")
    for axis, what in enumerate(("sample", "feature")):
        if shape[axis] == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is required."
            )


def part_of(array: Any, part: Any) -> Any:
    """Return the rows of an array that belong to a part."""
    return None if array is None else array[part]


def call(
    function: Callable[..., Any], X: Any, arrays: Sequence[Any], constants: Sequence[Any]
) -> Any:
    """Call a function of a chunk."""
    return function(X, *arrays, *constants)
