"""Symmetric positive definite systems, by Cholesky, with word of those that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmm._space import Space

__all__ = ["RCOND", "cholesky", "inverse_spd", "solve_spd"]

RCOND = 1e-7  # reciprocal condition number, below which a Gram matrix has lost the digits


_MIRRORED = 256  # columns at a time


def cholesky(matrix: Any, space: Space, *, overwrite: bool = False) -> Callable[[Any], Any] | None:
    """Return a solver for a symmetric positive definite matrix; None if it is not.

    With `overwrite` the factor may take the place of the matrix.
    """
    if space.kind == "cuda":
        from cupyx import errstate
        from cupyx.scipy.linalg import solve_triangular

        try:
            with errstate(linalg="raise"):  # CuPy returns nonsense otherwise
                lower = space.xp.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return None
        if not _definite(lower, float(matrix.diagonal().max())):
            return None
        return lambda right: solve_triangular(
            lower, solve_triangular(lower, right, lower=True), lower=True, trans=1
        )
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    largest = float(matrix.diagonal().max())
    try:
        # LAPACK counts columns first: the transpose of a symmetric matrix spares a copy.
        factor = cho_factor(matrix.T, lower=True, overwrite_a=overwrite, check_finite=False)
    except LinAlgError:
        return None
    if not _definite(factor[0], largest):
        return None
    return lambda right: cho_solve(factor, right, check_finite=False)


def solve_spd(matrix: Any, right: Any, space: Space) -> Any:
    """Solve a symmetric positive definite system; None where it is close to singular."""
    solve = cholesky(matrix, space)
    if solve is None:
        return None
    xp = space.xp
    probe = xp.asarray(np.random.default_rng(0).normal(size=(matrix.shape[0], 1)))
    scale = matrix.diagonal().max()  # without which squares of the probe may not be numbers
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(4):  # inverse iteration: the norm tends to that of the inverse
            probe = solve(probe / xp.linalg.norm(probe)) * scale
        condition = float(xp.linalg.norm(probe) * (abs(matrix) / scale).sum(axis=0).max())
    return solve(right) if condition < 1 / RCOND else None


def inverse_spd(matrix: Any, space: Space) -> Any:
    """Return the inverse of a symmetric positive definite matrix; None if it is not."""
    if space.kind == "cuda":
        solve = cholesky(matrix, space)
        return None if solve is None else solve(space.xp.eye(matrix.shape[0]))
    from scipy.linalg.lapack import dpotrf, dpotri

    factor, fault = dpotrf(matrix.T, lower=1, clean=1)
    if fault or not _definite(factor, float(matrix.diagonal().max())):
        return None
    lower, _ = dpotri(factor, lower=1, overwrite_c=1)
    for start in range(0, len(lower), _MIRRORED):  # in place: another matrix might not fit
        end = start + _MIRRORED
        block = lower[start:end, start:end]
        block += np.tril(block, -1).T
        lower[start:end, end:] = lower[end:, start:end].T
    return lower


def _definite(lower: Any, largest: float) -> bool:
    # A pivot of rounding noise passes for positive.
    pivots = lower.diagonal() ** 2
    noise = lower.shape[0] * np.finfo(np.float64).eps * largest
    return bool((pivots > noise).all())
