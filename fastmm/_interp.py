"""Interpolation of batches of images on their pixel grid, by whichever kernel suits it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm._check import one_of
from fastmm._space import Space
from fastmm._taps import linear_tables, near_tables, nearest_table, taps

__all__ = [
    "Method",
    "Rescale",
    "canonical",
    "check_method",
    "linear_tables",
    "resize_flat",
    "resize_into",
    "resize_linear",
    "value_maps",
]

# Where one output has more taps than this on a GPU, axes are resized one after the other.
_MOST_FUSED = 64
_INTERPOLATIONS = ("nearest", "linear", "cubic", "area")

Shape = tuple[int, ...]


class Rescale(NamedTuple):
    """Per-image value map applied before interpolation: clip(v * slope + intercept)."""

    slope: Sequence[float] | NDArray[np.float64] | float = 1.0
    intercept: Sequence[float] | NDArray[np.float64] | float = 0.0
    low: float = -np.inf
    high: float = np.inf


class Method(NamedTuple):
    """How values between pixel centres are found."""

    interpolation: str = "linear"
    antialias: bool = False


_PLAIN = {name: Method(name) for name in _INTERPOLATIONS}


def check_method(interpolation: Any, antialias: Any) -> Method:
    """Check the arguments `interpolation` and `antialias`."""
    if antialias is False and type(interpolation) is str and interpolation in _PLAIN:
        return _PLAIN[interpolation]
    one_of(interpolation, "interpolation", _INTERPOLATIONS)
    if not isinstance(antialias, (bool, np.bool_)):
        raise TypeError(f"`antialias` must be True or False, got {antialias!r}.")
    if antialias and interpolation not in ("linear", "cubic"):
        raise ValueError(
            f'`antialias` must be False for `interpolation="{interpolation}"`, got True; '
            'it is for "linear" and "cubic".'
        )
    return Method(interpolation, bool(antialias))


def canonical(array: Any, spatial: int) -> Any:
    """Give an array the one rank kernels know, (batch, z, y, x), C-contiguous."""
    shape = array.shape
    split = len(shape) - spatial
    batch = math.prod(shape[:split])
    axes = (1,) * (3 - spatial) + tuple(shape[split:])
    array = array.reshape((batch, *axes))
    if not array.flags.c_contiguous:
        array = array.copy(order="C")
    return array


def resize_into(
    space: Space,
    src: Any,
    out: Any,
    rescale: Rescale | None = None,
    interpolation: str = "linear",
    antialias: bool = False,
) -> None:
    """Resize (batch, z, y, x) `src`, C-contiguous, into `out`, rescaled and clipped before.

    `out` is float32 or float64 and fixes the arithmetic; `src` has any real dtype but bool
    and float16. Where "nearest" without a rescale finds one dtype in both, whichever it is,
    values move as they are.
    """
    before, after = src.shape[1:], out.shape[1:]
    if interpolation == "linear" and _is_plain(space, before, after, antialias):
        resize_linear(space, src, out, rescale)
        return
    method = Method(interpolation, antialias and before != after)
    if interpolation == "nearest" and rescale is None and src.dtype == out.dtype:
        layout = _uniform(space, src.shape[0], before)
        tables = _nearest_tables(space, before, after)
        _pick(space, src.reshape(-1), out, layout, tables)
    elif space.kind != "cpu" and _most_taps(before, after, method) > _MOST_FUSED:
        _by_axes(space, src, out, rescale, method)
    else:
        layout = _uniform(space, src.shape[0], before)
        tables = _weigh_tables(space, before, after, method, np.dtype(out.dtype).char)
        _weigh(space, src.reshape(-1), out, layout, tables, rescale)


def resize_flat(
    space: Space, flat: Any, places: NDArray[np.int64], out: Any, method: Method
) -> None:
    """Resize images of any sizes, all in the memory of `flat`, into (n, z, y, x) `out`.

    `places` (n, 4) are the first element of each and its size along z, y and x.
    """
    after, char = tuple(out.shape[1:]), np.dtype(out.dtype).char
    images = np.concatenate([places, np.empty((len(places), 3), np.int64)], axis=1)
    joined: list[Any] = []
    for axis, size in enumerate(after, start=1):
        known, which = np.unique(places[:, axis], return_inverse=True)
        images[:, 3 + axis] = which * size
        if method.interpolation == "nearest":
            joined.append(np.concatenate([nearest_table(int(m), size) for m in known]))
        else:
            found = [taps(int(m), size, *method, char) for m in known]
            most = max(weights.shape[1] for _, weights in found)
            joined.append(np.concatenate([spans for spans, _ in found]))
            joined.append(np.concatenate([_padded(weights, most) for _, weights in found]))
    tables = tuple(map(space.asarray, joined))
    if method.interpolation == "nearest":
        _pick(space, flat, out, space.asarray(images), tables)
    else:
        _weigh(space, flat, out, space.asarray(images), tables, None)


def resize_linear(space: Space, src: Any, out: Any, rescale: Rescale | None = None) -> None:
    """Resize (batch, z, y, x) `src` into `out`, pixel centres aligned as OpenCV does.

    `src` has any real dtype; `out` is float32 or float64 and fixes the arithmetic.
    """
    count, dtype = src.shape[0], out.dtype
    kernel, work, near, weights = _linear_plan(space, src.shape[1:], out.shape[1:], dtype.char)
    maps = _value_maps(space, rescale, count, dtype)
    space.launch(kernel, count * work, src, out, maps, near, weights)


def _is_plain(space: Space, before: Shape, after: Shape, antialias: bool) -> bool:
    """Say whether the kernel of two inputs for an output along each axis is the one to take."""
    if antialias and any(m > n for m, n in zip(before, after, strict=True)):
        return False
    # On the CPU a row that grows is cheaper resized along x first, once for all that need it.
    return space.kind != "cpu" or after[1] <= before[1]


def _most_taps(before: Shape, after: Shape, method: Method) -> int:
    counts = [taps(m, n, *method, "f").weights.shape[1] for m, n in zip(before, after, strict=True)]
    return int(np.prod(counts))


def _by_axes(space: Space, src: Any, out: Any, rescale: Rescale | None, method: Method) -> None:
    """Resize axis by axis, those first that shrink most, so that little lies between."""
    before, after = tuple(src.shape[1:]), tuple(out.shape[1:])
    changing = [axis for axis in range(3) if before[axis] != after[axis]]
    changing.sort(key=lambda axis: after[axis] / before[axis])
    shape = list(before)
    for axis in changing:
        shape[axis] = after[axis]
        last = axis == changing[-1]
        target = out if last else space.xp.empty((src.shape[0], *shape), out.dtype)
        layout = _uniform(space, src.shape[0], tuple(src.shape[1:]))
        sizes = tuple(src.shape[1:]), tuple(shape)
        tables = _weigh_tables(space, *sizes, method, np.dtype(out.dtype).char)
        _weigh(space, src.reshape(-1), target, layout, tables, rescale)
        src, rescale = target, None


def _pick(space: Space, flat: Any, out: Any, images: Any, tables: tuple[Any, ...]) -> None:
    from fastmm.kernels.picking import pick

    # As bits, so that few builds serve all dtypes; a NaN keeps its payload.
    bits = f"u{np.dtype(out.dtype).itemsize}"
    space.launch(pick, out.size, flat.view(bits), out.view(bits), images, *tables)


def _weigh(
    space: Space,
    flat: Any,
    out: Any,
    images: Any,
    tables: tuple[Any, ...],
    rescale: Rescale | None,
) -> None:
    from fastmm.kernels.weighing import weigh

    maps = _value_maps(space, rescale, out.shape[0], out.dtype)
    most = [weights.shape[1] for weights in tables[1::2]]
    work = _work(space, out.shape[1:], out.shape[3], most[0] * most[1], most[2])
    space.launch(weigh, out.shape[0] * work, flat, out, images, maps, *tables)


def _work(space: Space, after: Shape, width: int, rows: int, columns: int) -> int:
    """Say how many elements of an image a launch has: on the CPU, those it weighs.

    An output is weighed from `columns` elements, each from `rows` rows of `width`.
    """
    size = math.prod(after)
    if space.kind != "cpu":
        return size
    # Several threads pay for one image where what is read, not the result, is large. Whole
    # rows are weighed in vectors; half of one of the steps along x is more than it takes.
    return size * columns + size // after[2] * width * rows // 2


def value_maps(rescale: Rescale, count: int, dtype: Any) -> NDArray[Any]:
    """Return the slope, intercept, lowest and highest value of each image, (count, 4)."""
    maps = np.empty((count, 4), dtype)
    for column, values in enumerate(rescale):
        maps[:, column] = values
    return maps


def _value_maps(space: Space, rescale: Rescale | None, count: int, dtype: np.dtype[Any]) -> Any:
    if rescale is None:
        return _no_rescale(space, count, dtype.char)
    return space.asarray(value_maps(rescale, count, dtype))


@lru_cache(maxsize=32)
def _no_rescale(space: Space, count: int, dtype: str) -> Any:
    return _value_maps(space, Rescale(), count, np.dtype(dtype))


@lru_cache(maxsize=32)
def _uniform(space: Space, count: int, size: Shape) -> Any:
    table = np.zeros((count, 7), np.int64)
    table[:, 0] = np.arange(count, dtype=np.int64) * int(np.prod(size, dtype=np.int64))
    table[:, 1:4] = size
    return space.asarray(table)


@lru_cache(maxsize=256)
def _linear_plan(space: Space, before: Shape, after: Shape, dtype: str) -> tuple[Any, ...]:
    """Return what launches have in common: the kernel, the work of an image, and the tables.

    These are the two inputs of each output along z, y and x, and the share of the second.
    """
    from fastmm.kernels.resizing import linear

    near, weights = near_tables(before, after, dtype)
    work = _work(space, after, before[2], 1, 1)
    return linear, work, space.asarray(near), space.asarray(weights)


@lru_cache(maxsize=256)
def _nearest_tables(space: Space, before: Shape, after: Shape) -> tuple[Any, ...]:
    sizes = zip(before, after, strict=True)
    return tuple(space.asarray(nearest_table(m, n)) for m, n in sizes)


@lru_cache(maxsize=256)
def _weigh_tables(
    space: Space, before: Shape, after: Shape, method: Method, dtype: str
) -> tuple[Any, ...]:
    sizes = zip(before, after, strict=True)
    return tuple(space.asarray(t) for m, n in sizes for t in taps(m, n, *method, dtype))


def _padded(weights: NDArray[Any], most: int) -> NDArray[Any]:
    return np.pad(weights, ((0, 0), (0, most - weights.shape[1])))
