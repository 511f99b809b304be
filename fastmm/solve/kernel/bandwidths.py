"""Kernel matrices for several widths, whose distances are computed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.grams import matrices
from fastmm.solve.kernel.exact import training_gram
from fastmm.solve.kernel.gram import KernelFunction

__all__ = ["kernel_grams"]


def kernel_grams(
    functions: list[KernelFunction], X: Any, space: Space, room: int | None = None
) -> Iterator[Any]:
    r"""Yield the kernel matrix of `X` for each of some kernels that differ in `gamma` only.

    Parameters
    ----------
    functions : list of KernelFunction
        The kernels.
    X : array of shape (n, d)
        Rows.
    space : Space
        Where they live.
    room : int, optional
        Bytes, beside a matrix, that the making of one may take.

    Yields
    ------
    array of shape (n, n), float64
        Kernel matrices, each the caller's own.

    Notes
    -----
    Inner products serve all widths of "rbf". A Laplacian kernel is a power of that of the
    smallest width, :math:`K_\gamma = K_{\gamma_0}^{\gamma / \gamma_0}`, whose relative
    error, :math:`\gamma \|x - y\|_1` times that of float64, is the one that the exponential
    of a rounded number has anyway. Either takes one n x n matrix more. A polynomial kernel
    is made anew, a matrix product being cheaper than the power after it.

    Examples
    --------
    >>> few = [KernelFunction("rbf", 1.0), KernelFunction("rbf", 2.0)]
    >>> for K in kernel_grams(few, np.array([[0.0], [1.0]]), Space("cpu")):
    ...     print(K[0].round(3))
    [1.    0.368]
    [1.    0.135]
    """
    kernel, xp = functions[0].kernel, space.xp
    alone = room is not None and 8 * (len(X) + 3 * X.shape[1]) * len(X) > room
    if len(functions) == 1 or kernel not in ("rbf", "laplacian") or alone:
        for function in functions:
            yield training_gram(function, X, space, room)
        return
    rows = xp.ascontiguousarray(X, np.float64)
    gammas = [float(function.gamma or 0.0) for function in functions]
    if kernel == "rbf":
        rows = rows - rows.mean(axis=0)
        inner = matrices.linear(rows, None)
        for gamma in gammas:
            yield _gaussian(inner, rows, gamma, space)
        return
    least = min(gammas)
    base = KernelFunction(kernel, least).training(rows, xp)
    for gamma in gammas:
        yield base.copy() if gamma == least else base ** (gamma / least)


def _gaussian(inner: Any, rows: Any, gamma: float, space: Space) -> Any:
    """Return exp(-gamma |x - y|^2) of the inner products of centred rows."""
    from fastmm.kernels.rbf import rbf

    norms, largest = inner.diagonal().copy(), float(np.finfo(np.float64).max)
    if not bool((norms < largest / 4).all()):
        raise ValueError("`X` is so large that distances overflow float64; rescale it first.")
    if matrices.is_far([norms], gamma, inner.dtype):
        return matrices.rbf(rows, None, gamma, space)
    gram, width = inner.copy(), space.asarray(np.array([min(gamma, largest)]))
    space.launch(rbf["float64"], gram.size, gram, norms, norms[None], width)
    return gram
