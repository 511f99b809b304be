"""The design matrix of a linear model, weighted and centred, in pieces where large."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["Design", "pieces", "refuse_squares"]

_PIECE = 1 << 24  # elements of float64 work space: 128 MB
_EVERY = slice(None)


class Design:
    """sqrt(w) (X - mean) s in float64, made in pieces where it would be large.

    The scales s of the columns are given to the other factor of a product where that can
    be, so that no scaled copy is made.
    """

    def __init__(self, X: Any, weight: Any, fit_intercept: bool, xp: Any) -> None:
        self.X, self.xp, self.shape = X, xp, X.shape
        n, d = X.shape
        total = float(n if weight is None else weight.sum())
        share = xp.full(n, 1 / n) if weight is None else weight / total
        self.root = None if weight is None else xp.sqrt(weight)
        self.unit: Any = xp.sqrt(share) if fit_intercept else None
        self.scale: Any = None
        # One of the rows, and the way from there to the mean: constant columns become 0,
        # not rounding noise.
        self.near: Any = None
        self.shift: Any = None
        whole = n * d <= _PIECE
        if fit_intercept:
            self.near, self.shift = X[int(share.argmax())].astype(np.float64), xp.zeros(d)
            for columns in pieces(d, n):
                part = X[:, columns].astype(np.float64, order="C")
                part -= self.near[columns]
                mean = share @ part
                part -= mean
                rest = share @ part
                self.shift[columns] = mean + rest
                part -= rest
        elif whole:
            part = X.astype(np.float64, order="C")
        self._ready: Any = self._weighted(part, _EVERY) if whole else None

    def scaled(self, scale: Any) -> Design:
        """Return this design with its columns multiplied by `scale` (d,); nothing is copied."""
        other = copy.copy(self)
        other.scale = scale
        return other

    def unscaled(self, coef: Any) -> Any:
        """Turn coefficients (d, k) of the scaled columns into those of the plain ones."""
        return coef if self.scale is None else self.scale[:, None] * coef

    def offset(self) -> Any:
        """Return the weighted mean of each column of X, 0 without an intercept."""
        return self.xp.zeros(self.shape[1]) if self.near is None else self.near + self.shift

    def centred(self, rows: Any) -> Any:
        """Return (X - mean) s of the given rows."""
        return self._scaled(self._centred(rows, _EVERY), _EVERY)

    def gram(self, primal: bool, dtype: Any = np.float64) -> Any:
        """Return the (d, d) Gram matrix of the columns, or the (n, n) one of the rows."""
        if not primal:
            return self.row_gram(_EVERY, dtype)
        parts = (self._scaled(part, _EVERY).astype(dtype, copy=False) for part in self._by_rows())
        return _finite(part.T @ part for part in parts)

    def row_gram(self, columns: Any, dtype: Any = np.float64) -> Any:
        """Return the (n, n) Gram matrix of the rows over some of the columns."""
        parts = (self._scaled(part, where) for part, where in self._by_columns(columns))
        return _finite(part @ part.T for part in (part.astype(dtype, copy=False) for part in parts))

    def times(self, right: Any) -> Any:
        """Multiply by `right` (d, k)."""
        right = self.unscaled(right)
        return _joined([part @ right for part in self._by_rows()], self.xp)

    def transposed_times(self, right: Any) -> Any:
        """Multiply the transpose by `right` (n, k)."""
        product = [part.T @ right for part, _ in self._by_columns(_EVERY)]
        return self.unscaled(_joined(product, self.xp))

    def normal_residual(self, coef: Any, y: Any) -> tuple[Any, Any]:
        """Return X'(y - X coef) and y - X coef for columns (., k), in one pass."""
        right, start, gradient, left = self.unscaled(coef), 0, self.xp.zeros(coef.shape), []
        for part in self._by_rows():
            rows = slice(start, start := start + part.shape[0])
            left.append(y[rows] - part @ right)
            gradient += part.T @ left[-1]
        return self.unscaled(gradient), _joined(left, self.xp)

    def square(self) -> float:
        """Return the squared Frobenius norm."""
        return float(self.squares().sum())

    def squares(self) -> Any:
        """Return the squared length of each column, (d,)."""
        squares = _total(self.xp.einsum("ij,ij->j", part, part) for part in self._by_rows())
        return squares if self.scale is None else squares * self.scale**2

    def whole(self) -> Any:
        """Return the matrix itself."""
        return self._scaled(self._piece(_EVERY, _EVERY), _EVERY)

    def _by_rows(self) -> Iterator[Any]:
        steps = pieces(*self.shape) if self._ready is None else [_EVERY]
        return (self._piece(rows, _EVERY) for rows in steps)

    def _by_columns(self, columns: Any) -> Iterator[tuple[Any, Any]]:
        """Yield columns, given as a slice or indices on the host, and which they are."""
        if self._ready is not None:
            where = columns if isinstance(columns, slice) else self.xp.asarray(columns)
            yield self._ready[:, where], where
            return
        n, d = self.shape
        chosen = np.arange(d)[columns]
        for step in pieces(chosen.size, n):
            part = chosen[step]
            run = part.size == part[-1] - part[0] + 1 and bool((np.diff(part) == 1).all())
            where = slice(int(part[0]), int(part[-1]) + 1) if run else self.xp.asarray(part)
            yield self._piece(_EVERY, where), where

    def _piece(self, rows: slice, columns: Any) -> Any:
        if self._ready is not None:
            return self._ready[rows, columns]
        return self._weighted(self._centred(rows, columns), rows)

    def _centred(self, rows: Any, columns: Any) -> Any:
        # C order whatever the layout of X, so that the same values give the same bits.
        part = self.X[rows][:, columns].astype(np.float64, order="C")
        if self.near is not None:
            part -= self.near[columns]
            part -= self.shift[columns]
        return part

    def _weighted(self, part: Any, rows: slice) -> Any:
        if self.root is not None:
            part *= self.root[rows, None]
        return part

    def _scaled(self, part: Any, columns: Any) -> Any:
        return part if self.scale is None else part * self.scale[columns]


def pieces(length: int, width: int) -> list[slice]:
    """Cut `length` rows of `width` elements into pieces that fit the work space."""
    step = max(1, _PIECE // max(width, 1))
    return [slice(start, start + step) for start in range(0, length, step)]


def _total(terms: Iterator[Any]) -> Any:
    total = next(terms)
    for term in terms:
        total += term
    return total


def _finite(grams: Iterator[Any]) -> Any:
    with np.errstate(over="ignore", invalid="ignore"):
        gram = _total(grams)
        if gram.dtype == np.float64:  # in less, whoever asked for it looks
            refuse_squares(float(gram.trace()))
    return gram


def refuse_squares(total: float) -> None:
    """Refuse features whose squares have a sum that is not finite."""
    if not np.isfinite(total):
        raise ValueError(
            "Squares of `X` overflow float64; bring features to a smaller scale first."
        )


def _joined(parts: list[Any], xp: Any) -> Any:
    return parts[0] if len(parts) == 1 else xp.concatenate(parts)
