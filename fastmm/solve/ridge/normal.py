"""Ridge regression from its normal equations, where the rows themselves are gone."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.solve.ridge.accuracy import level_of_caller
from fastmm.solve.spd import solve_spd

__all__ = ["NormalSolution", "solve_normal"]

_NULL = 1e-12  # share of the largest eigenvalue below which the sums show rounding only
_POOR = 2e-10  # share below which fewer than 6 digits are left
_FACTORISATIONS = 3  # by Cholesky, before one eigendecomposition is cheaper


class NormalSolution(NamedTuple):
    """Coefficients (d, targets), the rank, and the largest backward error of a target."""

    coef: Any
    rank: int
    residual: float


def solve_normal(gram: Any, right: Any, alphas: Any, space: Space) -> NormalSolution:
    r"""Solve the normal equations of ridge regressions.

    .. math:: (G + \alpha_t I) \beta_t = r_t

    Parameters
    ----------
    gram : array of shape (d, d), float64
        X'X, positive semidefinite.
    right : array of shape (d, targets), float64
        X'y.
    alphas : ndarray of shape (targets,), on the host
        Penalty of each target, not negative. 0 gives the minimum-norm solution.
    space : Space
        Where the arrays live.

    Returns
    -------
    NormalSolution
        Coefficients, the rank (d where every penalty is positive), and the backward error
        :math:`\|r - (G + \alpha I) \beta\| / (\|G + \alpha I\| \|\beta\| + \|r\|)`.

    Notes
    -----
    Up to 3 penalties are solved on columns brought to one scale, by Cholesky, or nearly
    singular systems by an eigendecomposition each; more of them by one. X'X holds the squares
    of the singular values: where the condition number passes 5e9, fewer than 6 digits are
    left, and a warning says so; solving from the rows would keep twice as many.

    Examples
    --------
    >>> gram, right = np.array([[2.0, 0.0], [0.0, 8.0]]), np.array([[4.0], [8.0]])
    >>> solve_normal(gram, right, np.array([0.0]), Space("cpu")).coef.ravel()
    array([2., 1.])
    """
    coef, rank = _by_cholesky(gram, right, alphas, space), gram.shape[0]
    if coef is None and alphas.min() > 0 and np.unique(alphas).size <= _FACTORISATIONS:
        coef = _by_scaled_eigenvectors(gram, right, alphas, space)
    elif coef is None:
        coef, rank = _by_eigenvectors(gram, right, alphas, space)
    xp = space.xp
    penalties = space.asarray(alphas)
    left = right - gram @ coef - penalties * coef
    size = (xp.linalg.norm(gram) + penalties) * xp.linalg.norm(coef, axis=0)
    size += xp.linalg.norm(right, axis=0)
    residual = xp.linalg.norm(left, axis=0) / xp.where(size > 0, size, 1.0)
    return NormalSolution(coef, rank, float(residual.max()))


def _by_cholesky(gram: Any, right: Any, alphas: Any, space: Space) -> Any:
    distinct = np.unique(alphas)
    if distinct.size > _FACTORISATIONS or not bool(
        (gram.diagonal() + float(distinct[0]) > 0).all()
    ):
        return None
    return _scaled(gram, right, alphas, space, lambda *given: solve_spd(given[0], given[1], space))


def _by_scaled_eigenvectors(gram: Any, right: Any, alphas: Any, space: Space) -> Any:
    xp, conditions = space.xp, []

    def solve(matrix: Any, right: Any) -> Any:
        values, vectors = xp.linalg.eigh(matrix)
        largest = float(values[-1])
        kept = values > len(values) * np.finfo(np.float64).eps * largest
        conditions.append(largest / float(values[kept].min()) if bool(kept.all()) else np.inf)
        return vectors @ ((kept / xp.where(kept, values, 1.0))[:, None] * (vectors.T @ right))

    coef = _scaled(gram, right, alphas, space, solve)
    if max(conditions) * _POOR > 1:
        _warn_of_digits(max(conditions))
    return coef


def _scaled(gram: Any, right: Any, alphas: Any, space: Space, solve: Any) -> Any:
    """Solve with each penalty on columns of one scale; None where `solve` returns it.

    The digits that are lost do not depend on the scale of the columns; what is told of the
    condition then should not, either.
    """
    xp, diagonal, coef = space.xp, gram.diagonal(), space.xp.empty_like(right)
    for alpha in np.unique(alphas):
        scale = 1 / xp.sqrt(diagonal + float(alpha))
        matrix = gram * scale * scale[:, None]
        xp.fill_diagonal(matrix, 1.0)
        columns = space.asarray(np.flatnonzero(alphas == alpha))
        solved = solve(matrix, right[:, columns] * scale[:, None])
        if solved is None:
            return None
        coef[:, columns] = solved * scale[:, None]
    return coef


def _by_eigenvectors(gram: Any, right: Any, alphas: Any, space: Space) -> tuple[Any, int]:
    xp = space.xp
    values, vectors = xp.linalg.eigh(gram)
    largest = float(values[-1])
    kept = values > _NULL * largest
    shrunk = xp.where(kept, values, 0.0)[:, None] + space.asarray(alphas)
    inverse = (shrunk > 0) / xp.where(shrunk > 0, shrunk, 1.0)
    told = shrunk[shrunk > 0]
    if bool((told < _POOR * largest).any()):
        _warn_of_digits(largest / float(told.min()))
    rank = int(kept.sum()) if alphas.min() == 0 else gram.shape[0]
    return vectors @ (inverse * (vectors.T @ right)), rank


def _warn_of_digits(condition: float) -> None:
    from scipy.linalg import LinAlgWarning

    warnings.warn(
        f"The sums have condition number {condition:.0e}, which leaves about "
        f"{max(0, round(16 - np.log10(min(condition, 1e16))))} digits of the coefficients. Give "
        "a larger `alpha`, or fit all rows at once.",
        LinAlgWarning,
        stacklevel=level_of_caller(),
    )
