"""The door of kernel functions for dask arrays, whose Gram matrix is made in tiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

from fastmm._device_memory import tells_of_memory

__all__ = ["tiled"]

F = TypeVar("F", bound=Callable[..., Any])


def tiled(function: F) -> F:
    """Let a kernel function ``k(X, Y=None, **options)`` take dask arrays.

    Parameters
    ----------
    function : callable
        Kernel function.

    Returns
    -------
    callable
        The same for arrays; a dask array for dask arrays.

    Examples
    --------
    >>> import numpy as np
    >>> @tiled
    ... def inner(X, Y=None):
    ...     return X @ (X if Y is None else Y).T
    >>> inner(np.eye(2))
    array([[1., 0.],
           [0., 1.]])
    """
    function = tells_of_memory(function)

    @wraps(function)
    def entry(X: Any, Y: Any = None, **options: Any) -> Any:
        if not (_is_dask(X) or _is_dask(Y)):
            return function(X, Y, **options)
        from fastmm.grams.dask_tiles import tiled_gram

        given = signature(function).bind(X, Y, **options)
        given.apply_defaults()  # a width that depends on all rows must not be each tile's own
        return tiled_gram(entry, X, Y, given.kwargs)

    return entry  # type: ignore[return-value]


def _is_dask(array: Any) -> bool:
    return type(array).__module__.startswith("dask.")
