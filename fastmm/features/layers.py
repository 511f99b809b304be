"""A dictionary of patches as a layer: its pooled responses, also as images of the next layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.base import clone

from fastmm._check import integer, number, one_of, sizes
from fastmm._space import Space
from fastmm.features.contrast import Contrast
from fastmm.features.encoding import Atoms, encode
from fastmm.features.geometry import PatchPlaces, patch_places
from fastmm.features.pooling import (
    Pools,
    Tiles,
    average_neighbours,
    check_pools,
    make_tiles,
    name_cells,
)
from fastmm.streams.lazy_rows import rows_in_turn

__all__ = ["SIGNS", "Responses", "check_below", "layout_of", "name_features", "pooled_responses"]

SIGNS = {"both": (" +", " -"), "positive": (" +",), "absolute": ("",)}  # and their names


class Responses:
    """Pooled responses of a layer as images (n, channels, ...), made when they are asked for."""

    dtype = np.dtype(np.float32)

    def __init__(self, layer: Any, space: Space, stack: Any) -> None:
        self._layer, self._space, self._stack = layer, space, stack
        (pool,) = _pools_of(layer)
        self._cells = tuple(p - layer.overlap + 1 for p in pool)
        # As many as there will be, of a layer that is not fitted yet.
        atoms = len(layer.atoms_) if hasattr(layer, "atoms_") else integer(layer.n_atoms, "n_atoms")
        channels = atoms * len(SIGNS[one_of(layer.sign, "sign", tuple(SIGNS))])
        self.shape = (len(stack), channels, *self._cells)

    def __len__(self) -> int:
        return int(self.shape[0])

    def held(self, images: int) -> int:
        """Return the bytes that making so many images at a time takes, but for them."""
        below = self._stack.shape[1:]
        reading = self._stack.held(images) if hasattr(self._stack, "held") else 0
        taken: int = reading + 8 * images * math.prod(below) + (12 << 20)
        return taken

    def __getitem__(self, rows: slice) -> Any:
        return self._made(self._stack[rows])

    def in_turn(self, parts: Iterable[slice], finite: Any = None) -> Iterator[tuple[slice, Any]]:
        """Yield each part and its responses; the layer below has looked at what it read."""
        for part, images in rows_in_turn(self._stack, parts):
            yield part, self._made(images)

    def _made(self, images: Any) -> Any:
        found = pooled_responses(self._layer, self._space, images)
        found = found.reshape(len(found), math.prod(self._cells), self.shape[1]).swapaxes(1, 2)
        return found.reshape(len(found), self.shape[1], *self._cells)


def check_below(below: Any, spatial: int, kind: type) -> Any:
    """Return a clone of the layer `below`, which must be of that kind and make images."""
    if not isinstance(below, kind):
        raise TypeError(f"`below` must be a {kind.__name__} or None, got {type(below).__name__}.")
    made: Any = below
    if len(sizes(made.patch_size, "below.patch_size")) != spatial or len(_pools_of(made)) != 1:
        raise ValueError(
            "`below` must have patches of as many axes and a single grid of pools, got "
            f"patch_size {made.patch_size} and pool {made.pool}."
        )
    return clone(made)


def pooled_responses(layer: Any, space: Space, stack: Any) -> Any:
    """Return the features of images (n, channels, ...) as (n, cells, signs, atoms)."""
    if layer.below_ is not None:
        stack = Responses(layer.below_, space, stack)
    patches, tiles = layout_of(layer, stack.shape)
    contrast = Contrast(float(layer.gain_), np.asarray(layer.floors_, np.float32))
    limit = number(layer.threshold, "threshold", minimum=0)
    filters, axes = layer.filters_.reshape(len(layer.atoms_), -1), None
    if layer.axes_ is not None and layer.atoms_.size + layer.axes_.size < 0.7 * filters.size:
        filters, axes = layer.atoms_, space.asarray(np.asarray(layer.axes_))
    atoms = Atoms(space.asarray(np.asarray(filters)), axes, contrast, limit)
    found = encode(space, stack, patches, tiles, atoms)
    if one_of(layer.sign, "sign", tuple(SIGNS)) == "positive":
        found = found[:, :, :1]
    elif layer.sign == "absolute":
        found = found.sum(2, keepdims=True)
    return average_neighbours(found, tiles.key[1], integer(layer.overlap, "overlap"))


def name_features(layer: Any) -> list[str]:
    """Return the name of each feature, such as "6x6[0,5] atom 17 +"."""
    cells, atoms = name_cells(_pools_of(layer), layer.overlap), range(len(layer.atoms_))
    signs = SIGNS[layer.sign]
    return [f"{cell} atom {k}{sign}" for cell in cells for sign in signs for k in atoms]


def layout_of(layer: Any, shape: tuple[int, ...]) -> tuple[PatchPlaces, Tiles]:
    """Check patches and pools against images of that shape; return where they lie."""
    patches = patch_places(tuple(shape), layer.patch_size, layer.step, layer.dilation)
    return patches, make_tiles(patches.counts, _pools_of(layer))


def _pools_of(layer: Any) -> Pools:
    pools = check_pools(layer.pool, len(layer.patch_size))
    overlap = integer(layer.overlap, "overlap")
    if overlap > 1 and (len(pools) > 1 or overlap > min(pools[0])):
        raise ValueError(
            "`overlap` must be 1 for several grids, and at most the number of cells along "
            f"each axis, got {overlap} for `pool` {pools}."
        )
    return pools
