"""What each position of an image adds to a machine with a patch kernel."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fastmm._interp import canonical

__all__ = ["kernel_by_position"]

_VALUES = 1 << 23  # of training images compared at once


def kernel_by_position(
    rows: Any, known: Any, dual: Any, options: Any, gamma: float | None, xp: Any
) -> Any:
    """Return what each position adds, (n, z, y, x, targets); linear where `gamma` is None.

    `rows` and `known` are rows of pixels, `dual` of shape (known, targets).
    """
    pairs, shape = options.pairs, options.image_shape
    images, train = (
        canonical(own.reshape(-1, *shape).astype(np.float64), len(shape)) for own in (rows, known)
    )
    dual = dual.astype(np.float64)
    out = xp.zeros((len(images), *pairs.counts, dual.shape[1]))
    step = max(1, _VALUES // prod(train.shape[1:]))
    for number, image in enumerate(images):
        for start in range(0, len(train), step):
            some, weights = train[start : start + step], dual[start : start + step]
            for move in pairs.moves():
                kernel, own = _compared(image, some, move, pairs, gamma, xp)
                added = xp.tensordot(kernel, weights, axes=(0, 0))
                out[(number, *own)] += pairs.weight(move) * added
    return out / pairs.total()


def _compared(
    image: Any, train: Any, move: tuple[int, ...], pairs: Any, gamma: float | None, xp: Any
) -> tuple[Any, tuple[slice, ...]]:
    """Return the kernels (train, z, y, x) of patches so many steps apart, and their positions."""
    here, there, own = [], [], []
    for d, size, step, count in zip(move, pairs.size, pairs.steps, pairs.counts, strict=True):
        first, other, left = max(0, -d), max(0, d), count - abs(d)
        length = (left - 1) * step + size
        here.append(slice(first * step, first * step + length))
        there.append(slice(other * step, other * step + length))
        own.append(slice(first, first + left))
    mine, others = image[tuple(here)], train[(slice(None), *there)]
    boxes = mine * others if gamma is None else (mine - others) ** 2
    for axis, (size, step) in enumerate(zip(pairs.size, pairs.steps, strict=True)):
        boxes = _box_sums(boxes, axis + 1, size, step, xp)
    return (boxes if gamma is None else xp.exp(-gamma * boxes)), tuple(own)


def _box_sums(values: Any, axis: int, size: int, step: int, xp: Any) -> Any:
    """Sum over windows along an axis, one every `step`."""
    values = xp.moveaxis(values, axis, -1)
    sums = xp.zeros((*values.shape[:-1], values.shape[-1] + 1))
    xp.cumsum(values, axis=-1, out=sums[..., 1:])
    found = sums[..., size:] - sums[..., :-size]
    return xp.moveaxis(found[..., ::step], -1, axis)
