"""Solves with a Cholesky factor in float32, for one right-hand side at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space

__all__ = ["Substitution"]

_BLOCK = 128  # rows: the inverses of their triangles stay in the cache


class Substitution:
    """Forward and backward substitution with L of A = L L'.

    LAPACK's takes three times what it takes to read the factor. Here blocks of rows are
    products of a matrix and a vector, and the triangles between them are inverted once.

    Parameters
    ----------
    lower : array of shape (n, n), float32
        L, in C order; what is above the diagonal is not read.
    space : Space
        Where the arrays live.
    """

    def __init__(self, lower: Any, space: Space) -> None:
        self.lower, self.space = lower, space
        if space.kind != "cuda":
            starts = range(0, len(lower), _BLOCK)
            self._inverses = [_inverse(lower[i : i + _BLOCK, i : i + _BLOCK]) for i in starts]

    def forward(self, right: Any) -> Any:
        """Solve L x = right."""
        if self.space.kind == "cuda":
            return self._on_device(right, 0)
        x = np.empty_like(right)
        for block, inverse in enumerate(self._inverses):
            start = block * _BLOCK
            end = start + len(inverse)
            x[start:end] = inverse @ (right[start:end] - self.lower[start:end, :start] @ x[:start])
        return x

    def backward(self, right: Any) -> Any:
        """Solve L' x = right."""
        if self.space.kind == "cuda":
            return self._on_device(right, 1)
        x = right.copy()
        for block in range(len(self._inverses))[::-1]:
            start, inverse = block * _BLOCK, self._inverses[block]
            end = start + len(inverse)
            x[start:end] = x[start:end] @ inverse
            x[:start] -= x[start:end] @ self.lower[start:end, :start]
        return x

    def _on_device(self, right: Any, transposed: int) -> Any:
        from cupyx.scipy.linalg import solve_triangular

        return solve_triangular(self.lower, right, lower=True, trans=transposed)


def _inverse(lower: Any) -> Any:
    from scipy.linalg.lapack import strtri

    return strtri(np.tril(lower).T, lower=0)[0].T
