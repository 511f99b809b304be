"""Conjugate gradients for shifted systems, many right sides at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Conjugated", "solve_shifted"]

_RESTARTS = 6


class Conjugated(NamedTuple):
    """A solution (n, k), the products it took, and the relative residual of each column.

    The residuals (k,) are on the host, and true ones: of the solution, by one more product.
    """

    solution: Any
    n_iter: int
    residual: np.ndarray[Any, Any]


def solve_shifted(
    product: Callable[[Any], Any],
    right: Any,
    alphas: Any,
    *,
    precondition: Callable[[Any, Any], Any] | None = None,
    tol: float = 1e-8,
    max_iter: int = 1000,
    xp: Any = np,
) -> Conjugated:
    r"""Solve symmetric positive definite systems that differ by a multiple of the identity.

    .. math:: (G + \alpha_j I) x_j = b_j

    Parameters
    ----------
    product : callable
        Maps columns (n, k) to G times them; G is symmetric and positive semidefinite.
    right : array of shape (n, k), float64
        Right sides b.
    alphas : ndarray of shape (k,), float64, on the host
        Shift of each column, positive.
    precondition : callable, optional
        Maps columns (n, k) and their shifts, on the host, to an approximate solution, and
        is symmetric and positive definite.
    tol : float, default 1e-8
        Relative residual at which a column is done.
    max_iter : int, default 1000
        Most products.
    xp : module, default numpy
        Namespace of the arrays.

    Returns
    -------
    Conjugated
        Solution, number of products, true relative residuals.

    Raises
    ------
    ValueError
        If a direction shows that G + alpha I is not positive definite.

    Notes
    -----
    The residual of the recurrence drifts from that of the solution by rounding. When it
    says that all is done, the true one is computed; where that is larger, the iteration
    starts anew from it, until it no longer halves. All columns share each product; those
    that are done leave it.

    References
    ----------
    .. [1] Hestenes, M. R., & Stiefel, E. (1952). Methods of conjugate gradients for solving
       linear systems. Journal of Research of the National Bureau of Standards, 49, 409-436.
       https://doi.org/10.6028/jres.049.044

    Examples
    --------
    >>> G, b = np.diag([1.0, 3.0]), np.array([[2.0], [4.0]])
    >>> solve_shifted(lambda v: G @ v, b, np.ones(1)).solution.round(12).ravel()
    array([1., 1.])
    """
    precondition = precondition or (lambda columns, _: columns)
    size = _norms(right, xp)
    size = np.where(size > 0, size, 1.0)
    solution, residual = xp.zeros_like(right), right.copy()
    error, count = _norms(residual, xp) / size, 0
    for _ in range(_RESTARTS):
        active = np.flatnonzero(error > tol)
        if active.size == 0 or count >= max_iter:
            break
        at = xp.asarray(active)
        step, used = _run(
            product, precondition, residual[:, at], alphas[active], tol * size[active],
            max_iter - count, xp,
        )  # fmt: skip
        count += used
        solution[:, at] += step
        shift = xp.asarray(alphas[active])
        residual[:, at] = right[:, at] - product(solution[:, at]) - shift * solution[:, at]
        before, error = error, _norms(residual, xp) / size
        if not (error[active] < before[active] / 2).any():
            break
    return Conjugated(solution, count, error)


def _run(
    product: Any, precondition: Any, residual: Any, alphas: Any, goal: Any, most: int, xp: Any
) -> tuple[Any, int]:
    """Iterate until the residuals of the recurrence meet their goals."""
    solution = xp.zeros_like(residual)
    columns = np.arange(alphas.size)  # those not done yet
    x, r = solution.copy(), residual
    z = precondition(r, alphas)
    p, rz, count = z, (r * z).sum(axis=0), 0
    while count < most:
        forward = product(p) + xp.asarray(alphas) * p
        curvature = (p * forward).sum(axis=0)
        if not bool((curvature > 0).all()):
            raise ValueError(
                "The kernel is not positive semidefinite, and conjugate gradients need it to "
                'be; take `solver="direct"` or a larger `alpha`.'
            )
        length = rz / curvature
        x, r, count = x + length * p, r - length * forward, count + 1
        going = _norms(r, xp) > goal
        if not going.all():
            done = xp.asarray(np.flatnonzero(~going))
            solution[:, xp.asarray(columns[~going])] = x[:, done]
            if not going.any():
                return solution, count
            left = xp.asarray(np.flatnonzero(going))
            columns, alphas, goal = columns[going], alphas[going], goal[going]
            x, r, p, rz = x[:, left], r[:, left], p[:, left], rz[left]
        z = precondition(r, alphas)
        before, rz = rz, (r * z).sum(axis=0)
        p = z + (rz / before) * p
    solution[:, xp.asarray(columns)] = x
    return solution, count


def _norms(columns: Any, xp: Any) -> np.ndarray[Any, Any]:
    norms = xp.sqrt((columns * columns).sum(axis=0))
    return norms if xp is np else xp.asnumpy(norms)  # type: ignore[no-any-return]
