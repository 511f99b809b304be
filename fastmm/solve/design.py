"""The design matrix of a linear model, weighted and centred, in pieces where large."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Design", "pieces"]

_PIECE = 1 << 24  # elements of float64 work space: 128 MB


class Design:
    """sqrt(w) (X - mean) in float64, made in pieces where it would be large."""

    def __init__(self, X: Any, weight: Any, fit_intercept: bool, xp: Any) -> None:
        self.X, self.xp, self.shape = X, xp, X.shape
        n, d = X.shape
        total = float(n if weight is None else weight.sum())
        share = xp.full(n, 1 / n) if weight is None else weight / total
        self.root = None if weight is None else xp.sqrt(weight)
        self.unit: Any = xp.sqrt(share) if fit_intercept else None
        self.mean: Any = None
        self.shift: Any = None
        if fit_intercept:
            mean, shift = xp.zeros(d), xp.zeros(d)
            first = int(share.argmax())
            for columns in pieces(d, n):
                part = X[:, columns].astype(np.float64, order="C")
                # About one of the rows: constant columns become 0, not rounding noise.
                mean[columns] = part[first] + share @ (part - part[first])
                shift[columns] = share @ (part - mean[columns])
            self.mean, self.shift = mean, shift
        self._ready = self._piece(slice(None), slice(None)) if n * d <= _PIECE else None

    def offset(self) -> Any:
        """Return the weighted mean of each column, 0 without an intercept."""
        zero = self.xp.zeros(self.shape[1])
        return zero if self.mean is None else self.mean + self.shift

    def centred(self, rows: Any, columns: Any = slice(None)) -> Any:
        """Return X - mean of the given rows."""
        # C order whatever the layout of X, so that the same values give the same bits.
        part = self.X[rows][:, columns].astype(np.float64, order="C")
        if self.mean is not None:
            part -= self.mean[columns]
            part -= self.shift[columns]
        return part

    def gram(self, primal: bool) -> Any:
        """Return the (d, d) Gram matrix of the columns, or the (n, n) one of the rows."""
        n, d = self.shape
        gram = self.xp.zeros((d, d) if primal else (n, n))
        for part in self._parts(by_rows=primal):
            gram += part.T @ part if primal else part @ part.T
        return gram

    def times(self, right: Any) -> Any:
        """Multiply by `right` (d, k)."""
        return self.xp.concatenate([part @ right for part in self._parts(by_rows=True)])

    def transposed_times(self, right: Any) -> Any:
        """Multiply the transpose by `right` (n, k)."""
        return self.xp.concatenate([part.T @ right for part in self._parts(by_rows=False)])

    def whole(self) -> Any:
        """Return the matrix itself."""
        return self._piece(slice(None), slice(None)) if self._ready is None else self._ready

    def _parts(self, *, by_rows: bool) -> Any:
        if self._ready is not None:
            yield self._ready
            return
        n, d = self.shape
        for piece in pieces(n, d) if by_rows else pieces(d, n):
            yield self._piece(*((piece, slice(None)) if by_rows else (slice(None), piece)))

    def _piece(self, rows: slice, columns: slice) -> Any:
        part = self.centred(rows, columns)
        if self.root is not None:
            part *= self.root[rows, None]
        return part


def pieces(length: int, width: int) -> list[slice]:
    """Cut `length` rows of `width` elements into pieces that fit the work space."""
    step = max(1, _PIECE // max(width, 1))
    return [slice(start, start + step) for start in range(0, length, step)]
