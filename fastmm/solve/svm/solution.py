"""Support vector machines with the squared hinge loss, from a kernel matrix."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastmm._check import number
from fastmm._space import enter
from fastmm.solve.svm.growth import GrowingMachine
from fastmm.solve.svm.kernel import DenseKernel
from fastmm.solve.svm.newton import Progress
from fastmm.solve.threads import scipy_threads_only

__all__ = ["MAX_ITER", "solve_svm", "warn_of"]

MAX_ITER = 200


def solve_svm(
    K: Any, y: Any, C: float, *, sample_weight: Any = None, tol: float = 1e-6
) -> tuple[Any, Any]:
    r"""Solve a support vector machine with the squared hinge loss, in float64.

    .. math::

        \min_{a, b} \tfrac12 a^\top K a + C \sum_i w_i \max(0, 1 - y_i f_i)^2,
        \quad f = K a + b

    Parameters
    ----------
    K : array of shape (n, n), NumPy or CuPy
        Symmetric kernel matrix, of which the lower triangle is read.
    y : array of shape (n,)
        Labels -1 and 1, where `K` lives.
    C : float
        Weight of the loss, positive.
    sample_weight : array of shape (n,), optional
        Weights w, not negative. Default: 1.
    tol : float, default 1e-6
        As in :class:`SVC`.

    Returns
    -------
    dual_coef : array of shape (n,), float64
        Coefficients a, 0 for rows that are no support vectors, where `K` lives.
    intercept : float
        Intercept b.

    Raises
    ------
    ValueError
        If `C` or `tol` is not positive, or K + I / (2C) not positive definite.

    Warns
    -----
    ConvergenceWarning
        If 200 Newton steps were not enough.

    Examples
    --------
    >>> a, b = solve_svm(np.array([[0.0, 0.0], [0.0, 2.0]]), np.array([-1.0, 1.0]), 1.0)
    >>> a.round(6), round(b, 6)
    (array([-0.666667,  0.666667]), -0.666667)
    """
    C, tol = number(C, "C", above=0), number(tol, "tol", above=0)
    space, (K, y, weight), _ = enter(K=K, y=y, sample_weight=sample_weight)
    signs = np.where(space.to_host(y) > 0, 1.0, -1.0)
    root = np.ones(len(signs)) if weight is None else np.sqrt(space.to_host(weight))
    kernel = DenseKernel(space.xp.ascontiguousarray(K, np.float64), space)
    with scipy_threads_only(space):
        found = GrowingMachine(kernel, space).fit(signs, root, C, tol, MAX_ITER)
    warn_of(found, MAX_ITER)
    return found.state.dual, float(found.state.intercept)


def warn_of(found: Progress, steps: int) -> None:
    """Say that Newton's method did not converge, if so."""
    from sklearn.exceptions import ConvergenceWarning

    if not found.converged:
        warnings.warn(
            f"Newton's method did not converge in {steps} steps: the conditions of optimality "
            f"are violated by {found.residual:.1e} of max |f|. Raise `max_iter`, or scale the "
            "data.",
            ConvergenceWarning,
            stacklevel=3,
        )
