"""Places of output voxels in a source, as the fixed-point numbers that kernels step along."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import GeometryError

__all__ = ["Places", "cubic_table", "linear_table", "no_overlap"]

_MOST_BITS = 48  # behind the point: an error of 1e-12 voxel after a thousand steps
_FEWEST_BITS = 32
_MARGIN = 3  # voxels around a part of a source: more than interpolation reaches


class Places:
    """Fixed-point places: `matrix` (3, 4) int64 times (z, y, x, 1), over 2^`shift`, in voxels."""

    def __init__(
        self, index_map: NDArray[np.float64], before: Sequence[int], after: Sequence[int]
    ) -> None:
        self.before, self.after = tuple(before), tuple(after)
        corners = np.array(list(product(*((0, n - 1) for n in after))), np.float64)
        reach = max(np.abs(corners @ index_map[:, :3].T + index_map[:, 3]).max(), max(before))
        self.shift = min(_MOST_BITS, 61 - int(np.ceil(np.log2(reach + 2))))
        if self.shift < _FEWEST_BITS:
            raise GeometryError(
                f"the grids reach {reach:.3g} voxels away from each other; check their affines."
            )
        self.matrix = np.rint(np.ldexp(index_map, self.shift)).astype(np.int64)
        self._corners = corners.astype(np.int64) @ self.matrix[:, :3].T + self.matrix[:, 3]

    def slab(self, first: int, stop: int) -> tuple[Places, tuple[slice, ...]]:
        """Return the places of some output slices, and the box of the source they refer to.

        The box holds all voxels that they are interpolated from.
        """
        part = copy(self)
        part.matrix = self.matrix.copy()
        part.matrix[:, 3] += first * self.matrix[:, 0]
        part.after = (stop - first, *self.after[1:])
        corners = np.array(list(product(*((0, n - 1) for n in part.after))), np.int64)
        reached = corners @ part.matrix[:, :3].T + part.matrix[:, 3]
        box = []
        for axis, size in enumerate(self.before):
            low = min(max((int(reached[:, axis].min()) >> self.shift) - _MARGIN, 0), size - 1)
            high = max(
                min((int(reached[:, axis].max()) >> self.shift) + _MARGIN + 1, size), low + 1
            )
            box.append(slice(low, high))
            part.matrix[axis, 3] -= low << self.shift
        part.before = tuple(own.stop - own.start for own in box)
        part._corners = corners @ part.matrix[:, :3].T + part.matrix[:, 3]
        return part, tuple(box)

    def apart(self) -> bool:
        """Say whether, along some axis, all of the grid lies to one side of the source."""
        owner = self._owner(self._corners)
        return bool((owner < 0).all(0).any() or (owner >= self.before).all(0).any())

    def all_inside(self) -> bool:
        """Say whether source voxels own all places, which they do if they own the corners."""
        owner = self._owner(self._corners)
        return bool(((owner >= 0) & (owner < self.before)).all())

    def axes(self) -> tuple[int, ...] | None:
        """Return the source axis along each output axis; None unless there is one for each."""
        used = self.matrix[:, :3] != 0
        if used.sum(0).max() > 1 or used.sum(1).max() > 1:
            return None
        free = [a for a in range(3) if not used[a].any()]
        return tuple(
            int(used[:, o].argmax()) if used[:, o].any() else free.pop(0) for o in range(3)
        )

    def along(self, axis: int, source_axis: int) -> NDArray[np.int64]:
        """Return the places along an output axis that goes along one source axis."""
        steps = np.arange(self.after[axis], dtype=np.int64)
        step, start = self.matrix[source_axis, [axis, 3]].tolist()
        places: NDArray[np.int64] = steps * step + start
        return places

    def run(self, axis: int, source_axis: int) -> tuple[int, int]:
        """Return the run of outputs along an axis that source voxels own."""
        owner = self._owner(self.along(axis, source_axis))
        owned = np.flatnonzero((owner >= 0) & (owner < self.before[source_axis]))
        return (int(owned[0]), int(owned[-1]) + 1) if owned.size else (0, 0)

    def _owner(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        # As `neighbour` of the kernels has it.
        return (places + (1 << (self.shift - 1)) + (1 << (self.shift - 30))) >> self.shift


def no_overlap() -> GeometryError:
    """Return the error that no source voxel owns a place."""
    return GeometryError(
        "No valid voxel of `volume` lies on the new grid: check that both are of one patient and "
        "share a frame of reference."
    )


def linear_table(
    places: NDArray[np.int64], size: int, shift: int, dtype: Any
) -> tuple[NDArray[Any], ...]:
    """Return both neighbours of each place, and the weight of the second."""
    first, weight = _split(places, size, shift)
    return (
        first.astype(np.uint32),
        (first + (weight > 0)).astype(np.uint32),
        weight.astype(dtype),
    )


def cubic_table(
    places: NDArray[np.int64], size: int, shift: int, dtype: Any
) -> tuple[NDArray[Any], ...]:
    """Return the four neighbours of each place, (n, 4), and Keys' weights with a = -3/4."""
    first, weight = _split(places, size, shift)
    near = np.clip(first[:, None] + np.arange(-1, 3), 0, size - 1)
    t = np.abs(weight[:, None] - np.arange(-1, 3))
    a = -0.75
    inner = ((a + 2) * t - (a + 3)) * t * t + 1
    outer = a * (((t - 5) * t + 8) * t - 4)
    return near.astype(np.uint32), np.where(t <= 1, inner, outer).astype(dtype)


def _split(
    places: NDArray[np.int64], size: int, shift: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    places = np.clip(places, 0, (size - 1) << shift)
    return places >> shift, np.ldexp((places & ((1 << shift) - 1)).astype(np.float64), -shift)
