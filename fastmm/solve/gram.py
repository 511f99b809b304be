"""The kernel matrices of a kernel machine: of its training rows, and of new ones to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import finite, number, one_of, real
from fastmm.pairwise import linear_kernel, rbf_kernel

__all__ = ["centre", "new_gram", "training_gram", "width"]


def width(gamma: Any, X: Any, weight: Any, xp: Any) -> Any:
    """Return the inverse squared width of the RBF kernel that `gamma` asks for."""
    if not isinstance(gamma, str):
        return number(gamma, "gamma", above=0)
    if one_of(gamma, "gamma", ("scale", "auto")) == "auto":
        return 1.0 / X.shape[1]
    # Weighted, so that a weight of 2 is a row that came twice.
    per_row = (X - xp.average(_row_means(X), weights=weight)) ** 2
    variance = float(xp.average(_row_means(per_row), weights=weight))
    return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0


def training_gram(kernel: Any, X: Any, gamma: float | None, xp: Any) -> Any:
    """Return the symmetric kernel matrix of the training rows.

    The linear kernel is that of centred rows, which only the intercept tells.
    """
    if kernel == "linear":
        return linear_kernel(X - centre(X))
    if kernel == "rbf":
        return _rbf(X, None, gamma)
    K = _checked(X if kernel == "precomputed" else kernel(X, X), (X.shape[0],) * 2, xp)
    scale, skew = float(abs(K).max()), float(abs(K - K.T).max())
    if skew > 1e-5 * scale:
        raise ValueError(
            "The kernel matrix of the training samples must be symmetric, got differences "
            f"of up to {skew:g} between K and its transpose."
        )
    return K / 2 + K.T / 2


def new_gram(kernel: Any, X: Any, X_fit: Any, gamma: float | None, xp: Any) -> Any:
    """Return the kernel of new rows with the training rows, float64; not for "linear"."""
    if kernel == "rbf":
        return _rbf(X, X_fit, gamma)
    if kernel == "precomputed":
        return X.astype(np.float64)
    return _checked(kernel(X, X_fit), (X.shape[0], X_fit.shape[0]), xp)


def centre(X: Any) -> Any:
    """Return the mean of the rows, float64."""
    return X.mean(axis=0, dtype=np.float64)


def _row_means(X: Any) -> Any:
    return X.mean(axis=1, dtype=np.float64)


def _rbf(X: Any, Y: Any, gamma: Any) -> Any:
    # float64, since the solution magnifies errors of the kernel by up to n C.
    Y = None if Y is None else Y.astype(np.float64)
    return rbf_kernel(X.astype(np.float64), Y, gamma=gamma)


def _checked(K: Any, shape: tuple[int, int], xp: Any) -> Any:
    real(K, "K")
    if K.shape != shape:
        raise ValueError(
            f"The kernel of {shape[0]} with {shape[1]} samples must have shape {shape}, "
            f"got {tuple(K.shape)}."
        )
    finite(K, "K", xp)
    return K.astype(np.float64)
