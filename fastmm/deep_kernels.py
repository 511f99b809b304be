"""Kernels of infinitely wide neural networks, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.grams.arc import Layers, arccos_layers, layered, ntk_layers
from fastmm.grams.matrices import check_rows, take_rows
from fastmm.grams.tile_work import layer_work
from fastmm.grams.tiled import Tiling, tiled

__all__ = ["arccos_kernel", "ntk_kernel"]


def _check(X: Any, Y: Any) -> None:
    check_rows(X, Y)
    if X.ndim != 2 or (Y is not None and Y.ndim != 2):
        shapes = [tuple(a.shape) for a in (X, Y) if a is not None]
        raise ValueError(f"`X` and `Y` must have shape (rows, features), got {shapes}.")


_TILING = Tiling(layer_work, _check)


@tiled(_TILING)
def arccos_kernel(
    X: Any,
    Y: Any = None,
    *,
    degree: int = 1,
    depth: int = 1,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Compute the arc-cosine kernel between the rows of `X` and the rows of `Y`.

    .. math::

        k(x, y) = \frac1\pi \lVert x \rVert^p \lVert y \rVert^p J_p(\theta), \quad
        \theta = \arccos \frac{\langle x, y \rangle}{\lVert x \rVert \lVert y \rVert}

    with :math:`J_0 = \pi - \theta`, :math:`J_1 = \sin\theta + (\pi - \theta) \cos\theta` and
    :math:`J_2 = 3 \sin\theta \cos\theta + (\pi - \theta)(1 + 2 \cos^2 \theta)`: the inner
    product of the outputs of infinitely many units with random weights w and the activation
    :math:`\max(0, \langle w, x \rangle)^p`. Further layers take the inner products of the
    layer before for :math:`\langle x, y \rangle`.

    Parameters
    ----------
    X : array of shape (n, d)
        Rows of features. NumPy, CuPy, or any DLPack array;
        memory-mapped, or on disk behind slices, such as those of zarr and h5py.
    Y : array of shape (m, d), optional
        Rows to compare with, on the same device. Default: `X`.
    degree : {0, 1, 2}, default 1
        The power p of the activation: a step, the rectifier (ReLU), its square.
    depth : int, default 1
        Number of layers, at least 1.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": the
        result is made in tiles that fit. It counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which rows on disk go up in parts.

    Returns
    -------
    array of shape (n, m)
        float32, or float64 where an input is float64; where `X` lives.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, a parameter is out of its range, or
        the result overflows.
    TypeError
        If the arrays live on different devices.

    Notes
    -----
    One matrix product, 2 n m d flops, and about 50 operations an element and layer in place.
    Runs in float64 whatever the inputs: a cosine near 1 says its angle to half of its digits.
    With `degree` 1 and 2 it is exact to 1e-14 of the largest value. With `degree` 0, whose
    slope at an angle of 0 is not bounded, rows that are nearly equal differ by up to 2e-8
    from the truth; on the diagonal, if `Y` is None, it is 1. A row of zeros meets all rows at
    a right angle: 1/2 for `degree` 0, else 0. Antipodal rows have 0 in the first layer.

    References
    ----------
    .. [1] Cho, Y., & Saul, L. K. (2009). Kernel methods for deep learning. Advances in Neural
       Information Processing Systems 22, 342-350.

    Examples
    --------
    >>> from fastmm import arccos_kernel
    >>> arccos_kernel([[1.0, 0.0], [0.0, 2.0]]).round(3)
    array([[1.   , 0.637],
           [0.637, 4.   ]])
    """
    return _kernel(X, Y, arccos_layers(degree, depth))


@tiled(_TILING)
def ntk_kernel(
    X: Any,
    Y: Any = None,
    *,
    depth: int = 3,
    bias: float = 0.0,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Compute the neural tangent kernel of a fully connected ReLU network.

    With b = `bias` and L = `depth` hidden layers,

    .. math::

        \Sigma^0 &= \tfrac1d \langle x, y \rangle + b^2, \qquad \Theta^0 = \Sigma^0, \\
        \Sigma^h &= \tfrac1\pi \sqrt{\Sigma^{h-1}_{xx} \Sigma^{h-1}_{yy}}\,
            (\sin\theta + (\pi - \theta) \cos\theta) + b^2, \\
        \Theta^h &= \Theta^{h-1} \frac{\pi - \theta}{\pi} + \Sigma^h, \qquad
        \cos\theta = \Sigma^{h-1}_{xy} / \sqrt{\Sigma^{h-1}_{xx} \Sigma^{h-1}_{yy}},

    and :math:`k = \Theta^L`: what gradient descent on an infinitely wide network of that
    depth, all of its layers trained, converges to by kernel regression.

    Parameters
    ----------
    X : array of shape (n, d)
        Rows of features. NumPy, CuPy, or any DLPack array;
        memory-mapped, or on disk behind slices, such as those of zarr and h5py.
    Y : array of shape (m, d), optional
        Rows to compare with, on the same device. Default: `X`.
    depth : int, default 3
        Number L of hidden layers, at least 1.
    bias : float, default 0.0
        Standard deviation b of the biases, not negative. With 0 the kernel is homogeneous:
        doubled rows have doubled values.
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": the
        result is made in tiles that fit. It counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which rows on disk go up in parts.

    Returns
    -------
    array of shape (n, m)
        float32, or float64 where an input is float64; where `X` lives.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, a parameter is out of its range, or
        the result overflows.
    TypeError
        If the arrays live on different devices.

    Notes
    -----
    Conventions: weights have variance 1 / d in the first layer and 2 / width after a
    rectifier, so that norms are kept from layer to layer; that is neural-tangents'
    ``Dense(W_std=1, b_std=b)``, then `depth` times ``Relu(), Dense(W_std=sqrt(2), b_std=b)``.
    Arora et al. do not divide by d: theirs is d times as large, for b = 0.

    One matrix product, 2 n m d flops, and about 60 operations an element and layer in place.
    Runs in float64 whatever the inputs; rows that are nearly equal differ by up to 2e-8 of
    the largest value from the truth, others by 1e-14. A row of zeros has an inner product of
    :math:`b^2` with all.

    References
    ----------
    .. [1] Jacot, A., Gabriel, F., & Hongler, C. (2018). Neural tangent kernel: convergence and
       generalization in neural networks. NeurIPS 31.
       https://doi.org/10.48550/arXiv.1806.07572
    .. [2] Arora, S., Du, S. S., Hu, W., Li, Z., Salakhutdinov, R., & Wang, R. (2019). On exact
       computation with an infinitely wide neural net. NeurIPS 32.
       https://doi.org/10.48550/arXiv.1904.11955

    Examples
    --------
    >>> from fastmm import ntk_kernel
    >>> ntk_kernel([[1.0, 0.0], [0.0, 2.0]], depth=1).round(3)
    array([[1.   , 0.318],
           [0.318, 4.   ]])
    """
    return _kernel(X, Y, ntk_layers(depth, bias))


def _kernel(X: Any, Y: Any, layers: Layers) -> Any:
    space, X, Y, leave = take_rows(X, Y)
    _check(X, Y)
    gram = layered(X, Y, layers, space)
    largest = float(np.finfo(X.dtype).max)
    if not float(abs(gram).max()) <= largest:
        raise ValueError(f"The kernel overflows {X.dtype}; rescale `X`, or lower `depth`.")
    return leave(gram.astype(X.dtype, copy=False))
