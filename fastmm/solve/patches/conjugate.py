"""Conjugate gradients for many systems at a time, each with a matrix of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["solve_systems"]

_TOLERANCE = 1e-12  # error in the energy norm, relative to `scale`
_GOOD = 1e-9  # the same, where rounding stops the iteration
_PATIENCE = 5  # iterations without progress, after which rounding has


def solve_systems(
    product: Callable[[Any, Any], Any],
    precondition: Callable[[Any], Any],
    right: Any,
    start: Any,
    scale: Any,
    most: int,
    xp: Any,
) -> tuple[Any, Any]:
    r"""Solve symmetric positive definite systems, preconditioned by a matrix near them all.

    .. math:: A_g X_g = R_g

    Parameters
    ----------
    product : callable
        Maps columns (d, s, targets) and the systems they belong to, (s,) on the host, to
        the products with the matrices of these.
    precondition : callable
        Maps columns (d, k) to an approximate solution; symmetric and positive definite.
    right, start : arrays of shape (d, systems, targets), float64
        R, and a first guess of X.
    scale : array of shape (targets,), on the host
        Squared energy norm of a solution of the size expected.
    most : int
        Most iterations.
    xp : module
        Namespace of the arrays.

    Returns
    -------
    solution : array of shape (d, systems, targets)
        X.
    missing : ndarray, intp, on the host
        Systems that were not solved to a relative error of 1e-9.

    Examples
    --------
    >>> right = np.ones((2, 1, 1))
    >>> found, missing = solve_systems(
    ...     lambda v, _: 2 * v, lambda v: v, right, 0 * right, np.ones(1), 9, np
    ... )
    >>> found.ravel(), missing.size
    (array([0.5, 0.5]), 0)
    """
    d, count = right.shape[:2]
    active = np.arange(count)
    best = np.full(count, np.inf)
    idle = np.zeros(count, np.intp)
    solution, x = start.copy(), start
    r = right - product(start, active)
    p: Any = None
    rz: Any = None
    for _ in range(most):
        z = precondition(r.reshape(d, -1)).reshape(r.shape)
        before, rz = rz, (r * z).sum(axis=0)
        error = _host(rz, xp) / np.where(scale > 0, scale, 1.0)
        error = np.sqrt(np.maximum(error, 0)).max(axis=1)
        better = error < best[active]
        _keep(solution, x, active, better, xp)
        idle[active] = np.where(error < 0.5 * best[active], 0, idle[active] + 1)
        best[active] = np.minimum(best[active], error)
        going = np.flatnonzero((error > _TOLERANCE) & (idle[active] < _PATIENCE))
        if going.size == 0:
            break
        if going.size < active.size:
            left, active = xp.asarray(going), active[going]
            x, r, z, rz = x[:, left], r[:, left], z[:, left], rz[left]
            if p is not None:
                p, before = p[:, left], before[left]
        p = z if p is None else z + xp.where(before > 0, rz / _positive(before, xp), 0.0) * p
        forward = product(p, active)
        curvature = (p * forward).sum(axis=0)
        length = xp.where(curvature > 0, rz / _positive(curvature, xp), 0.0)
        x, r = x + length * p, r - length * forward
    return solution, np.flatnonzero(~(best <= _GOOD))


def _keep(solution: Any, x: Any, active: Any, better: Any, xp: Any) -> None:
    if better.all() and active.size == solution.shape[1]:
        solution[:] = x
    elif better.any():
        solution[:, xp.asarray(active[better])] = x[:, xp.asarray(np.flatnonzero(better))]


def _positive(values: Any, xp: Any) -> Any:
    return xp.where(values > 0, values, 1.0)


def _host(values: Any, xp: Any) -> Any:
    return values if xp is np else xp.asnumpy(values)
