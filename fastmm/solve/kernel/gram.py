"""The kernel matrices of a kernel machine: of its training rows, and of new ones to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import finite, integer, number, one_of, real
from fastmm._space import Space, enter
from fastmm.grams import matrices
from fastmm.grams.arc import layered, layered_diagonal
from fastmm.solve.chunked.base import Rows
from fastmm.solve.chunked.moments import total_variance

__all__ = [
    "KERNELS",
    "KernelFunction",
    "centre",
    "kernel_function",
    "width",
]

KERNELS = (
    "linear", "poly", "rbf", "laplacian", "arccos", "ntk", "patch", "convolutional", "precomputed",
)  # fmt: skip
_OF_IMAGES = ("patch", "convolutional")
_WITH_GAMMA = ("poly", "rbf", "laplacian", "patch")


class KernelFunction(NamedTuple):
    """A kernel with its parameters, as scikit-learn names them.

    Parameters
    ----------
    kernel : one of KERNELS, or callable
        Inner products, (gamma <x, y> + coef0) ^ degree, exp(-gamma |x - y|^2),
        exp(-gamma |x - y|_1), those of `arccos_kernel`, `ntk_kernel`, `patch_kernel` and
        `convolutional_kernel`, what is given, or what the callable makes of two matrices.
    gamma : float or None
        Used by "poly", "rbf", "laplacian" and "patch".
    degree : int
        Used by "poly".
    coef0 : float
        Used by "poly".
    parallel : bool
        On the CPU, whether a matrix may use other threads than its own.
    options : Layers, PatchOptions, ConvolutionOptions or None
        What "arccos" and "ntk", "patch" or "convolutional" have to know.
    """

    kernel: Any
    gamma: float | None = None
    degree: int = 3
    coef0: float = 1.0
    parallel: bool = True
    options: Any = None

    def training(self, X: Any, xp: Any) -> Any:
        """Return the symmetric matrix (n, n) of the training rows, float64, as it is."""
        if self.kernel in KERNELS and self.kernel != "precomputed":
            return self._named(X, None)
        K = _checked(X if self.kernel == "precomputed" else self.kernel(X, X), (len(X),) * 2, xp)
        scale, skew = float(abs(K).max()), float(abs(K - K.T).max())
        if skew > 1e-5 * scale:
            raise ValueError(
                "The kernel matrix of the training samples must be symmetric, got differences "
                f"of up to {skew:g} between K and its transpose."
            )
        return K / 2 + K.T / 2

    def between(self, X: Any, X_fit: Any, xp: Any) -> Any:
        """Return the matrix (m, n) of new rows with the training rows, float64."""
        if self.kernel == "precomputed":
            return X.astype(np.float64)
        if self.kernel in KERNELS:
            return self._named(X, X_fit)
        return _checked(self.kernel(X, X_fit), (X.shape[0], X_fit.shape[0]), xp)

    def diagonal(self, X: Any, xp: Any) -> Any:
        """Return k(x, x) of each row (n,), float64; a callable is asked row by row."""
        if self.kernel in ("rbf", "laplacian"):
            return xp.ones(X.shape[0])
        if self.kernel == "precomputed":
            return X.diagonal().astype(np.float64)
        if self.kernel in ("arccos", "ntk"):
            space, X, _ = _wide(X, None)
            return layered_diagonal(X, self.options, space)
        if callable(self.kernel) or self.kernel in _OF_IMAGES:
            rows = [self.between(X[i : i + 1], X[i : i + 1], xp)[0] for i in range(X.shape[0])]
            return xp.concatenate(rows)
        inner = xp.einsum("ij,ij->i", X.astype(np.float64), X.astype(np.float64))
        if self.kernel == "linear":
            return inner
        return (self.gamma * inner + self.coef0) ** self.degree

    def _named(self, X: Any, Y: Any) -> Any:
        # float64, since the solution magnifies errors of the kernel by up to n C.
        space, X, Y = _wide(X, Y)
        space = replace(space, parallel=space.parallel and self.parallel)
        if self.kernel == "linear":
            return matrices.linear(X, Y)
        if self.kernel in ("arccos", "ntk"):
            return layered(X, Y, self.options, space)
        if self.kernel in _OF_IMAGES:
            return self.options.gram(X, Y, self.gamma, space)
        gamma: float = self.gamma  # type: ignore[assignment]
        if self.kernel == "poly":
            return matrices.polynomial(X, Y, gamma, self.degree, self.coef0, space)
        of = matrices.rbf if self.kernel == "rbf" else matrices.laplacian
        return of(X, Y, gamma, space)


def kernel_function(
    kernel: Any,
    gamma: Any,
    degree: Any,
    coef0: Any,
    X: Any,
    weight: Any,
    xp: Any,
    options: Any = None,
) -> KernelFunction:
    """Check the parameters of a kernel machine, and take `gamma` from the training rows."""
    if not callable(kernel):
        one_of(kernel, "kernel", KERNELS)
    features = options.pairs.pixels if kernel == "patch" else int(X.shape[1])
    found = width(gamma, X, weight, xp, kernel, features) if kernel in _WITH_GAMMA else None
    if kernel != "poly":
        return KernelFunction(kernel, found, options=options)
    return KernelFunction(kernel, found, integer(degree, "degree"), number(coef0, "coef0"))


def width(
    gamma: Any, X: Any, weight: Any, xp: Any, kernel: Any = "rbf", features: int | None = None
) -> float:
    """Return the width that `gamma` asks for: a number, "auto" or "scale".

    "auto" is 1 / d. "scale" is 1 / (d var), and 1 / (d std) for the Laplacian kernel. d is the
    number of columns, or `features`.
    """
    d = int(X.shape[1]) if features is None else features
    if not isinstance(gamma, str):
        return number(gamma, "gamma", above=0)
    if one_of(gamma, "gamma", ("scale", "auto")) == "auto":
        return 1.0 / d
    # Weighted, so that a weight of 2 is a row that came twice.
    if isinstance(X, Rows):
        return matrices.scaled(d, total_variance(X, weight), kernel)
    if matrices.is_constant(X):
        return matrices.scaled(d, 0.0, kernel)
    per_row = (X - xp.average(_row_means(X), weights=weight)) ** 2
    variance = float(xp.average(_row_means(per_row), weights=weight))
    return matrices.scaled(d, variance, kernel)


def centre(X: Any) -> Any:
    """Return the mean of the rows, float64."""
    return X.mean(axis=0, dtype=np.float64)


def _row_means(X: Any) -> Any:
    return X.mean(axis=1, dtype=np.float64)


def _wide(X: Any, Y: Any) -> tuple[Space, Any, Any]:
    space, (X, Y), _ = enter(X=X, Y=Y)
    xp = space.xp
    X = xp.ascontiguousarray(X, np.float64)
    return space, X, None if Y is None else xp.ascontiguousarray(Y, np.float64)


def _checked(K: Any, shape: tuple[int, int], xp: Any) -> Any:
    real(K, "K")
    if K.shape != shape:
        raise ValueError(
            f"The kernel of {shape[0]} with {shape[1]} samples must have shape {shape}, "
            f"got {tuple(K.shape)}."
        )
    finite(K, "K", xp)
    return K.astype(np.float64)
