"""The design of a ridge problem whose rows come in chunks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from fastmm._space import enter
from fastmm.solve.chunked.base import FLOAT, Rows
from fastmm.solve.chunked.factor import Factor, factor_of
from fastmm.solve.chunked.sums import add, refuse_values, sums_of
from fastmm.solve.ridge.design import Design, refuse_squares
from fastmm.solve.ridge.sufficient import SufficientStatistics
from fastmm.streams.limits import say_bytes

__all__ = ["MATRICES", "ChunkedDesign"]

MATRICES = 5  # of d x d, or of n x n, while they are diagonalised
_EVERY = slice(None)


class ChunkedDesign(Design):
    """sqrt(w) (X - mean) s, of which no more than a chunk is ever held.

    `primal` says which Gram matrix fits into the memory: that of the columns, whose sums
    are gathered at once, or that of the rows.
    """

    def __init__(self, rows: Rows, targets: Any, weight: Any, intercept: bool) -> None:
        xp = rows.space.xp
        self.rows, self.xp, self.shape, self.weight = rows, xp, rows.shape, weight
        self.X: Any = rows
        self.intercept, self.targets = intercept, targets
        n, d = self.shape
        self.scale: Any = None
        self.root = None if weight is None else xp.sqrt(weight)
        share = xp.full(n, 1 / n) if weight is None else weight / weight.sum()
        self.unit: Any = xp.sqrt(share) if intercept else None
        self.primal = self._choose()
        fixed = FLOAT * (4 * d * d if self.primal else n * n)
        self.parts = rows.chunks(fixed, FLOAT * targets.shape[1])
        arrays = (targets, weight, np.arange(n))
        of = sums_of if self.primal else _means_of
        self.sums: SufficientStatistics = rows.reduce(of, add, self.parts, arrays)
        self._factor: Factor | None = None

    def offset(self) -> Any:
        """Return the weighted mean of each column, 0 without an intercept."""
        return self.sums.x_mean if self.intercept else self.xp.zeros(self.shape[1])

    def scaled(self, scale: Any) -> ChunkedDesign:
        """Return this design with its columns multiplied by `scale` (d,); nothing is copied."""
        other = copy.copy(self)
        other.scale = scale
        return other

    def factor(self) -> Factor:
        """Return the triangular factor of the plain columns, made in a pass when first asked."""
        if self._factor is None:
            self._need_columns()
            y_mean = self.sums.y_mean
            constants = (self.offset(), y_mean, self.intercept)
            arrays = (self.targets, self.weight)
            self._factor = self.rows.reduce(factor_of, add, self.parts, arrays, constants)
        return self._factor

    def centred(self, rows: Any) -> Any:
        """Return (X - mean) s of the given rows, ascending indices."""
        index = self.rows.space.to_host(rows)
        return self._scaled(self.rows.take(index) - self.offset(), _EVERY)

    def gram(self, primal: bool, dtype: Any = np.float64) -> Any:
        """Return the (d, d) Gram matrix of the columns, or the (n, n) one of the rows."""
        if not primal:
            return self.row_gram(_EVERY)
        gram, _ = self.normal_equations()
        return gram

    def normal_equations(self) -> tuple[Any, Any]:
        """Return X'X (d, d) and X'y (d, targets) of the scaled columns."""
        gram, right = self.sums.normal_equations(self.intercept)
        if self.scale is None:
            return gram, right
        return gram * self.scale * self.scale[:, None], right * self.scale[:, None]

    def row_gram(self, columns: Any, dtype: Any = np.float64) -> Any:
        """Return the (n, n) Gram matrix of the rows over some of the columns, in tiles."""
        gram, xp = self.xp.empty((self.shape[0],) * 2), self.xp
        scale = None if self.scale is None else self.scale[columns]
        constants = (columns, self.offset()[columns], scale)
        for i, j, tile in self.rows.pairs(_tile, self.parts, constants):
            first, second = self.parts[i], self.parts[j]
            if self.root is not None:
                tile = self.root[first, None] * tile * self.root[second]
            gram[first, second], gram[second, first] = tile, tile.T
        refuse_squares(float(gram.trace()))
        return xp.ascontiguousarray(gram)

    def times(self, right: Any) -> Any:
        """Multiply by `right` (d, k)."""
        constants = (self.offset(), self.unscaled(right))
        parts = list(self.rows.each(_times, self.parts, (self.root,), constants))
        return self.xp.concatenate(parts)

    def transposed_times(self, right: Any) -> Any:
        """Multiply the transpose by `right` (n, k)."""
        arrays, constants = (right, self.root), (self.offset(),)
        return self.unscaled(
            self.rows.reduce(_transposed_times, add, self.parts, arrays, constants)
        )

    def normal_residual(self, coef: Any, y: Any) -> tuple[Any, Any]:
        """Return X'(y - X coef) and y - X coef for columns (., k), in two passes."""
        left = y - self.times(coef)
        return self.transposed_times(left), left

    def square(self) -> float:
        """Return the squared Frobenius norm."""
        arrays, constants = (self.root,), (self.offset(), self.scale)
        return float(self.rows.reduce(_square, add, self.parts, arrays, constants))

    def whole(self) -> Any:
        """Refuse to hold all rows."""
        raise ValueError(
            "A Gram matrix has lost the digits that so small an `alpha` needs, and X itself does "
            "not fit into `memory_limit`. Raise `alpha` or `memory_limit`."
        )

    def _choose(self) -> bool:
        n, d = self.shape
        limit = self.rows.limit
        fits = {
            primal: MATRICES * FLOAT * size * size <= limit
            for primal, size in ((True, d), (False, n))
        }
        first = d <= n
        if fits[first] or fits[not first]:
            return first if fits[first] else not first
        least = MATRICES * FLOAT * min(n, d) ** 2
        raise ValueError(
            f"A fit to {n} rows of {d} features needs {say_bytes(least)} for the smaller Gram "
            f"matrix, and `memory_limit` is {say_bytes(limit)}. Raise `memory_limit`, or give "
            "fewer features."
        )

    def _need_columns(self) -> None:
        n, d = self.shape
        if MATRICES * FLOAT * min(n, d) * d > self.rows.limit:
            self.whole()


