"""How a pixel Gram matrix is cut so that little of it is computed in vain.

Positions of patches are a disjoint union of tiles. All images and tiles of one size add to
the same pixel Gram matrix, of a tile and not of an image; along the first `slid` axes only
pixels that share a patch are paired, and along the others all pixels of the tile, by one
matrix product. Tiles of one position are patches, so that plain normal equations are among
the plans.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from fastmm.image.grid import PatchGrid

__all__ = ["MOST_BYTES", "Plan", "Tiles", "plan_tiles"]

MOST_BYTES = 1 << 28  # of pixels in order, and of a thread's share of their Gram matrix
_WIDE = 512  # columns with which a matrix product is near its best
# Seconds on one core: a multiplication, an element of box sums, an element brought in order.
_MULTIPLY, _ADD, _MOVE = 5e-11, 5e-9, 4e-9


class Tiles(NamedTuple):
    """Tiles of one size: positions in each and first pixels and number of tiles, by axis."""

    positions: tuple[int, ...]
    starts: tuple[int, ...]
    numbers: tuple[int, ...]

    def lengths(self, grid: PatchGrid) -> tuple[int, ...]:
        """Return the pixels of a tile along each axis."""
        axes = zip(self.positions, grid.steps, grid.size, strict=True)
        return tuple((t - 1) * s + p for t, s, p in axes)

    def at_once(self, grid: PatchGrid, modalities: int, most: int = MOST_BYTES) -> int:
        """Return how many of them are brought in order at a time, within `most` bytes."""
        return max(1, most // (8 * modalities * math.prod(self.lengths(grid))))


class Plan(NamedTuple):
    """How many axes are slid along, the positions of a tile along each axis, and bytes for it."""

    slid: int
    positions: tuple[int, ...]
    most: int = MOST_BYTES

    def tiles(self, grid: PatchGrid) -> Iterator[Tiles]:
        """Yield tiles that hold each position once: whole ones, and what is left over."""
        axes = []
        for t, count, step in zip(self.positions, grid.counts, grid.steps, strict=True):
            whole, left = divmod(count, t)
            axis = [(t, 0, whole)] if whole else []
            axes.append([*axis, (left, whole * t * step, 1)] if left else axis)
        for parts in product(*axes):
            yield Tiles(*zip(*parts, strict=True))

    def together(self, grid: PatchGrid, tiles: Tiles, modalities: int) -> int:
        """Return how many displacements along the last slid axis share a matrix product."""
        lengths = tiles.lengths(grid)
        block = modalities * math.prod(lengths[self.slid :])
        room = self.most // (8 * block * block * math.prod(lengths[: self.slid]))
        return max(1, min(-(-_WIDE // block), room, grid.size[self.slid - 1]))


@lru_cache(maxsize=256)
def plan_tiles(grid: PatchGrid, modalities: int, images: int, most: int = MOST_BYTES) -> Plan:
    """Choose the plan of least estimated time for so many images at once.

    Parameters
    ----------
    grid : PatchGrid
        The patches of an image.
    modalities, images : int
        Their numbers.
    most : int
        Bytes of pixels in order, and of a thread's share of their Gram matrix.

    Returns
    -------
    Plan
        The plan.

    Examples
    --------
    >>> from fastmm.image.grid import patch_grid
    >>> plan_tiles(patch_grid((128, 128), (64, 64), 1, 0, "images"), 2, 1000)
    Plan(slid=1, positions=(65, 65), most=268435456)
    """
    choices = []
    for p, s, g in zip(grid.size, grid.steps, grid.counts, strict=True):
        patch = -(-p // s)
        few = {1, -(-patch // 2), patch, 2 * patch, 4 * patch, g}
        choices.append(sorted({min(t, g) for t in few}))
    plans = [
        Plan(slid, positions, most)
        for slid in range(len(grid.size))
        for positions in product(*choices)
    ]
    return min(plans, key=lambda plan: _seconds(plan, grid, modalities, images))


def _seconds(plan: Plan, grid: PatchGrid, modalities: int, images: int) -> float:
    return sum(_tile_seconds(plan, t, grid, modalities, images) for t in plan.tiles(grid))


def _tile_seconds(plan: Plan, tiles: Tiles, grid: PatchGrid, modalities: int, images: int) -> float:
    lengths = tiles.lengths(grid)
    block = modalities * math.prod(lengths[plan.slid :])
    depth = images * math.prod(tiles.numbers)
    slid = list(zip(lengths, grid.size, strict=True))[: plan.slid]
    # Pairs of pixels along the slid axes that share a patch; each pair stands for both orders.
    pairs: Any = math.prod(n * (2 * p - 1) - p * (p - 1) for n, p in slid) / 2
    if 8 * block * block * math.prod(lengths[: plan.slid]) > 2 * plan.most:
        return math.inf
    deep = min(depth, tiles.at_once(grid, modalities, plan.most))
    least = (1 + 24 / block) * (1 + 64 / deep)
    times = 1 if plan.slid == 0 else -(-depth // deep)
    elements = depth * modalities * math.prod(lengths)
    return float(
        pairs * block * block * (depth * _MULTIPLY * least + times * _ADD) + elements * _MOVE
    )
