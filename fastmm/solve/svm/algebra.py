"""Products and factors of symmetric matrices of which only the lower triangle is valid.

On the host all of it is SciPy's BLAS and LAPACK. NumPy brings a pool of threads of its
own, whose threads wait busily after each product: where both take turns, a factorisation
of 300 x 300 was measured to take 60 ms for 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.threads import at_once

__all__ = [
    "Factor",
    "Symmetric",
    "add_outer",
    "cross_part",
    "dot",
    "factorise",
    "lower_part",
    "orthonormal",
    "symmetric_times",
    "times_rows",
    "transposed_times",
]

_ROWS = 64  # copied at a time: they stay in the cache until written


def dot(a: Any, b: Any) -> Any:
    """Return the inner product of two vectors, whatever their length on one thread."""
    return (a * b).sum()


class Symmetric:
    """A symmetric matrix (n, n), in C order, to multiply by."""

    def __init__(self, matrix: Any, space: Space) -> None:
        self.matrix, self.space = matrix, space
        self._rounded: Any = None

    def times(self, vector: Any) -> Any:
        """Multiply by a vector."""
        return symmetric_times(self.matrix, vector, self.space)

    def roughly(self, vector: Any) -> Any:
        """Multiply by a vector in float32."""
        if self._rounded is None:
            everything = self.space.xp.arange(self.matrix.shape[0])
            self._rounded = lower_part(self.matrix, everything, self.space, np.float32)
        size = float(abs(vector).max()) or 1.0  # float32 has no room for small vectors
        rounded = (vector / size).astype(np.float32)
        return symmetric_times(self._rounded, rounded, self.space).astype(np.float64) * size


def symmetric_times(matrix: Any, vector: Any, space: Space) -> Any:
    """Multiply a symmetric matrix (n, n), in C order, by a vector of its dtype."""
    if space.kind == "cuda":
        return matrix @ vector
    from scipy.linalg.blas import dsymv, ssymv

    times = ssymv if matrix.dtype == np.float32 else dsymv
    return times(1.0, matrix.T, vector)


def lower_part(matrix: Any, rows: Any, space: Space, dtype: Any = np.float64) -> Any:
    """Copy the matrix of some rows, in ascending order."""
    if space.kind == "cuda":
        return matrix.take(rows, axis=0).take(rows, axis=1).astype(dtype)
    n = rows.size
    part, whole = np.zeros((n, n), dtype), n == matrix.shape[0]

    def fill(start: int) -> None:
        block, end = rows[start : start + _ROWS], min(start + _ROWS, n)
        lines = matrix[start:end, :end] if whole else matrix[block].take(rows[:end], axis=1)
        part[start:end, :end] = lines

    at_once(fill, range(0, n, _ROWS)[::-1])
    return part


def cross_part(matrix: Any, rows: Any, columns: Any, space: Space, dtype: Any) -> Any:
    """Copy the matrix of some rows with other columns, both in ascending order."""
    if space.kind == "cuda":
        return matrix.take(rows, axis=0).take(columns, axis=1).astype(dtype)
    part = np.empty((rows.size, columns.size), dtype)

    def fill(start: int) -> None:
        block, out = rows[start : start + _ROWS], part[start : start + _ROWS]
        first, last = block[0], block[-1]
        left, right = np.searchsorted(columns, [first, last])
        # Right of the diagonal is nothing: that is taken from below it.
        out[:, :right] = matrix[block].take(columns[:right], axis=1)
        below = matrix[columns[left:], first : last + 1].take(block - first, axis=1)
        out[:, right:] = below[right - left :].T
        middle = columns[left:right]
        np.copyto(out[:, left:right], below[: right - left].T, where=middle > block[:, None])

    at_once(fill, range(0, rows.size, _ROWS))
    return part


def add_outer(matrix: Any, rows: Any, factor: float, space: Space) -> Any:
    """Return the lower triangle of matrix + factor rows rows', float32; it is overwritten."""
    if space.kind == "cuda":
        matrix += np.float32(factor) * (rows @ rows.T)
        return matrix
    from scipy.linalg.blas import ssyrk

    return ssyrk(factor, rows.T, 1.0, matrix.T, trans=1, lower=0, overwrite_c=1).T