def _tile(X: Any, Y: Any, columns: Any, mean: Any, scale: Any) -> Any:
    _, (X, Y), _ = enter(X=X, Y=Y)
    X, Y = X[:, columns] - mean, Y[:, columns] - mean
    if scale is not None:
        X = X * scale**2
    return X @ Y.T


def _times(X: Any, root: Any, mean: Any, right: Any) -> Any:
    _, (X,), _ = enter(X=X)
    product = (X - mean) @ right
    return product if root is None else root[:, None] * product


def _transposed_times(X: Any, right: Any, root: Any, mean: Any) -> Any:
    _, (X,), _ = enter(X=X)
    return (X - mean).T @ (right if root is None else root[:, None] * right)


def _square(X: Any, root: Any, mean: Any, scale: Any) -> Any:
    _, (X,), _ = enter(X=X)
    part = X - mean
    if scale is not None:
        part *= scale
    if root is not None:
        part *= root[:, None]
    return (part * part).sum()


class _Means:
    """Weight and means, joined as sufficient statistics are."""

    def __init__(self, weight: float, x_mean: Any, y_mean: Any) -> None:
        self.weight, self.x_mean, self.y_mean = weight, x_mean, y_mean

    def __add__(self, other: _Means) -> _Means:
        total = self.weight + other.weight
        share = other.weight / total if total else 0.0
        x = self.x_mean + share * (other.x_mean - self.x_mean)
        return _Means(total, x, self.y_mean + share * (other.y_mean - self.y_mean))


def _means_of(X: Any, y: Any, weight: Any, numbers: Any) -> _Means:
    refuse_values(X, int(numbers[0]))
    space, (X, y, weight), _ = enter(X=X, y=y, weight=weight)
    xp, n = space.xp, X.shape[0]
    total = float(n if weight is None else weight.sum())
    share = xp.full(n, 1 / n) if weight is None else weight / (total or 1.0)
    near = X[0].astype(np.float64)
    return _Means(total, near + share @ (X - near), share @ y)
