"""Products and factors of symmetric matrices of which only the lower triangle is valid.

On the host all of it is SciPy's BLAS and LAPACK. NumPy brings a pool of threads of its
own, whose threads wait busily after each product: where both take turns, a factorisation
of 300 x 300 was measured to take 60 ms for 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space

__all__ = ["Factor", "dot", "factorise", "symmetric_times", "transposed_times"]


def dot(a: Any, b: Any) -> Any:
    """Return the inner product of two vectors, whatever their length on one thread."""
    return (a * b).sum()


def symmetric_times(matrix: Any, vector: Any, space: Space) -> Any:
    """Multiply a symmetric matrix (n, n), in C order, by a vector."""
    if space.kind == "cuda":
        return matrix @ vector
    from scipy.linalg.blas import dsymv

    return dsymv(1.0, matrix.T, vector)


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
        from scipy.linalg.lapack import dpotrs

        return dpotrs(self.factor, right)[0]

    def half(self, right: Any) -> Any:
        """Solve L x = right, with A = L L'."""
        if self.space.kind == "cuda":
            from cupyx.scipy.linalg import solve_triangular

            return solve_triangular(self.factor, right, lower=True)
        from scipy.linalg.lapack import dtrtrs

        return dtrtrs(self.factor, right, trans=1)[0]


def factorise(matrix: Any, space: Space) -> Factor | None:
    """Factorise a matrix in C order, which is overwritten; None if it is not definite."""
    floor = matrix.shape[0] * np.finfo(np.float64).eps * float(matrix.diagonal().max())
    if space.kind == "cuda":
        from cupyx import errstate

        try:
            with errstate(linalg="raise"):  # CuPy returns nonsense otherwise
                factor = space.xp.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return None
    else:
        from scipy.linalg.lapack import dpotrf

        # LAPACK counts columns first: the lower triangle is the upper one of the transpose.
        factor, fault = dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
        if fault:
            return None
    # A pivot of rounding noise passes for positive.
    return Factor(factor, space) if bool((factor.diagonal() ** 2 > floor).all()) else None
