"""Responses of patches to atoms, thresholded and pooled; neither patches nor responses stay."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.features.contrast import Contrast, as_floats, unfold_at
from fastmm.features.geometry import PatchPlaces
from fastmm.features.pooling import Tiles, tile_places

__all__ = ["Atoms", "encode"]

# Bytes of patches at a time: on the host what a shared cache holds, on a GPU what keeps it busy.
_BYTES = {"cpu": 1 << 22, "simulator": 1 << 16, "cuda": 1 << 27}


class Atoms(NamedTuple):
    """What patches are compared with: `axes` (r, pixels) first, if any, then `filters`."""

    filters: Any
    axes: Any
    contrast: Contrast
    threshold: float


def encode(space: Space, images: Any, patches: PatchPlaces, tiles: Tiles, atoms: Atoms) -> Any:
    """Return the mean thresholded responses, (n, cells, signs, atoms), of images (n, c, ...)."""
    from fastmm.kernels.responses import ATOMS, GROUP, respond

    xp = space.xp
    count, packed = len(atoms.filters), _packed(xp, atoms.filters, ATOMS)
    limit = space.asarray(np.array([atoms.threshold], np.float32))
    shape = tuple(images.shape[1:])
    offsets = space.asarray(patches.offsets(shape))
    out = xp.zeros((len(images), len(tiles.sizes), 2, count), np.float32)
    at_once = max(1, _BYTES[space.kind] // (4 * offsets.size))
    for first, last in _runs(tiles, at_once):
        places = tile_places(tiles.key, first, last, GROUP, tuple(patches.strides(shape)))
        starts, boxes = map(space.asarray, places)
        several = max(1, at_once // starts.size)
        for begin in range(0, len(images), several):
            part = as_floats(xp, images[begin : begin + several])
            rows = unfold_at(space, part, starts, offsets, atoms.contrast)
            if atoms.axes is not None:
                rows = rows @ atoms.axes.T
            sums = xp.empty((len(part), last - first, 2, packed.shape[0] * ATOMS), np.float32)
            lanes = ATOMS // 4 if space.kind != "cpu" else ATOMS
            work = len(part) * (last - first) * packed.shape[0] * lanes
            space.launch(respond, work, rows, packed, boxes, limit, sums)
            _pool(space, tiles, first, last, sums[..., :count], out[begin : begin + several])
    return out


def _packed(xp: Any, filters: Any, block: int) -> Any:
    """Return filters in blocks: all values of a block at one place, then those at the next."""
    count, size = filters.shape
    blocks = -(-count // block)
    padded = xp.zeros((blocks * block, size), np.float32)
    padded[:count] = filters
    return xp.ascontiguousarray(padded.reshape(blocks, block, size).transpose(0, 2, 1))


def _pool(space: Space, tiles: Tiles, first: int, last: int, sums: Any, out: Any) -> None:
    if tiles.plain:
        weight = space.asarray((1 / tiles.sizes[first:last]).astype(np.float32))
        space.xp.multiply(sums, weight[:, None, None], out=out[:, first:last])
        return
    weights = space.asarray(tiles.weights(first, last))
    shape = (len(sums), last - first, -1)
    out += (weights @ sums.reshape(shape)).reshape(out.shape)


def _runs(tiles: Tiles, most: int) -> list[tuple[int, int]]:
    """Cut the boxes into runs of about `most` patches."""
    after = np.cumsum(tiles.counts())
    runs, first = [], 0
    while first < len(after):
        done = int(after[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(after, done + most, side="right")))
        runs.append((first, last))
        first = last
    return runs
