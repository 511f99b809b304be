"""The door of kernel functions for rows that are not in memory, or must not be there as a whole.

A kernel function works on arrays. `tiled` lets the same call take sources that are read when
they are asked for, a `memory_limit` and an `out`, and dask arrays: none of it touches the
function's own code, nor the time of a plain call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

import numpy as np

from fastmm._device_memory import tells_of_memory
from fastmm.grams.in_tiles import Tiling, gram_in_tiles
from fastmm.streams.limits import refuse_for_dask
from fastmm.streams.sources import is_source

__all__ = ["Tiling", "tiled"]

F = TypeVar("F", bound=Callable[..., Any])

_PLAIN = (np.ndarray, np.memmap, list, tuple, type(None))


def tiled(tiling: Tiling) -> Callable[[F], F]:
    """Let a kernel function ``k(X, Y=None, **options)`` make its result in tiles.

    Parameters
    ----------
    tiling : Tiling
        How it is applied to tiles.

    Returns
    -------
    callable
        The decorator. The function's own `memory_limit` and `out` are never set; rows, not
        images, may be dask arrays, of which the result is one.

    Examples
    --------
    >>> from fastmm.grams.matrices import check_rows
    >>> from fastmm.grams.tile_work import linear_work
    >>> @tiled(Tiling(linear_work, check_rows))
    ... def inner(X, Y=None, *, memory_limit=None, out=None):
    ...     return X @ (X if Y is None else Y).T
    >>> inner(np.eye(2), memory_limit="1MB")
    array([[1., 0.],
           [0., 1.]])
    """

    def decorate(function: F) -> F:
        parameters, function = signature(function), tells_of_memory(function)

        @wraps(function)
        def entry(
            X: Any, Y: Any = None, *, memory_limit: Any = None, out: Any = None, **options: Any
        ) -> Any:
            here = memory_limit is None and out is None
            if here and type(X) in _PLAIN and type(Y) in _PLAIN:
                return function(X, Y, **options)
            dask = not tiling.images and (_is_dask(X) or _is_dask(Y))
            if here and not dask and _plain(X) and _plain(Y):
                return function(X, Y, **options)
            given = parameters.bind(X, Y, **options)
            given.apply_defaults()  # a width that depends on all rows must not be each tile's own
            named = {k: v for k, v in given.kwargs.items() if k not in ("memory_limit", "out")}
            if not dask:
                return gram_in_tiles(
                    function, X, Y, named, tiling, memory_limit=memory_limit, out=out
                )
            refuse_for_dask(memory_limit, out)
            from fastmm.grams.dask_tiles import tiled_gram

            return tiled_gram(entry, X, Y, named)

        return entry  # type: ignore[return-value]

    return decorate


def _is_dask(array: Any) -> bool:
    return type(array).__module__.startswith("dask.")


def _plain(array: Any) -> bool:
    """Say whether an array is no source of its own."""
    if type(array) in _PLAIN:
        return True
    if isinstance(array, Mapping):
        return all(map(_plain, array.values()))
    return not is_source(array)
