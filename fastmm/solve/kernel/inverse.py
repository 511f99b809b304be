"""Inverses of a shifted kernel matrix, and the shift itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastmm.solve.ridge.spectral import grouped_products

__all__ = ["Dense", "Factored", "Shifted", "add_outer"]

_ELEMENTS = 1 << 20  # of work space: 8 MB


class Shifted:
    """Add alpha to the diagonal of a matrix for a while, in place, without a copy.

    The direction of the intercept is a null vector that alone would spoil the condition.
    No right side reaches into it, so it is given an eigenvalue.
    """

    def __init__(self, matrix: Any, alpha: float, unit: Any) -> None:
        self.matrix, self.alpha, self.unit = matrix, alpha, unit
        self.border = 0.0 if unit is None else float(abs(matrix.diagonal()).mean())

    def __enter__(self) -> None:
        self.before = self.matrix.diagonal().copy()
        if self.unit is not None:
            add_outer(self.matrix, self.unit, self.border * self.unit)
        self.matrix.ravel()[:: self.matrix.shape[0] + 1] += self.alpha

    def __exit__(self, *_: object) -> None:
        if self.unit is not None:
            add_outer(self.matrix, self.unit, -self.border * self.unit)
        self.matrix.ravel()[:: self.matrix.shape[0] + 1] = self.before


class Dense(NamedTuple):
    """One inverse, formed."""

    matrix: Any

    def times(self, right: Any) -> Any:
        """Return the inverses times `right` (n, k), (alphas, n, k)."""
        return (self.matrix @ right)[None]

    def after(self, left: Any, _: int) -> Any:
        """Return `left` (k, n) times the inverse at one place."""
        return left @ self.matrix

    def blocks(self, rows: Any) -> Any:
        """Return the blocks (alphas, b, m, m) of rows (b, m)."""
        return self.matrix[rows[:, :, None], rows[:, None, :]][None]


class Factored(NamedTuple):
    """Inverses for many alphas, from one eigendecomposition."""

    basis: Any
    damping: Any  # (alphas, r)
    xp: Any

    def times(self, right: Any) -> Any:
        """Return the inverses times `right` (n, k), (alphas, n, k)."""
        inner = self.basis.T @ right
        # One product for all alphas, since each alone would be bound by reading the basis.
        many = (self.damping.T[:, :, None] * inner[:, None]).reshape(inner.shape[0], -1)
        shape = (-1, self.damping.shape[0], right.shape[1])
        return (self.basis @ many).reshape(shape).swapaxes(0, 1).copy()

    def after(self, left: Any, place: int) -> Any:
        """Return `left` (k, n) times the inverse at one place."""
        return ((left @ self.basis) * self.damping[place]) @ self.basis.T

    def blocks(self, rows: Any) -> Any:
        """Return the blocks (alphas, b, m, m) of rows (b, m)."""
        return grouped_products(self.basis[rows], self.damping, self.xp)


def add_outer(matrix: Any, column: Any, row: Any) -> None:
    """Add an outer product to a matrix, in place and without another of its size."""
    step = max(1, _ELEMENTS // row.size)
    for start in range(0, column.size, step):
        rows = slice(start, start + step)
        matrix[rows] += column[rows, None] * row
