"""Kernel matrices of rows that were checked: what the kernel functions and machines share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, finite, integer, number, real
from fastmm._space import Space, enter

__all__ = [
    "NEAR_VALUES",
    "PAIR_VALUES",
    "check_rows",
    "is_far",
    "laplacian",
    "linear",
    "polynomial",
    "rbf",
    "row_width",
    "scale_gamma",
    "take_rows",
    "width_of",
]

_ERROR = {"float32": 1e-6, "float64": 1e-9}  # of a kernel value from a matrix product, at most
PAIR_VALUES = {"cpu": 1 << 16, "cuda": 1 << 20}  # features compared at a time, within a cache
NEAR_VALUES = {"cpu": 1 << 16, "cuda": 1 << 24}  # pairs looked through at a time


def take_rows(X: Any, Y: Any) -> tuple[Space, Any, Any, Any]:
    """Check rows (..., n, d) and bring them to one float dtype, contiguous."""
    space, (X, Y), leave = enter(X=X, Y=Y)
    check_rows(X, Y)
    for name, rows in (("X", X), ("Y", Y)):
        if rows is not None:
            finite(rows, name, space.xp)
    dtypes = [dtype_of_result(rows.dtype) for rows in (X, Y) if rows is not None]
    dtype = max(dtypes, key=lambda d: d.itemsize)
    X = space.xp.ascontiguousarray(X, dtype)
    return space, X, None if Y is None else space.xp.ascontiguousarray(Y, dtype), leave


def check_rows(X: Any, Y: Any) -> None:
    """Refuse rows (..., n, d), of which only shapes and dtypes are looked at, that do not fit."""
    for name, rows in (("X", X), ("Y", Y)):
        if rows is None and name == "Y":
            continue
        real(rows, name)
        if rows.ndim < 2 or 0 in rows.shape:
            raise ValueError(
                f"`{name}` must have shape (rows, features), or (..., rows, features), none of "
                f"them 0, got {tuple(rows.shape)}."
            )
    if Y is not None and X.shape[-1] != Y.shape[-1]:
        raise ValueError(
            f"`X` and `Y` must have as many columns, got {X.shape[-1]} and {Y.shape[-1]}."
        )
    if Y is not None:
        _leading(X, Y)


def width_of(gamma: float | str, X: Any, kernel: str = "rbf") -> float:
    """Return the `gamma` of a kernel function: a positive number, or that which fits X."""
    if not isinstance(gamma, str):
        return number(gamma, "gamma", above=0)
    if gamma != "scale":
        raise ValueError(f'`gamma` must be "scale" or a number greater than 0, got {gamma!r}.')
    return scale_gamma(X, kernel)


def scale_gamma(X: Any, kernel: str = "rbf") -> float:
    """Return 1 / (d * variance of all entries), the width scikit-learn calls "scale".

    A distance of absolute differences grows with the standard deviation instead.
    """
    variance = 0.0 if is_constant(X) else float(X.var(dtype=np.float64))
    return scaled(X.shape[-1], variance, kernel)


def is_constant(X: Any) -> bool:
    """Say whether all entries are the same, of which a variance may be rounding."""
    first = X[(slice(0, 1),) * X.ndim]
    return bool((X[..., -1:, :] == first).all()) and bool((first == X).all())


def row_width(kernel: str) -> Callable[..., Any]:
    """Return what finds `gamma` where the variance of all entries is found elsewhere."""

    def width(
        options: Mapping[str, Any], name: Any, shape: tuple[int, ...], variance: Callable[[], float]
    ) -> Any:
        gamma = options["gamma"]
        return scaled(shape[-1], variance(), kernel) if isinstance(gamma, str) else gamma

    return width


def scaled(features: int, variance: float, kernel: str) -> float:
    """Return the width "scale" for rows of so many features and so much variance."""
    spread = variance**0.5 if kernel == "laplacian" else variance
    return 1.0 / (features * spread) if spread > 0 else 1.0


def linear(X: Any, Y: Any) -> Any:
    """Return the inner products of all rows."""
    return X @ (X if Y is None else Y).swapaxes(-1, -2)


def polynomial(X: Any, Y: Any, gamma: float, degree: int, coef0: float, space: Space) -> Any:
    """Return (gamma <x, y> + coef0) ^ degree."""
    degree, coef0 = integer(degree, "degree"), number(coef0, "coef0")
    with np.errstate(over="ignore", invalid="ignore"):  # answered for below
        gram = linear(X, Y)
        gram *= gram.dtype.type(gamma)
        gram += gram.dtype.type(coef0)
        gram = _power(gram, degree)
    if not bool(space.xp.isfinite(gram.sum())) and not bool(space.xp.isfinite(gram).all()):
        raise ValueError(
            f"The polynomial kernel overflows {gram.dtype}; rescale `X`, or lower `gamma` or "
            "`degree`."
        )
    return gram


def rbf(X: Any, Y: Any, gamma: float, space: Space) -> Any:
    """Return exp(-gamma |x - y|^2)."""
    from fastmm.kernels.rbf import rbf as kernel

    xp, dtype = space.xp, X.dtype
    centre = X.mean(axis=-2, dtype=np.float64, keepdims=True).astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # answered for by the test of norms
        left = X - centre
        right = left if Y is None else Y - centre
        gram = left @ right.swapaxes(-1, -2)
        if Y is None:
            # What the matrix product found for |x|^2, so that the diagonal is exactly 1.
            norms = [xp.ascontiguousarray(gram.diagonal(axis1=-2, axis2=-1))] * 2
        else:
            norms = [xp.einsum("...ij,...ij->...i", rows, rows) for rows in (left, right)]
    largest = float(np.finfo(dtype).max)
    if not all(bool((norm < largest / 4).all()) for norm in norms):
        raise ValueError(f"`X` or `Y` is so large that distances overflow {dtype}; rescale first.")
    # Rows far from the centre but near each other (one outlier moves the mean): their distance
    # is a difference of large numbers.
    far = is_far(norms, gamma, dtype)
    if far and dtype == np.float32:
        del left, right, gram, norms  # before what is twice as large is made
        wide = None if Y is None else Y.astype(np.float64)
        return rbf(X.astype(np.float64), wide, gamma, space).astype(dtype)
    left, right = (_spread(norm, (*gram.shape[:-2], norm.shape[-1]), xp) for norm in norms)
    gram = xp.ascontiguousarray(gram)
    width = space.asarray(np.array([min(gamma, largest)], dtype))

    def turn(products: Any, left: Any, right: Any) -> None:
        m = products.shape[-1]
        sides = left.reshape(-1), right.reshape(-1, m)
        space.launch(kernel[dtype.name], products.size, products.reshape(-1, m), *sides, width)

    if not far:
        turn(gram, left, right)
        return gram
    (n, m), leading = gram.shape[-2:], gram.shape[:-2]
    X, Y = (_leading_spread(rows, leading, xp) for rows in (X, X if Y is None else Y))
    step = max(1, NEAR_VALUES.get(space.kind, NEAR_VALUES["cpu"]) // m)
    for at in np.ndindex(leading):
        for start in range(0, n, step):  # what finds them takes several times the memory
            rows = (*at, slice(start, start + step))
            near = _near(gram[rows], left[rows], right[at], gamma, xp)
            turn(gram[rows], left[rows], right[at])
            _compare(gram[rows], near, X[rows], Y[at], gamma, space)
    return gram


def is_far(norms: list[Any], gamma: float, dtype: np.dtype[Any]) -> bool:
    """Say whether kernels lose digits where distances come from inner products."""
    largest = max(float(norm.max()) for norm in norms)
    return gamma * largest * float(np.finfo(dtype).eps) > _ERROR[dtype.name]


def _near(gram: Any, left: Any, right: Any, gamma: float, xp: Any) -> tuple[Any, ...]:
    """Find the pairs whose kernel may be more than 0, for all that rounding hides."""
    both = left[:, None] + right
    slack = 16 * float(np.finfo(gram.dtype).eps) * both
    return tuple(xp.nonzero(both - 2 * gram - slack < 50 / gamma))


def _compare(gram: Any, pairs: tuple[Any, ...], X: Any, Y: Any, gamma: float, space: Space) -> None:
    """Make the kernel of some pairs from the differences of their rows."""
    xp = space.xp
    step = max(1, PAIR_VALUES.get(space.kind, PAIR_VALUES["cpu"]) // X.shape[-1])
    for start in range(0, len(pairs[0]), step):
        i, j = (index[start : start + step] for index in pairs)
        apart = X[i] - Y[j]
        with np.errstate(over="ignore"):  # exp(-inf) is 0, as it should
            gram[i, j] = xp.exp(-gamma * xp.einsum("ij,ij->i", apart, apart))


def _leading_spread(rows: Any, leading: tuple[int, ...], xp: Any) -> Any:
    return xp.broadcast_to(rows, (*leading, *rows.shape[-2:]))


def laplacian(X: Any, Y: Any, gamma: float, space: Space) -> Any:
    """Return exp(-gamma |x - y|_1)."""
    from fastmm.kernels.laplacian import COLUMNS, ROWS
    from fastmm.kernels.laplacian import laplacian as kernel

    xp, dtype = space.xp, X.dtype
    Y = X if Y is None else Y
    leading = _leading(X, Y)
    (n, d), m, batch = X.shape[-2:], Y.shape[-2], prod(leading)
    left = _spread(X, (*leading, n, d), xp).reshape(batch * n, d)
    right = _spread(Y.swapaxes(-1, -2), (*leading, d, m), xp).reshape(batch, d, m)
    largest = float(np.finfo(dtype).max)
    with np.errstate(over="ignore"):
        most = abs(left).sum(axis=1).max() + abs(right).sum(axis=1).max()
    if not bool(most < largest):
        raise ValueError(f"`X` or `Y` is so large that distances overflow {dtype}; rescale first.")
    out = xp.empty((batch * n, m), dtype)
    width = space.asarray(np.array([min(gamma, largest)], dtype))
    # On the CPU only the work counts; on a device, the tiles are the threads.
    threads = batch * -(-n // ROWS) * -(-m // COLUMNS) * 32
    work = out.size * d if space.kind == "cpu" else threads
    space.launch(kernel[dtype.name], work, left, right, width, out)
    return out.reshape(*leading, n, m)


def _spread(array: Any, shape: tuple[int, ...], xp: Any) -> Any:
    # A view that broadcasts is read-only, even where nothing was to be broadcast.
    return xp.ascontiguousarray(array if array.shape == shape else xp.broadcast_to(array, shape))


def _leading(X: Any, Y: Any) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(X.shape[:-2], Y.shape[:-2])
    except ValueError:
        raise ValueError(
            "The leading axes of `X` and `Y` must fit each other, got shapes "
            f"{tuple(X.shape)} and {tuple(Y.shape)}."
        ) from None


def _power(base: Any, degree: int) -> Any:
    # By squaring, since the general power costs an exponential and a logarithm an element.
    result = None
    while degree:
        if degree & 1:
            result = base.copy() if result is None else result * base
        degree >>= 1
        if degree:
            base = base * base
    return result