def times_rows(rows: Any, others: Any, space: Space) -> Any:
    """Return the inner products (m, n) of rows in C order, float32."""
    if space.kind == "cuda":
        return rows @ others.T
    from scipy.linalg.blas import sgemm

    return sgemm(1.0, others.T, rows.T, trans_a=1).T


def transposed_times(matrix: Any, vector: Any, space: Space) -> Any:
    """Multiply the transpose of a matrix (m, n), in C order, by a vector (m,)."""
    if space.kind == "cuda":
        return vector @ matrix
    from scipy.linalg.blas import dgemv

    return dgemv(1.0, matrix.T, vector)


class Factor:
    """The Cholesky factor of a symmetric positive definite matrix."""

    def __init__(self, factor: Any, space: Space) -> None:
        self.factor, self.space = factor, space

    def solve(self, right: Any) -> Any:
        """Solve A x = right."""
        if self.space.kind == "cuda":
            from cupyx.scipy.linalg import solve_triangular

            return solve_triangular(self.factor, self.half(right), lower=True, trans=1)
        from scipy.linalg.lapack import dpotrs, spotrs

        solve = spotrs if self.factor.dtype == np.float32 else dpotrs
        return solve(self.factor, right)[0]

    def half(self, right: Any) -> Any:
        """Solve L x = right, with A = L L'."""
        if self.space.kind == "cuda":
            from cupyx.scipy.linalg import solve_triangular

            return solve_triangular(self.factor, right, lower=True)
        from scipy.linalg.lapack import dtrtrs

        return dtrtrs(self.factor, right, trans=1)[0]

    def lower(self) -> Any:
        """Return L in C order; what is above its diagonal means nothing."""
        return self.factor if self.space.kind == "cuda" else self.factor.T

    def half_rows(self, rows: Any) -> Any:
        """Solve L x = row for each row (m, n) in C order, float32; they are overwritten."""
        if self.space.kind == "cuda":
            return self.space.xp.ascontiguousarray(self.half(rows.T).T)
        from scipy.linalg.blas import strsm

        return strsm(1.0, self.factor, rows.T, trans_a=1, overwrite_b=1).T


def orthonormal(rows: Any, space: Space) -> Any:
    """Return rows (m, n), float32, that span those given; None if these are dependent."""
    gram = add_outer(space.xp.zeros((len(rows),) * 2, np.float32), rows, 1.0, space)
    factor = factorise(gram, space)
    if factor is None:
        return None
    if space.kind == "cuda":
        from cupyx.scipy.linalg import solve_triangular

        return space.xp.ascontiguousarray(solve_triangular(factor.factor, rows, lower=True))
    from scipy.linalg.blas import strsm

    return strsm(1.0, factor.factor, rows.T, side=1, overwrite_b=1).T


def factorise(matrix: Any, space: Space) -> Factor | None:
    """Factorise a matrix in C order, which is overwritten; None if it is not definite."""
    floor = matrix.shape[0] * float(np.finfo(matrix.dtype).eps) * float(matrix.diagonal().max())
    if space.kind == "cuda":
        from cupyx import errstate

        try:
            with errstate(linalg="raise"):  # CuPy returns nonsense otherwise
                factor = space.xp.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return None
    else:
        from scipy.linalg.lapack import dpotrf, spotrf

        # LAPACK counts columns first: the lower triangle is the upper one of the transpose.
        decompose = spotrf if matrix.dtype == np.float32 else dpotrf
        factor, fault = decompose(matrix.T, lower=0, clean=0, overwrite_a=1)
        if fault:
            return None
    # A pivot of rounding noise passes for positive.
    return Factor(factor, space) if bool((factor.diagonal() ** 2 > floor).all()) else None
