"""Gram matrices of images by their patches, which are never made."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import integer
from fastmm._space import Space
from fastmm.image.grid import patch_grid

__all__ = ["PARTS_BYTES", "PatchPairs", "linear_patches", "patch_pairs", "rbf_patches"]

PARTS_BYTES = 1 << 28  # bytes of partial sums on a device


class PatchPairs(NamedTuple):
    """Which patches of two images are compared, along z, y, x: at most `shifts` steps apart."""

    size: tuple[int, ...]
    steps: tuple[int, ...]
    counts: tuple[int, ...]
    shifts: tuple[int, ...]

    @property
    def pixels(self) -> int:
        """Count the pixels of a patch."""
        return prod(self.size)

    def weight(self, move: tuple[int, ...]) -> float:
        """Return the weight of positions that lie so many steps apart."""
        return prod(1 - abs(d) / (s + 1) for d, s in zip(move, self.shifts, strict=True))

    def moves(self) -> list[tuple[int, ...]]:
        """Return every displacement for which some positions are left."""
        reach = [min(s, c - 1) for s, c in zip(self.shifts, self.counts, strict=True)]
        return list(product(*(range(-r, r + 1) for r in reach)))

    def total(self) -> float:
        """Return the sum of the weights of all pairs of positions."""
        pairs = [
            prod(c - abs(d) for c, d in zip(self.counts, m, strict=True)) for m in self.moves()
        ]
        return sum(self.weight(m) * n for m, n in zip(self.moves(), pairs, strict=True))


def patch_pairs(shape: tuple[int, ...], patch_size: Any, step: Any, shifts: Any) -> PatchPairs:
    """Check the arguments for images of `shape`, the first axis of which counts them."""
    grid = patch_grid(shape, patch_size, step, 0, "`X`")
    spatial = len(grid.size)
    if isinstance(shifts, (tuple, list)):
        if len(shifts) != spatial:
            raise ValueError(
                f"`shifts` must have one entry for each of the {spatial} axes, got {shifts!r}."
            )
        reach = tuple(integer(s, f"shifts[{i}]", minimum=0) for i, s in enumerate(shifts))
    else:
        reach = (integer(shifts, "shifts", minimum=0),) * spatial
    ones = (1,) * (3 - spatial)
    return PatchPairs(
        ones + grid.size, ones + grid.steps, ones + grid.counts, (0,) * (3 - spatial) + reach
    )


def linear_patches(X: Any, Y: Any, pairs: PatchPairs, space: Space) -> Any:
    """Return the mean inner products of patches of images (n, z, y, x), (m, z, y, x).

    Along each axis the pixels of two images meet in M = F F', banded: one product of images
    times F is all.
    """
    xp = space.xp
    left = X
    right = None if Y is None or Y is X else Y
    for axis in range(3):
        factor = space.asarray(_axis_factor(pairs, axis, X.shape[axis + 1]).astype(X.dtype))
        left = _along(left, factor, axis + 1, xp)
        right = None if right is None else _along(right, factor, axis + 1, xp)
    left = left.reshape(left.shape[0], -1)
    other = left if right is None else right.reshape(right.shape[0], -1)
    gram = left @ other.T
    gram /= gram.dtype.type(pairs.total())
    return gram


def rbf_patches(X: Any, Y: Any, gamma: float, pairs: PatchPairs, space: Space) -> Any:
    """Return the mean of exp(-gamma |p - q|^2) over patches of images (n, z, y, x)."""
    from fastmm.kernels.boxes import BAND, LANES, boxes

    xp, dtype, same = space.xp, X.dtype, Y is None or Y is X
    n, m = X.shape[0], (X if same else Y).shape[0]
    lanes = _side_by_side(X if same else Y, LANES, xp)
    columns = lanes.shape[0] * LANES
    parts = 1
    if space.kind != "cpu":
        bands = -(-pairs.counts[1] // BAND)
        parts = max(1, min(bands, PARTS_BYTES // (n * columns * dtype.itemsize)))
    out = xp.empty((parts, n, columns), dtype)
    moves, weights = _table(pairs)
    # No step of the mirrored half is computed; a displacement and its opposite are both in it.
    sizes = np.array([*pairs.size, *pairs.steps, same], np.int64)
    work = out.size * (prod(X.shape[1:]) * len(moves) if space.kind == "cpu" else 1)
    largest = float(np.finfo(dtype).max)
    space.launch(
        boxes[dtype.name],
        work,
        X,
        lanes,
        space.asarray(moves),
        space.asarray(weights.astype(dtype)),
        space.asarray(sizes),
        space.asarray(np.array([min(gamma, largest)], dtype)),
        out,
    )
    gram = out[0, :, :m] if parts == 1 else out[:, :, :m].sum(axis=0)
    if same:  # what lies below the diagonal was not computed, and may be anything
        gram = xp.triu(gram) + xp.triu(gram, 1).T
    return gram / dtype.type(pairs.total())


def _side_by_side(images: Any, lanes: int, xp: Any) -> Any:
    """Lay images (m, z, y, x) out as (blocks, z, y, x, lanes), zeros after the last."""
    m, *spatial = images.shape
    blocks = -(-m // lanes)
    out = xp.zeros((blocks, *spatial, lanes), images.dtype)
    for block in range(blocks):
        some = images[block * lanes : (block + 1) * lanes]
        out[block, ..., : some.shape[0]] = xp.moveaxis(some, 0, -1)
    return out


def _table(pairs: PatchPairs) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rows = []
    for move in pairs.moves():
        left = [max(0, -d) * s for d, s in zip(move, pairs.steps, strict=True)]
        right = [max(0, d) * s for d, s in zip(move, pairs.steps, strict=True)]
        rows.append([*left, *right, *(c - abs(d) for c, d in zip(pairs.counts, move, strict=True))])
    return np.array(rows, np.int64), np.array([pairs.weight(m) for m in pairs.moves()])


def _axis_factor(pairs: PatchPairs, axis: int, length: int) -> np.ndarray[Any, Any]:
    """Return F (length, r), or the roots of a diagonal M = F F' (length,)."""
    size, step = pairs.size[axis], pairs.steps[axis]
    count, shift = pairs.counts[axis], pairs.shifts[axis]
    starts, pixels = np.arange(count) * step, np.arange(size)
    if shift == 0:
        covered = np.bincount((starts[:, None] + pixels).ravel(), minlength=length)
        roots: np.ndarray[Any, Any] = np.sqrt(covered)
        return roots
    meet = np.zeros((length, length))
    for d in range(-min(shift, count - 1), min(shift, count - 1) + 1):
        some = starts[max(0, -d) : count - max(0, d)]
        places = (some[:, None] + pixels).ravel()
        np.add.at(meet, (places, places + d * step), 1 - abs(d) / (shift + 1))
    values, vectors = np.linalg.eigh(meet)
    kept = values > values[-1] * length * 1e-15
    factor: np.ndarray[Any, Any] = vectors[:, kept] * np.sqrt(values[kept])
    return factor


def _along(images: Any, factor: Any, axis: int, xp: Any) -> Any:
    if factor.ndim == 1:
        return images * factor.reshape((-1,) + (1,) * (3 - axis))
    return xp.moveaxis(xp.moveaxis(images, axis, -1) @ factor, -1, axis)
