"""Products with a design matrix that is centred and weighted, but never copied."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve.ridge.design import Design

__all__ = ["ExactProducts", "FastProducts"]

_CACHE = 1 << 20  # bytes of float64 rows that stay in a core's cache
_STREAM = 1 << 27  # and on a GPU, where launches cost more than a round trip of memory
_LARGE_MEAN = 100.0  # in units of the spread


class ExactProducts:
    """Products with A = sqrt(w) (X - mean) s in float64, made in pieces of a few rows."""

    def __init__(self, design: Design) -> None:
        self.design, self.xp = design, design.xp
        n, d = design.shape
        size = _CACHE if self.xp is np else _STREAM
        step = max(1, size // (8 * d))
        self.rows = [slice(start, min(start + step, n)) for start in range(0, n, step)]

    def times(self, right: Any) -> Any:
        """Return A right, (n, k)."""
        xp = self.xp
        return xp.concatenate([part @ right for part, _ in self._parts()])

    def transposed_times(self, right: Any) -> Any:
        """Return A' right, (d, k)."""
        total = self.xp.zeros((self.design.shape[1], right.shape[1]))
        for part, rows in self._parts():
            total += part.T @ right[rows]
        return total

    def gradient(self, y: Any, coef: Any) -> Any:
        """Return A' (y - A coef), reading X once."""
        total = self.xp.zeros(coef.shape)
        for part, rows in self._parts():
            total += part.T @ (y[rows] - part @ coef)
        return total

    def squares(self) -> Any:
        """Return the squared length of each column, (d,)."""
        total = self.xp.zeros(self.design.shape[1])
        for part, _ in self._parts():
            total += self.xp.einsum("ij,ij->j", part, part)
        return total

    def _parts(self) -> Any:
        design = self.design
        for rows in self.rows:
            part = design.centred(rows)
            if design.root is not None:
                part *= design.root[rows, None]
            yield part, rows


class FastProducts:
    """The same by one product with X as it lies in memory, in the precision it has.

    The mean is taken off afterwards: where it is large against the spread of the
    columns, digits are lost, which whoever uses these must watch for.
    """

    def __init__(self, design: Design) -> None:
        self.design, self.xp, self.offset = design, design.xp, design.offset()

    @staticmethod
    def possible(design: Design) -> bool:
        """Say whether X is read without a copy, and its means cost less than 2 digits."""
        X, xp = design.X, design.xp
        if X.dtype not in (np.float32, np.float64):
            return False
        if not (X.flags.c_contiguous or X.flags.f_contiguous):
            return False
        if design.unit is None:
            return True
        rows = design.centred(slice(0, max(1, min(X.shape[0], _CACHE // (8 * X.shape[1])))))
        spread = float(xp.linalg.norm(rows)) / rows.shape[0] ** 0.5
        offset = design.unscaled(design.offset()[:, None])
        return bool(float(xp.linalg.norm(offset)) <= _LARGE_MEAN * spread)

    def times(self, right: Any) -> Any:
        """Return A right, (n, k)."""
        X = self.design.X
        right = self.design.unscaled(right).astype(X.dtype)
        product = (X @ right).astype(np.float64)
        product -= self.offset @ right
        return product if self.design.root is None else product * self.design.root[:, None]

    def transposed_times(self, right: Any) -> Any:
        """Return A' right, (d, k)."""
        X = self.design.X
        if self.design.root is not None:
            right = self.design.root[:, None] * right
        right = right.astype(X.dtype)
        product = (X.T @ right).astype(np.float64)
        product -= self.offset[:, None] * right.sum(axis=0, dtype=np.float64)
        return self.design.unscaled(product)
