"""Products that, on the CPU, use the threads of SciPy's factorisations.

What `fastmm.solve.threads.scipy_threads_only` leaves on one thread, NumPy's products, is
enough for small ones. Large ones go to SciPy's BLAS: measured on two cores, a Cholesky
factorisation of 3,000 rows takes 0.25 s after a matrix product of NumPy's, whose threads go
on spinning for about 0.1 s, and 0.14 s after one of SciPy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space

__all__ = ["multiply", "multiply_by_transpose", "solve_definite_pairs"]

_SMALL = 32  # rows of blocks below which no BLAS uses threads


def multiply(matrix: Any, right: Any, space: Space, *, transposed: bool = False) -> Any:
    """Return matrix @ right, or matrix.T @ right, for a C-contiguous matrix and (n, k)."""
    if space.kind != "cpu" or not matrix.flags.c_contiguous or matrix.dtype != np.float64:
        return (matrix.T if transposed else matrix) @ right
    from scipy.linalg.blas import dgemm, dgemv

    # BLAS counts columns first, so that it is given the transpose.
    if right.shape[1] == 1:
        return dgemv(1.0, matrix.T, right[:, 0], trans=not transposed)[:, None]
    return dgemm(1.0, matrix.T, right, trans_a=not transposed)


def multiply_by_transpose(part: Any, space: Space) -> Any:
    """Return part part' for a batch of matrices (b, m, r)."""
    size = part.shape[1]
    if size == 1:
        return (part * part).sum(axis=2)[:, :, None]
    if space.kind != "cpu" or size < _SMALL:
        return part @ part.swapaxes(1, 2)
    from scipy.linalg.blas import dsyrk

    found = np.empty((part.shape[0], size, size))
    for block, rows in zip(found, part, strict=True):
        lower = dsyrk(1.0, np.ascontiguousarray(rows).T, trans=1, lower=1)
        block[...] = lower
        block += np.tril(lower, -1).T
    return found


def solve_definite_pairs(blocks: Any, right: Any) -> Any:
    """Solve positive definite systems (b, m, m) for (b, m, k) on the CPU; None if one is not."""
    from scipy.linalg.lapack import dposv

    found = np.empty_like(right)
    for out, block, columns in zip(found, blocks, right, strict=True):
        _, out[...], fault = dposv(block.T, columns)
        if fault:
            return None
    return found
