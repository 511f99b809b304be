"""Ridge solutions from normal equations, with the factor that held-out ones start from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.solve.ridge.normal import solve_normal
from fastmm.solve.spd import cholesky

__all__ = ["Penalised", "solve_penalised"]

_MOST_CONDITION = 1e10  # beyond, fewer than 6 digits of the coefficients are left


class Penalised(NamedTuple):
    """Coefficients (d, targets), rank, backward error, and a solver for the matrix or None."""

    coef: Any
    rank: int
    residual: float
    solve: Callable[[Any], Any] | None


def solve_penalised(gram: Any, right: Any, alpha: float, space: Space) -> Penalised:
    r"""Solve (G + alpha I) B = R.

    Parameters
    ----------
    gram : array of shape (d, d), float64
        G, positive semidefinite; its diagonal changes meanwhile.
    right : array of shape (d, targets), float64
        R.
    alpha : float
        Penalty, not negative. 0 gives the solution of least norm.
    space : Space
        Where the arrays live.

    Returns
    -------
    Penalised
        The solution. `solve` is None where no Cholesky factor was found.

    Notes
    -----
    One Cholesky factor, d^3 / 3 multiplications, and one step of refinement. Where the
    condition number passes 1e10, a warning says how many digits are left.

    Examples
    --------
    >>> gram, right = np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([[4.0], [8.0]])
    >>> solve_penalised(gram, right, 1.0, Space("cpu")).coef.ravel()
    array([2., 2.])
    """
    xp, d = space.xp, gram.shape[0]
    solve = _factor(gram, alpha, space) if alpha > 0 else None
    if solve is None:
        found = solve_normal(gram, right, np.full(right.shape[1], alpha), space)
        return Penalised(found.coef, found.rank, found.residual, None)
    coef = solve(right)
    coef = coef + solve(right - gram @ coef - alpha * coef)
    left = right - gram @ coef - alpha * coef
    norm = float(xp.linalg.norm(gram)) + alpha
    size = norm * xp.linalg.norm(coef, axis=0) + xp.linalg.norm(right, axis=0)
    residual = float((xp.linalg.norm(left, axis=0) / xp.where(size > 0, size, 1.0)).max())
    _warn_if_poor(norm, d, solve, xp)
    return Penalised(coef, d, residual, solve)


def _factor(gram: Any, alpha: float, space: Space) -> Callable[[Any], Any] | None:
    diagonal = gram.reshape(-1)[:: gram.shape[0] + 1]  # a view
    before = diagonal.copy()
    diagonal += alpha
    solve = cholesky(gram, space)
    diagonal[:] = before
    return solve


def _warn_if_poor(norm: float, d: int, solve: Callable[[Any], Any], xp: Any) -> None:
    from scipy.linalg import LinAlgWarning

    probe = xp.asarray(np.random.default_rng(0).normal(size=(d, 1)))
    for _ in range(4):  # inverse iteration: the norm tends to that of the inverse
        probe = solve(probe / xp.linalg.norm(probe))
    condition = norm * float(xp.linalg.norm(probe))
    if condition > _MOST_CONDITION:
        warnings.warn(
            f"The penalised sums over patches have condition number {condition:.0e}, which "
            f"leaves about {max(0, round(16 - np.log10(condition)))} digits of the "
            "coefficients. Give a larger `alpha`, or bring the images to a common scale.",
            LinAlgWarning,
            stacklevel=6,
        )
