"""Ridge systems factorised in float32 and brought to the accuracy of float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.ridge.design import Design
from fastmm.solve.spd import cholesky

__all__ = ["refine"]

_STEPS = 30
_DONE, _ENOUGH = 1e-14, 1e-9  # the last correction, relative to the solution


def refine(design: Design, y: Any, alpha: float, primal: bool, space: Space) -> Any:
    r"""Solve a ridge system by iterative refinement; None where that does not converge.

    .. math:: \beta \leftarrow \beta + \tilde A^{-1} (X^\top y - A \beta), \quad
        A = X^\top X + \alpha I

    with the factor of A in float32 and the residual, by products with X, in float64. Each
    step gains the digits that the condition number leaves of seven, so the last
    correction estimates the error.

    Parameters
    ----------
    design : Design
        Weighted and centred design (n, d).
    y : array of shape (n, targets), float64
        Targets, likewise.
    alpha : float
        Penalty, positive.
    primal : bool
        Whether to factorise X'X, else XX'.
    space : Space
        Where the arrays live.

    Returns
    -------
    array of shape (d, targets), float64, or None
        Coefficients; None where float32 cannot hold the system.

    References
    ----------
    .. [1] Higham, N. J., & Mary, T. (2022). Mixed precision algorithms in numerical linear
       algebra. Acta Numerica, 31, 347-414. https://doi.org/10.1017/S0962492922000022
    """
    xp, unit = space.xp, None if primal else design.unit
    with np.errstate(over="ignore", invalid="ignore"):
        gram = design.gram(primal, np.float32)
        # As in float64, the direction of the intercept is kept away from zero.
        lift = 0.0 if unit is None else float(gram.trace() / gram.shape[0])
        if unit is not None:
            gram += (lift * unit[:, None] * unit).astype(np.float32)
        gram.ravel()[:: gram.shape[0] + 1] += np.float32(alpha)
        if not bool(xp.isfinite(gram).all()):
            return None
        solve = cholesky(gram, space)
    if solve is None:
        return None

    def residual(found: Any) -> Any:
        if primal:
            return design.normal_residual(found, y)[0] - alpha * found
        left = y - design.times(design.transposed_times(found)) - alpha * found
        return left if unit is None else left - unit[:, None] * (lift * (unit @ found))

    found = xp.zeros((gram.shape[0], y.shape[1]))
    left, before = design.transposed_times(y) if primal else y, np.inf
    for _ in range(_STEPS):
        size = xp.abs(left).max(axis=0)
        size = size + (size == 0)
        step = solve((left / size).astype(np.float32)).astype(np.float64) * size
        found = found + step
        length = xp.linalg.norm(found, axis=0)
        last = float((xp.linalg.norm(step, axis=0) / (length + (length == 0))).max())
        if not last < before / 2 or last <= _DONE:
            break
        left, before = residual(found), last
    if not last <= _ENOUGH:
        return None
    return found if primal else design.transposed_times(found)
