"""Kernel functions: Gram matrices between the rows of two feature matrices."""

from __future__ import annotations

from typing import Any

from fastmm.grams.matrices import (
    check_rows,
    laplacian,
    linear,
    polynomial,
    rbf,
    row_width,
    take_rows,
    width_of,
)
from fastmm.grams.tile_work import laplacian_work, linear_work, polynomial_work, rbf_work
from fastmm.grams.tiled import Tiling, tiled

__all__ = ["laplacian_kernel", "linear_kernel", "polynomial_kernel", "rbf_kernel"]


@tiled(Tiling(linear_work, check_rows))
def linear_kernel(
    X: Any, Y: Any = None, *, memory_limit: int | str | None = None, out: Any = None
) -> Any:
    r"""Compute the inner products between the rows of `X` and the rows of `Y`.

    .. math:: K_{ij} = \langle x_i, y_j \rangle

    Parameters
    ----------
    X : array of shape (..., n, d)
        Rows of features. NumPy, CuPy, or any DLPack array;
        memory-mapped, or on disk behind slices, such as those of zarr and h5py.
    Y : array of shape (..., m, d), optional
        Rows to compare with, on the same device; leading axes broadcast. Default: `X`.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": the
        result is made in tiles that fit. It counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which rows on disk go up in parts.

    Returns
    -------
    array of shape (..., n, m)
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
    _, X, Y, leave = take_rows(X, Y)
    return leave(linear(X, Y))


@tiled(Tiling(polynomial_work, check_rows, row_width("rbf")))
def polynomial_kernel(
    X: Any,
    Y: Any = None,
    *,
    degree: int = 3,
    gamma: float | str = "scale",
    coef0: float = 1.0,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Compute the polynomial kernel between the rows of `X` and the rows of `Y`.

    .. math:: K_{ij} = (\gamma \langle x_i, y_j \rangle + c_0)^p

    Parameters
    ----------
    X : array of shape (..., n, d)
        Rows of features. NumPy, CuPy, or any DLPack array;
        memory-mapped, or on disk behind slices, such as those of zarr and h5py.
    Y : array of shape (..., m, d), optional
        Rows to compare with, on the same device; leading axes broadcast. Default: `X`.
    degree : int, default 3
        The power p, at least 1.
    gamma : float or "scale", default "scale"
        Factor of the inner products, positive. "scale" is ``1 / (d * X.var())``, 1 where
        `X` is constant.
    coef0 : float, default 1.0
        What is added to them.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": the
        result is made in tiles that fit. It counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which rows on disk go up in parts.

    Returns
    -------
    array of shape (..., n, m)
        float32, or float64 where an input is float64; where `X` lives.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, `gamma` or `degree` is not
        positive, or the result overflows.
    TypeError
        If the arrays live on different devices.

    Notes
    -----
    One matrix product, 2 n m d flops, and a power by repeated squaring. Agrees with
    scikit-learn's function of that name for equal parameters; its `gamma` is 1 / d where
    none is given.

    Examples
    --------
    >>> from fastmm import polynomial_kernel
    >>> polynomial_kernel([[1.0, 2.0]], [[3.0, 4.0]], degree=2, gamma=1.0)
    array([[144.]])
    """
    space, X, Y, leave = take_rows(X, Y)
    return leave(polynomial(X, Y, width_of(gamma, X), degree, coef0, space))


@tiled(Tiling(rbf_work, check_rows, row_width("rbf")))
def rbf_kernel(
    X: Any,
    Y: Any = None,
    *,
    gamma: float | str = "scale",
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Compute the Gaussian (RBF) kernel between the rows of `X` and the rows of `Y`.

    .. math:: K_{ij} = \exp(-\gamma \lVert x_i - y_j \rVert^2)

    Parameters
    ----------
    X : array of shape (..., n, d)
        Rows of features. NumPy, CuPy, or any DLPack array;
        memory-mapped, or on disk behind slices, such as those of zarr and h5py.
    Y : array of shape (..., m, d), optional
        Rows to compare with, on the same device; leading axes broadcast. Default: `X`.
    gamma : float or "scale", default "scale"
        Inverse squared width, positive. "scale" is ``1 / (d * X.var())``, 1 where `X` is
        constant.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": the
        result is made in tiles that fit. It counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which rows on disk go up in parts.

    Returns
    -------
    array of shape (..., n, m)
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
    which keeps float32 exact to about 1e-6 whatever the mean; in float64, and for rows that
    are near each other and yet too far out for that from their differences, where outliers
    or a large `gamma` would cost more. The exponential is applied in place, so the result is
    all that is allocated beside a copy of the inputs (in that case up to three times that).

    Examples
    --------
    >>> from fastmm import rbf_kernel
    >>> rbf_kernel([[0.0], [1.0]], gamma=0.5).round(3)
    array([[1.   , 0.607],
           [0.607, 1.   ]])
    """
    space, X, Y, leave = take_rows(X, Y)
    return leave(rbf(X, Y, width_of(gamma, X), space))


@tiled(Tiling(laplacian_work, check_rows, row_width("laplacian")))
def laplacian_kernel(
    X: Any,
    Y: Any = None,
    *,
    gamma: float | str = "scale",
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Compute the Laplacian kernel between the rows of `X` and the rows of `Y`.

    .. math:: K_{ij} = \exp(-\gamma \lVert x_i - y_j \rVert_1)

    Parameters
    ----------
    X : array of shape (..., n, d)
        Rows of features. NumPy, CuPy, or any DLPack array;
        memory-mapped, or on disk behind slices, such as those of zarr and h5py.
    Y : array of shape (..., m, d), optional
        Rows to compare with, on the same device; leading axes broadcast. Default: `X`.
    gamma : float or "scale", default "scale"
        Inverse width, positive. "scale" is ``1 / (d * X.std())``, 1 where `X` is constant:
        the kernel then does not change with the unit of `X`.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": the
        result is made in tiles that fit. It counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which rows on disk go up in parts.

    Returns
    -------
    array of shape (..., n, m)
        Values in [0, 1], exactly 1 on the diagonal if `Y` is None. float32, or float64
        where an input is float64; where `X` lives.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, `gamma` is not positive, or
        distances overflow.
    TypeError
        If the arrays live on different devices.

    Notes
    -----
    3 n m d operations in tiles that stay in the cache; no distances are kept beside the
    result. float32 is exact to about 1e-6 whatever the mean, and a sum of many features
    is taken in parts of 128. scikit-learn's function of that name takes 1 / d where no
    `gamma` is given.

    Examples
    --------
    >>> from fastmm import laplacian_kernel
    >>> laplacian_kernel([[0.0, 0.0], [1.0, 1.0]], gamma=0.5).round(3)
    array([[1.   , 0.368],
           [0.368, 1.   ]])
    """
    space, X, Y, leave = take_rows(X, Y)
    return leave(laplacian(X, Y, width_of(gamma, X, "laplacian"), space))
