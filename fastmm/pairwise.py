"""Kernel functions: Gram matrices between the rows of two feature matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, finite, number, real
from fastmm._space import enter

__all__ = ["linear_kernel", "rbf_kernel"]


def linear_kernel(X: Any, Y: Any = None) -> Any:
    r"""Compute the inner products between the rows of `X` and the rows of `Y`.

    .. math:: K_{ij} = \langle x_i, y_j \rangle

    Parameters
    ----------
    X : array of shape (n, d)
        Rows of features. NumPy, CuPy, or any DLPack array.
    Y : array of shape (m, d), optional
        Rows to compare with, on the same device. Default: `X`.

    Returns
    -------
    array of shape (n, m)
        float32, or float64 where an input is float64; where `X` lives.

    Raises
    ------
    ValueError
        If the shapes do not fit or a value is not finite.
    TypeError
        If the arrays live on different devices.

    Notes
    -----
    One matrix product, 2 n m d flops.

    Examples
    --------
    >>> from fastmm import linear_kernel
    >>> linear_kernel([[1.0, 2.0]], [[3.0, 4.0], [0.0, 1.0]])
    array([[11.,  2.]])
    """
    _, X, Y, leave = _rows(X, Y)
    return leave(X @ (X if Y is None else Y).T)


def rbf_kernel(X: Any, Y: Any = None, *, gamma: float | str = "scale") -> Any:
    r"""Compute the Gaussian (RBF) kernel between the rows of `X` and the rows of `Y`.

    .. math:: K_{ij} = \exp(-\gamma \lVert x_i - y_j \rVert^2)

    Parameters
    ----------
    X : array of shape (n, d)
        Rows of features. NumPy, CuPy, or any DLPack array.
    Y : array of shape (m, d), optional
        Rows to compare with, on the same device. Default: `X`.
    gamma : float or "scale", default "scale"
        Inverse squared width, positive. "scale" is ``1 / (d * X.var())``, 1 where `X` is
        constant.

    Returns
    -------
    array of shape (n, m)
        Values in [0, 1], exactly 1 on the diagonal if `Y` is None. float32, or float64
        where an input is float64; where `X` lives.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, `gamma` is not positive, or
        squared distances overflow.
    TypeError
        If the arrays live on different devices.

    Notes
    -----
    Distances come from one matrix product of the rows with the mean of `X` taken off,
    which keeps float32 exact to about 1e-6 whatever the mean. The exponential is applied
    in place, so the result is all that is allocated beside a copy of the inputs.

    Examples
    --------
    >>> from fastmm import rbf_kernel
    >>> rbf_kernel([[0.0], [1.0]], gamma=0.5).round(3)
    array([[1.   , 0.607],
           [0.607, 1.   ]])
    """
    space, X, Y, leave = _rows(X, Y)
    gamma = _gamma(gamma, X)
    from fastmm.kernels.rbf import rbf

    xp, dtype = space.xp, X.dtype
    centre = X.mean(axis=0, dtype=np.float64).astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # answered for by the test of norms
        left = X - centre
        right = left if Y is None else Y - centre
        gram = left @ right.T
        if Y is None:
            # What the matrix product found for |x|^2, so that the diagonal is exactly 1.
            norms = [gram.diagonal().copy()] * 2
        else:
            norms = [xp.einsum("ij,ij->i", rows, rows) for rows in (left, right)]
    largest = float(np.finfo(dtype).max)
    if not all(bool((norm < largest / 4).all()) for norm in norms):
        raise ValueError(f"`X` or `Y` is so large that distances overflow {dtype}; rescale first.")
    width = space.asarray(np.array([min(gamma, largest)], dtype))
    space.launch(rbf[dtype.name], gram.size, gram, *norms, width)
    return leave(gram)


def scale_gamma(X: Any) -> float:
    """Return 1 / (d * variance of all entries), the width scikit-learn calls "scale"."""
    variance = float(X.var(dtype=np.float64))
    return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0


def _gamma(gamma: float | str, X: Any) -> float:
    if not isinstance(gamma, str):
        return number(gamma, "gamma", above=0)
    if gamma != "scale":
        raise ValueError(f'`gamma` must be "scale" or a number greater than 0, got {gamma!r}.')
    return scale_gamma(X)


def _rows(X: Any, Y: Any) -> tuple[Any, Any, Any, Any]:
    space, (X, Y), leave = enter(X=X, Y=Y)
    for name, rows in (("X", X), ("Y", Y)):
        if rows is None and name == "Y":
            continue
        real(rows, name)
        if rows.ndim != 2 or 0 in rows.shape:
            raise ValueError(
                f"`{name}` must have shape (rows, features), none of them 0, "
                f"got {tuple(rows.shape)}."
            )
        finite(rows, name, space.xp)
    if Y is not None and X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"`X` and `Y` must have as many columns, got {X.shape[1]} and {Y.shape[1]}."
        )
    dtypes = [dtype_of_result(rows.dtype) for rows in (X, Y) if rows is not None]
    dtype = max(dtypes, key=lambda d: d.itemsize)
    X = space.xp.ascontiguousarray(X, dtype)
    return space, X, None if Y is None else space.xp.ascontiguousarray(Y, dtype), leave
