"""Carry stacks of images through filters of other libraries, wherever they live."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, real
from fastmm._space import Space, enter_one, telling_of_memory

__all__ = ["each", "filtered", "library", "on_threads"]

Filter = Callable[[Space, Any], Any]


def filtered(images: Any, spatial: int, apply: Filter, constant: float | None) -> Any:
    """Filter the images that have something to filter; NaN and constants are dealt with."""
    space, images, leave = enter_one(images, "images")
    real(images, "images")
    shape = tuple(images.shape)
    if len(shape) < spatial or 0 in shape[-spatial:]:
        raise ValueError(
            f"`images` must have at least {spatial} axes, the last {spatial} of them not "
            f"empty, got shape {shape}."
        )
    xp, dtype = space.xp, dtype_of_result(images.dtype)
    stack = xp.ascontiguousarray(images, dtype=dtype).reshape((-1, *shape[-spatial:]))
    if 0 in shape:
        return leave(xp.empty(shape, dtype))
    with telling_of_memory(space):
        flat = stack.reshape((stack.shape[0], -1))
        low, high = flat.min(axis=1), flat.max(axis=1)  # NaN wins both
        good = space.to_host(xp.isfinite(low) & xp.isfinite(high))
        varied = good & (space.to_host(low) != space.to_host(high))
        if varied.all():
            out = apply(space, stack)
        else:
            out = stack.copy() if constant is None else xp.full_like(stack, constant)
            out[np.flatnonzero(~good)] = np.nan
            some = np.flatnonzero(varied)
            if some.size:
                out[some] = apply(space, stack[some])
    return leave(out.astype(dtype, copy=False).reshape(shape))


def on_threads(function: Callable[[Any], Any], space: Space, stack: Any) -> Any:
    """Filter a stack; on the CPU in parts, by a function that lets other threads run."""
    threads = min(_cores(), len(stack)) if space.kind == "cpu" and stack.size > 1 << 15 else 1
    if threads == 1:
        return function(stack)
    out = np.empty(stack.shape, stack.dtype)

    def part(i: int) -> None:
        out[i::threads] = function(stack[i::threads])

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(part, range(threads)):
            pass
    return out


def each(function: Callable[[Any], Any], space: Space, stack: Any) -> Any:
    """Filter one image after the other."""
    out = space.empty(stack.shape, stack.dtype)
    for image, target in zip(stack, out, strict=True):
        target[...] = function(image)
    return out


def library(space: Space, name: str) -> Any:
    """Import a module of scikit-image, or its twin in cuCIM on a GPU."""
    name = f"cucim.{name}" if space.kind == "cuda" else name
    try:
        return import_module(name)
    except ImportError:
        what = (
            ("cuCIM", 'fastmm[cuda13]" or "fastmm[cuda12]')
            if space.kind == "cuda"
            else ("scikit-image", "fastmm[app]")
        )
        raise ImportError(f'This filter needs {what[0]}: pip install "{what[1]}".') from None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
