"""A layer of patches on top of another: its images are the pooled responses below."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.base import clone

from fastmm._check import sizes
from fastmm._space import Space

__all__ = ["Responses", "fit_below"]


class Responses:
    """Pooled responses of a layer as images (n, channels, ...), made when they are asked for."""

    dtype = np.dtype(np.float32)

    def __init__(self, layer: Any, space: Space, stack: Any) -> None:
        self._layer, self._space, self._stack = layer, space, stack
        (pool,) = layer._pools()
        self._cells = tuple(p - layer.overlap + 1 for p in pool)
        channels = len(layer.atoms_) * (2 if layer.sign == "both" else 1)
        self.shape = (len(stack), channels, *self._cells)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice) -> Any:
        found = self._layer._encode(self._space, self._stack[rows])
        found = found.reshape(len(found), math.prod(self._cells), self.shape[1]).swapaxes(1, 2)
        return found.reshape(len(found), self.shape[1], *self._cells)


def fit_below(below: Any, images: Any, spatial: int, kind: type) -> Any:
    """Fit a clone of the layer `below`, which must be of that kind and make images."""
    if not isinstance(below, kind):
        raise TypeError(f"`below` must be a {kind.__name__} or None, got {type(below).__name__}.")
    made: Any = below
    if len(sizes(made.patch_size, "below.patch_size")) != spatial or len(made._pools()) != 1:
        raise ValueError(
            "`below` must have patches of as many axes and a single grid of pools, got "
            f"patch_size {made.patch_size} and pool {made.pool}."
        )
    return clone(made).fit(images)
