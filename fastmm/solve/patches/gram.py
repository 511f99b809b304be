r"""Sums of products of all pairs of patch pixels, from the Gram matrix of image pixels.

.. math:: G_{ij} = \sum_{\mathrm{pos}} C_{\mathrm{pos}+i,\,\mathrm{pos}+j}, \quad
    C_{uv} = \sum_n x_n(u)\, x_n(v)

C is made block after block by matrix products, and G from it by box sums along diagonals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

from fastmm._space import Space
from fastmm.image.grid import PatchGrid
from fastmm.solve.patches.boxes import slide, slide_diagonal
from fastmm.solve.patches.tiling import MOST_BYTES, Plan, Tiles, plan_tiles
from fastmm.solve.threads import at_once, scipy_threads_only

__all__ = ["add_patch_gram"]


def add_patch_gram(
    gram: Any, images: Any, grid: PatchGrid, space: Space, most: int = MOST_BYTES
) -> None:
    r"""Add the products of the pixels of all patches of some images.

    Parameters
    ----------
    gram : array of shape (m, \*patch_size, m, \*patch_size), float64
        Sums, to be added to.
    images : array of shape (n, m, \*spatial), float64, C-contiguous
        Images of m modalities, times the root of their weights, where `gram` lives.
    grid : PatchGrid
        Their patches.
    space : Space
        Where the arrays live.
    most : int, default 256 MB
        Bytes of pixels in order, and of a thread's share of their Gram matrix.

    Notes
    -----
    For images of width w and patches of p x p pixels, about n h p (m w)^2 multiplications
    and (m w)^2 h p additions, where the patches would take n g^2 (m p^2)^2 / 2 for g^2
    positions; or fewer, in tiles. Checked against explicit patches to 1e-12.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm.image.grid import patch_grid
    >>> grid = patch_grid((1, 3), (2,), 1, 0, "images")
    >>> gram = np.zeros((1, 2, 1, 2))
    >>> add_patch_gram(gram, np.array([[[1.0, 2.0, 3.0]]]), grid, Space("cpu"))
    >>> gram[0, :, 0]  # of the patches (1, 2) and (2, 3)
    array([[ 5.,  8.],
           [ 8., 13.]])
    """
    n, m = images.shape[:2]
    plan = plan_tiles(grid, m, n, most)
    for tiles in plan.tiles(grid):
        views = _tile_views(images, grid, tiles, space.xp, plan.most)
        batches = (_brought(view, grid, plan, space.xp) for view in views)
        if plan.slid == 0:
            products = sum(pixels @ pixels.T for pixels in batches)
            gram += _boxed(products, grid, tiles, m, space.xp)
            continue
        with scipy_threads_only(space):
            for pixels in batches:
                _Sliding(gram, pixels, grid, plan, tiles, space.xp).add()


def _tile_views(images: Any, grid: PatchGrid, tiles: Tiles, xp: Any, most: int) -> Iterator[Any]:
    r"""Yield views (images, m, \*tiles, \*lengths), whose copies take at most `most` bytes."""
    lengths, m = tiles.lengths(grid), images.shape[1]
    first = images[(slice(None), slice(None), *(slice(s, None) for s in tiles.starts))]
    jumps = [t * s for t, s in zip(tiles.positions, grid.steps, strict=True)]
    spatial = first.strides[2:]
    strides = [s * j for s, j in zip(spatial, jumps, strict=True)]
    view = xp.lib.stride_tricks.as_strided(
        first,
        (*first.shape[:2], *tiles.numbers, *lengths),
        (*first.strides[:2], *strides, *spatial),
    )
    room = tiles.at_once(grid, m, most)
    axes, counts = (0, *range(2, 2 + len(lengths))), (len(images), *tiles.numbers)
    within = [math.prod(counts[k + 1 :]) for k in range(len(counts))]
    cut = next(k for k, size in enumerate(within) if size <= room)
    step = room // within[cut]
    for outer in product(*map(range, counts[:cut])):
        for begin in range(0, counts[cut], step):
            at = [slice(None)] * view.ndim
            for axis, i in zip(axes, outer, strict=False):
                at[axis] = slice(i, i + 1)
            at[axes[cut]] = slice(begin, begin + step)
            yield view[tuple(at)]


def _brought(view: Any, grid: PatchGrid, plan: Plan, xp: Any) -> Any:
    r"""Return (\*slid, m * others, images * tiles): a row for each pixel of a tile."""
    rank = len(grid.size)
    inner = list(range(2 + rank, 2 + 2 * rank))
    order = [*inner[: plan.slid], 1, *inner[plan.slid :], 0, *range(2, 2 + rank)]
    lengths = view.shape[2 + rank :]
    depth = view.shape[0] * math.prod(view.shape[2 : 2 + rank])
    pixels = xp.ascontiguousarray(view.transpose(order))
    return pixels.reshape((*lengths[: plan.slid], -1, depth))


def _boxed(products: Any, grid: PatchGrid, tiles: Tiles, m: int, xp: Any) -> Any:
    lengths, rank = tiles.lengths(grid), len(grid.size)
    products = products.reshape((m, *lengths, m, *lengths))
    for k in range(rank):
        axes, size = (1 + k, 2 + rank + k), grid.size[k]
        products = slide_diagonal(products, axes, size, tiles.positions[k], grid.steps[k], xp)
    return products


class _Sliding:
    """Pixel Gram matrices of displaced rows of tiles, summed along the rows."""

    def __init__(
        self, gram: Any, pixels: Any, grid: PatchGrid, plan: Plan, tiles: Tiles, xp: Any
    ) -> None:
        self.gram, self.pixels, self.grid, self.xp = gram, pixels, grid, xp
        self.slid, self.tiles, self.lengths = plan.slid, tiles, tiles.lengths(grid)
        self.modalities = gram.shape[0]
        self.together = plan.together(grid, tiles, self.modalities)

    def add(self) -> None:
        """Add all products to the Gram matrix."""
        *before, last = self.grid.size[: self.slid]
        tasks = []
        for lead in product(*(range(1 - p, p) for p in before)):
            zero = (0,) * len(lead)
            if lead >= zero:  # the others are mirrored
                start = 0 if lead == zero else 1 - last
                tasks += [(lead, d) for d in range(start, last, self.together)]
        at_once(self._add_displaced, tasks)

    def _add_displaced(self, task: tuple[tuple[int, ...], int]) -> None:
        """Add the products of rows `lead` and `first` to `first + together - 1` apart."""
        lead, first = task
        k, size = self.slid - 1, self.grid.size[self.slid - 1]
        step, count = self.grid.steps[k], self.tiles.positions[k]
        together = min(self.together, size - first)
        low, high = max(0, first), min(size, size + first + together - 1)
        rows = range(low, high + step * (count - 1))
        sums = self._products(lead, first, together, rows)
        for axis, d in enumerate(lead):
            left, positions = self.grid.size[axis] - abs(d), self.tiles.positions[axis]
            sums = slide(sums, axis, left, positions, self.grid.steps[axis], self.xp)
        sums = slide(sums, k, high - low, count, step, self.xp)
        sums = self._box_blocks(sums)
        for e in range(together):
            d = first + together - 1 - e
            begin, end = max(0, d), min(size, size + d)
            part = sums[(*(slice(None),) * k, slice(begin - low, end - low))]
            part = part[(slice(None),) * (self.slid + 1 + len(self.grid.size) - self.slid) + (e,)]
            self._write(part, (*lead, d))

    def _products(self, lead: tuple[int, ...], first: int, together: int, rows: range) -> Any:
        r"""Return (\*lead rows, rows, block, together, block), 0 where a row is outside."""
        xp, pixels, block = self.xp, self.pixels, self.pixels.shape[-2]
        length = self.lengths[self.slid - 1]
        places = [
            range(max(0, d), n + min(0, d))
            for d, n in zip(lead, self.lengths[: self.slid - 1], strict=True)
        ]
        out = xp.empty((*map(len, places), len(rows), block, together, block))
        for at in product(*(range(len(r)) for r in places)):
            here = tuple(r[i] for r, i in zip(places, at, strict=True))
            there = tuple(r - d for r, d in zip(here, lead, strict=True))
            left, right = pixels[here], pixels[there]
            for i, row in enumerate(rows):
                begin = row - first - together + 1
                low, high = max(0, begin), min(length, begin + together)
                target = out[(*at, i)]
                target[:, : low - begin] = 0
                target[:, max(high, low) - begin :] = 0
                if high <= low:
                    continue
                columns = right[low:high].reshape(-1, right.shape[-1]).T
                if high - low == together:
                    xp.matmul(left[row], columns, out=target.reshape(block, -1))
                else:
                    found = left[row] @ columns
                    target[:, low - begin : high - begin] = found.reshape(block, -1, block)
        return out

    def _box_blocks(self, sums: Any) -> Any:
        """Sum along the diagonals of the axes that are not slid along."""
        lengths, rest = self.lengths[self.slid :], len(self.grid.size) - self.slid
        split = (self.modalities, *lengths)
        sums = sums.reshape((*sums.shape[: self.slid], *split, sums.shape[-2], *split))
        for k in range(rest):
            axis = self.slid + k
            axes = (axis + 1, axis + 1 + rest + 2)
            size, count = self.grid.size[axis], self.tiles.positions[axis]
            sums = slide_diagonal(sums, axes, size, count, self.grid.steps[axis], self.xp)
        return sums

    def _write(self, part: Any, displacement: tuple[int, ...]) -> None:
        r"""Add sums (\*rows, m, \*others, m, \*others) to where i - j is the displacement."""
        rank = len(self.grid.size)
        halves = [self.gram]
        if any(displacement):
            axes = [*range(1 + rank, 2 + 2 * rank), *range(1 + rank)]
            halves.append(self.gram.transpose(axes))
        for half in halves:
            every, ahead = slice(None), [max(0, d) for d in displacement]
            behind = [max(0, -d) for d in displacement]
            others = (every,) * (rank - self.slid)
            start = half[
                (every, *(slice(i, None) for i in ahead), *others)
                + (every, *(slice(j, None) for j in behind), *others)
            ]
            a, b = start.strides[: 1 + rank], start.strides[1 + rank :]
            lines = [i + j for i, j in zip(a[1 : 1 + self.slid], b[1 : 1 + self.slid], strict=True)]
            strides = (*lines, a[0], *a[1 + self.slid :], b[0], *b[1 + self.slid :])
            view = self.xp.lib.stride_tricks.as_strided(start, part.shape, strides)
            view += part
