"""The door of operators for images that are not in memory, or must not be there as a whole.

An operator works on arrays. `streamed` and `streamed_transform` let the same call take
sources that are read when they are asked for, a `memory_limit` and an `out`, and dask
arrays: none of it touches the operator's own code, nor the time of a plain call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

import numpy as np

from fastmm._device_memory import out_of_memory, tells_of_memory
from fastmm.streams.costs import Cost
from fastmm.streams.limits import refuse_for_dask

__all__ = ["Cost", "streamed", "streamed_transform"]

F = TypeVar("F", bound=Callable[..., Any])

# Types of images that are known to be no source of their own; others are looked at once.
_PLAIN: set[type] = {np.ndarray, np.memmap, np.ma.MaskedArray, list, tuple}
_OURS = ("memory_limit", "out")


def streamed(spatial: str | int, cost: Cost | None = None, *, times: int = 1) -> Callable[[F], F]:
    """Let a function of images read them, and write its result, in chunks.

    Parameters
    ----------
    spatial : str or int
        How many trailing axes make an image; or the name of the argument that says so, by
        its value or by its length.
    cost : Cost, optional
        What the function needs on the way.
    times : int, default 1
        Axes of an image for each that `spatial` says: 2 where it is a grid of patches.

    Returns
    -------
    callable
        The decorator. The function's own `memory_limit` and `out` are never set.

    Examples
    --------
    >>> @streamed(0)
    ... def double(images, *, memory_limit=None, out=None):
    ...     return 2 * images
    >>> double(np.arange(3), memory_limit="1MB")
    array([0, 2, 4])
    """
    cost = cost or Cost()

    def decorate(function: F) -> F:
        parameters, plain = signature(function), function
        function = tells_of_memory(function)

        @wraps(function)
        def entry(
            images: Any, *args: Any, memory_limit: Any = None, out: Any = None, **options: Any
        ) -> Any:
            if memory_limit is None and out is None and type(images) in _PLAIN:
                try:
                    return plain(images, *args, **options)
                except MemoryError as error:
                    raise out_of_memory(error) from None
            given = parameters.bind(images, *args, **options)
            given.apply_defaults()
            named = {n: v for n, v in given.arguments.items() if n not in _OURS}
            images = named.pop(next(iter(parameters.parameters)))
            if type(images).__module__.startswith("dask."):
                refuse_for_dask(memory_limit, out)
                from fastmm.streams.dask_images import map_images

                return map_images(entry, images, times * _spatial(spatial, named), named)
            if memory_limit is None and out is None and _is_plain(images):
                return function(images, **named)
            from fastmm.streams.mapping import map_in_chunks

            return map_in_chunks(
                function, images, named, spatial=times * _spatial(spatial, named), cost=cost,
                memory_limit=memory_limit, out=out,
            )  # fmt: skip

        return entry  # type: ignore[return-value]

    return decorate


def streamed_transform(method: F) -> F:
    """Let ``transform(self, images)`` do as `streamed` functions, at ``self._cost``."""
    name, method = method.__name__, tells_of_memory(method)

    @wraps(method)
    def entry(self: Any, images: Any, *, memory_limit: Any = None, out: Any = None) -> Any:
        if memory_limit is None and out is None and type(images) in _PLAIN:
            return method(self, images)
        if type(images).__module__.startswith("dask."):
            refuse_for_dask(memory_limit, out)
            from fastmm.streams.dask_images import map_images

            return map_images(getattr(self, name), images, images.ndim - 1, {})
        if memory_limit is None and out is None and _is_plain(images):
            return method(self, images)
        from fastmm.streams.mapping import map_in_chunks

        return map_in_chunks(
            method.__get__(self), images, {}, spatial=None, cost=self._cost,
            memory_limit=memory_limit, out=out,
        )  # fmt: skip

    return entry  # type: ignore[return-value]


def _spatial(spatial: str | int, named: dict[str, Any]) -> int:
    value: Any = spatial if isinstance(spatial, int) else named[spatial]
    if hasattr(value, "__len__"):
        return len(value)
    # What is no number is the operator's own to refuse, in its own words.
    return value if type(value) is int else 1


def _is_plain(images: Any) -> bool:
    from fastmm.streams.sources import is_source

    if is_source(images):
        return False
    _PLAIN.add(type(images))
    return True
