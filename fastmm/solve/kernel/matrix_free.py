"""The exact kernel ridge solution where the n x n kernel does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.solve.conjugate import solve_shifted
from fastmm.solve.kernel.products import KernelProducts
from fastmm.solve.pivots import pivoted_cholesky

__all__ = ["KernelSolution", "solve_kernel_cg"]

_FLOOR = 1e-13  # share of the largest eigenvalue below which a preconditioner sees rounding


class KernelSolution(NamedTuple):
    """Coefficients (n, targets), intercepts (targets,), iterations, residuals (targets,)."""

    dual: Any
    intercept: Any
    n_iter: int
    residual: np.ndarray[Any, Any]


def solve_kernel_cg(
    products: KernelProducts,
    y: Any,
    alphas: np.ndarray[Any, Any],
    *,
    weight: Any = None,
    fit_intercept: bool = False,
    rank: int,
    seed: int = 0,
    tol: float = 1e-8,
    max_iter: int = 1000,
) -> KernelSolution:
    r"""Solve kernel ridge regression, or the LS-SVM system, by conjugate gradients.

    .. math:: (K + \alpha W^{-1}) a + b = y, \quad 1^\top a = 0

    Parameters
    ----------
    products : KernelProducts
        Products with the kernel matrix of the n training rows.
    y : array of shape (n, targets), float64
        Targets; -1 and 1 for an LS-SVM.
    alphas : ndarray of shape (targets,), on the host
        Penalty of each target, positive; 1 / C for an LS-SVM.
    weight : array of shape (n,), optional
        Diagonal of W, not negative. Default: 1.
    fit_intercept : bool, default False
        Whether b is free; else it is 0 and the sum of a is not bound.
    rank : int
        Rank of the preconditioner.
    seed : int, default 0
        Seed of its drawing.
    tol : float, default 1e-8
        Relative residual to reach: no prediction of a training target is then off by more
        than that share of the norm of (weighted, centred) y.
    max_iter : int, default 1000
        Most iterations.

    Returns
    -------
    KernelSolution
        Coefficients, intercepts, iterations and true relative residuals.

    Raises
    ------
    ValueError
        If the kernel proves not to be positive semidefinite.

    Notes
    -----
    Each iteration is one pass over the kernel, n^2 (d + 1) flops, never n^2 memory. The
    preconditioner is F F' + alpha, with F from randomly pivoted Cholesky: n rank^2 flops
    and n rank values. It leaves a condition number of about 1 + (what F lacks) / alpha.

    References
    ----------
    .. [1] Frangella, Z., Tropp, J. A., & Udell, M. (2023). Randomized Nystrom
       preconditioning. SIAM Journal on Matrix Analysis and Applications, 44(2), 718-752.
       https://doi.org/10.1137/21M1466244
    .. [2] Diaz, M., Epperly, E. N., Frangella, Z., Tropp, J. A., & Webber, R. J. (2023).
       Robust, randomized preconditioning for kernel ridge regression.
       https://doi.org/10.48550/arXiv.2304.12465

    Examples
    --------
    >>> from fastmm.solve.kernel.gram import KernelFunction
    >>> K = KernelProducts(KernelFunction("linear"), np.eye(2), None, Space("cpu"))
    >>> solve_kernel_cg(K, np.array([[2.0], [4.0]]), np.ones(1), rank=1).dual.round(9).ravel()
    array([1., 2.])
    """
    space, xp = products.space, products.space.xp
    n = y.shape[0]
    root = None if weight is None else xp.sqrt(weight)
    share = xp.full(n, 1 / n) if weight is None else weight / weight.sum()
    unit = xp.sqrt(share) if fit_intercept else None

    def scaled(columns: Any) -> Any:
        return columns if root is None else root[:, None] * columns

    def project(columns: Any) -> Any:
        return columns if unit is None else columns - unit[:, None] * (unit @ columns)

    def product(columns: Any) -> Any:
        return project(scaled(products.times(scaled(columns))))

    mean = share @ y if fit_intercept else xp.zeros(y.shape[1])
    factor, _ = pivoted_cholesky(products.function, products.X, rank, seed, space)
    factor = project(scaled(factor))
    found = solve_shifted(
        product, project(scaled(y - mean)), alphas, xp=xp, tol=tol, max_iter=max_iter,
        precondition=_preconditioner(factor, space, project),
    )  # fmt: skip
    dual = scaled(project(found.solution))
    if fit_intercept:
        mean = mean - (products.times(share[:, None]).T @ dual)[0]
    return KernelSolution(dual, mean, found.n_iter, found.residual)


def _preconditioner(factor: Any, space: Space, project: Any) -> Callable[[Any, Any], Any]:
    """Return a function that applies the inverse of F F' + alpha, alpha times."""
    if factor.shape[1] == 0:  # a kernel matrix of zeros
        return lambda columns, _: columns
    values, vectors = space.xp.linalg.eigh(factor.T @ factor)
    values = values.clip(0)
    lowest = _FLOOR * float(values.max())
    basis = factor @ vectors  # its columns have the squared norms `values`

    def precondition(columns: Any, alphas: np.ndarray[Any, Any]) -> Any:
        shift = space.asarray(np.maximum(alphas, lowest))
        inner = (basis.T @ columns) / (values[:, None] + shift)
        return project(columns - basis @ inner)

    return precondition
