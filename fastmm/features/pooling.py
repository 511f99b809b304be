"""Cells over which the responses of patches are averaged, cut into tiles of few patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm._check import integer, sizes

__all__ = [
    "Pools",
    "Tiles",
    "average_neighbours",
    "check_pools",
    "make_tiles",
    "name_cells",
    "tile_places",
]

Pools = tuple[tuple[int, ...], ...]
_MOST = 256  # patches of a tile; as rows of 6 x 6 pixels they fit into a core's cache


def check_pools(pool: Any, spatial: int) -> Pools:
    """Return `pool` as grids of cells, each with a number of cells for every spatial axis."""
    if isinstance(pool, str):
        raise TypeError(f"`pool` must be a positive integer, a grid or several, got {pool!r}.")
    several = isinstance(pool, Sequence) and any(isinstance(grid, Sequence) for grid in pool)
    grids = list(pool) if several else [pool]
    if not grids:
        raise ValueError("`pool` must hold at least one grid, got none.")
    return tuple(
        sizes(grid, f"pool[{i}]" if several else "pool", lengths=(spatial,))
        if isinstance(grid, Sequence)
        else (integer(grid, f"pool[{i}]" if several else "pool"),) * spatial
        for i, grid in enumerate(grids)
    )


def name_cells(pools: Pools, overlap: int) -> list[str]:
    """Return a name for every cell, such as "6x6[0,5]"."""
    return [
        "x".join(map(str, pool)) + "[" + ",".join(map(str, cell)) + "]"
        for pool in pools
        for cell in np.ndindex(*(p - overlap + 1 for p in pool))
    ]


class Tiles(NamedTuple):
    """Boxes of patches, each within one cell of every grid.

    `edges` hold, for each axis, where boxes begin, and the end; boxes are in C order. Box b
    lies in cell `cells[g, b]` of grid g, counted through all grids; `sizes` say how many
    patches a cell has.
    """

    key: tuple[tuple[int, ...], Pools]  # what `make_tiles` made them of
    edges: tuple[NDArray[np.int64], ...]
    cells: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def plain(self) -> bool:
        """Say whether every box is a cell, in order."""
        return len(self.cells) == 1 and self.cells.shape[1] == len(self.sizes)

    def weights(self, first: int, last: int) -> NDArray[np.float32]:
        """Return the matrix that turns sums over boxes into parts of means over cells."""
        made = np.zeros((len(self.sizes), last - first), np.float32)
        for cells in self.cells[:, first:last]:
            made[cells, np.arange(last - first)] = 1 / self.sizes[cells]
        return made

    def counts(self) -> NDArray[np.int64]:
        """Return how many patches each box has."""
        lengths = [np.diff(edges) for edges in self.edges]
        return _products(lengths)

    def places(
        self, first: int, last: int, group: int, strides: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the patches of boxes begin, box after box, and where boxes do.

        Boxes are filled up to whole groups by places of -1; each has its first place and
        its number of groups. A step along an axis is `strides` elements.
        """
        shape = [len(edges) - 1 for edges in self.edges]
        counts = self.counts()[first:last]
        groups = -(-counts // group)
        begins = np.concatenate([[0], np.cumsum(groups * group)])
        starts = np.full(int(begins[-1]), -1, np.int64)
        boxes = np.unravel_index(np.arange(first, last), shape)
        for begin, count, *box in zip(begins, counts, *boxes, strict=False):
            axes = [
                np.arange(edges[b], edges[b + 1]) * stride
                for edges, b, stride in zip(self.edges, box, strides, strict=True)
            ]
            starts[begin : begin + count] = sum(np.ix_(*axes)).reshape(-1)  # type: ignore[union-attr]
        return starts, np.stack([begins[:-1], groups], axis=1)


@lru_cache(maxsize=16)
def make_tiles(counts: tuple[int, ...], pools: Pools) -> Tiles:
    """Cut patches, `counts` along the axes, at the borders of all cells, and into small boxes."""
    for pool in pools:
        if any(cells > count for cells, count in zip(pool, counts, strict=True)):
            raise ValueError(
                f"`pool` must have no more cells than there are patches, got {pool} for "
                f"{counts} patches."
            )
    bounds = [
        [np.arange(pool[a] + 1) * count // pool[a] for pool in pools]
        for a, count in enumerate(counts)
    ]
    edges = _cut_small([np.unique(np.concatenate(of_axis)) for of_axis in bounds])
    cells, amounts, before = [], [], 0
    for p, pool in enumerate(pools):
        inside = [
            np.searchsorted(of_axis[p], e[:-1], side="right") - 1
            for of_axis, e in zip(bounds, edges, strict=True)
        ]
        number = np.ravel_multi_index(np.ix_(*inside), pool).reshape(-1)
        cells.append(before + number)
        lengths = [np.diff(of_axis[p]) for of_axis in bounds]
        amounts.append(_products(lengths))
        before += math.prod(pool)
    return Tiles((counts, pools), tuple(edges), np.stack(cells), np.concatenate(amounts))


@lru_cache(maxsize=32)
def tile_places(
    key: tuple[tuple[int, ...], Pools], first: int, last: int, group: int, strides: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `Tiles.places` of the tiles with that key, made once."""
    return make_tiles(*key).places(first, last, group, strides)


def average_neighbours(found: Any, pools: Pools, overlap: int) -> Any:
    """Average means (n, cells, ...) over `overlap` neighbouring cells along each axis."""
    if overlap == 1:
        return found
    (pool,) = pools
    rest = found.shape[2:]
    found = found.reshape(len(found), *pool, *rest)
    for axis, cells in enumerate(pool, start=1):
        kept = cells - overlap + 1
        every: list[Any] = [slice(None)] * found.ndim
        total = 0
        for first in range(overlap):
            every[axis] = slice(first, first + kept)
            total = total + found[tuple(every)]
        found = total / np.float32(overlap)
    return found.reshape(len(found), math.prod(found.shape[1 : 1 + len(pool)]), *rest)


def _cut_small(edges: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Halve the longest boxes along their longest axis until none has too many patches."""
    while True:
        longest = [int(np.diff(e).max()) for e in edges]
        if math.prod(longest) <= _MOST:
            return edges
        axis = longest.index(max(longest))
        most = -(-longest[axis] // 2)
        made = [edges[axis][:1]]
        for begin, end in pairwise(edges[axis]):
            parts = -(-(end - begin) // most)
            made.append(begin + np.arange(1, parts + 1) * (end - begin) // parts)
        edges[axis] = np.concatenate(made)


def _products(axes: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the products of one value of each axis, in C order."""
    found = np.ones(1, np.int64)
    for values in axes:
        found = np.multiply.outer(found, values).reshape(-1)
    return found
