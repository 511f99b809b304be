"""Low-rank approximations of a kernel matrix from some of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.products import KernelProducts

__all__ = ["pivoted_cholesky", "solve_upper", "upper_factor"]

_BLOCK = 64  # pivots drawn at a time: a matrix product each, and little worse than one by one
_ROUNDING = 1e-15  # of a sum, relative to its largest term, for each number in it


def pivoted_cholesky(
    function: KernelFunction, X: Any, rank: int, seed: int, space: Space
) -> tuple[Any, np.ndarray[Any, Any]]:
    r"""Approximate the kernel matrix of `X` by randomly pivoted Cholesky.

    .. math:: K \approx F F^\top

    Parameters
    ----------
    function : KernelFunction
        The kernel.
    X : array of shape (n, d)
        Rows; for a precomputed kernel, K itself.
    rank : int
        Most columns of F.
    seed : int
        Seed of the drawing.
    space : Space
        Where the arrays live.

    Returns
    -------
    factor : array of shape (n, r), float64
        F, with r <= rank.
    pivots : ndarray of shape (r,), intp, on the host
        Rows whose kernels span the approximation.

    Notes
    -----
    Rows are drawn with probabilities proportional to what is still missing on the diagonal,
    so that near copies of a pivot are not drawn. n r (r + d) flops, n r values of memory.

    References
    ----------
    .. [1] Chen, Y., Epperly, E. N., Tropp, J. A., & Webber, R. J. (2025). Randomly pivoted
       Cholesky: Practical approximation of a kernel matrix with few entry evaluations.
       Communications on Pure and Applied Mathematics, 78(5), 995-1041.
       https://doi.org/10.1002/cpa.22234

    Examples
    --------
    >>> from fastmm._space import Space
    >>> X = np.array([[1.0], [2.0], [3.0]])
    >>> F, pivots = pivoted_cholesky(KernelFunction("linear"), X, 1, 0, Space("cpu"))
    >>> (F @ F.T).round(12)
    array([[1., 2., 3.],
           [2., 4., 6.],
           [3., 6., 9.]])
    """
    xp, n = space.xp, X.shape[0]
    rng = np.random.default_rng(seed)
    missing = space.to_host(function.diagonal(X, xp)).clip(0).copy()
    largest = float(missing.max())
    enough = 100 * _ROUNDING * _BLOCK * largest  # below, what is missing is rounding
    factor, pivots = xp.empty((n, min(rank, n))), np.empty(0, np.intp)
    while pivots.size < min(rank, n):
        missing[missing <= enough] = 0
        count = min(_BLOCK, rank - pivots.size, int(np.count_nonzero(missing)))
        if count == 0:
            break
        drawn = np.sort(rng.choice(n, count, replace=False, p=missing / missing.sum()))
        at, have = space.asarray(drawn), factor[:, : pivots.size]
        columns = _columns(function, X, at, space)
        if pivots.size:
            columns -= have @ have[at].T
        upper = upper_factor(columns[at], space, largest)
        new = solve_upper(upper, columns.T, space, transposed=True).T
        factor[:, pivots.size : pivots.size + count] = new
        missing -= space.to_host((new * new).sum(axis=1))
        missing[drawn] = 0
        pivots = np.concatenate([pivots, drawn])
    return factor[:, : pivots.size], pivots


def upper_factor(matrix: Any, space: Space, scale: float | None = None) -> Any:
    """Return U with U'U = matrix + a jitter on its diagonal, as small as rounding allows.

    The jitter starts at what n sums of numbers up to `scale` are off by (default: the
    largest of the diagonal), so nothing is lost that was known before.
    """
    xp, n = space.xp, matrix.shape[0]
    scale = float(matrix.diagonal().max()) if scale is None else scale
    jitter = _ROUNDING * n * (scale if scale > 0 else 1.0)
    for _ in range(6):
        shifted = matrix.copy()
        shifted.ravel()[:: n + 1] += jitter
        lower = _lower(shifted, space)
        if lower is not None:
            return xp.ascontiguousarray(lower.T)
        jitter *= 10
    raise ValueError(
        "The kernel is not positive semidefinite, and its approximation needs it to be; take "
        '`solver="direct"`.'
    )


def solve_upper(upper: Any, right: Any, space: Space, *, transposed: bool = False) -> Any:
    """Solve U x = right, or U' x = right."""
    if space.kind == "cuda":
        from cupyx.scipy.linalg import solve_triangular
    else:
        from scipy.linalg import solve_triangular
    return solve_triangular(upper, right, trans=1 if transposed else 0, check_finite=False)


def _columns(function: KernelFunction, X: Any, at: Any, space: Space) -> Any:
    if function.kernel == "precomputed":
        return X[:, at].astype(np.float64)
    products = KernelProducts(function, X, X[at], space)
    return space.xp.concatenate([block for _, block in products.row_blocks()])


def _lower(matrix: Any, space: Space) -> Any:
    xp = space.xp
    if space.kind == "cuda":
        from cupyx import errstate

        with errstate(linalg="raise"):  # CuPy returns nonsense otherwise
            try:
                return xp.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                return None
    try:
        return xp.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
