"""Grids of voxels in the patient, and the map from the indices of one to another's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._check import number
from fastmm.errors import GeometryError
from fastmm.read.volume import Volume

__all__ = ["Grid", "grid_of", "index_map", "respaced"]

# In voxels, over the whole grid: closer than the digits of the files tell, so that grids
# which are meant to share axes, centres or corners do.
_SAME = 1e-5
_AGREE = 0.01  # the share by which spacing and affine of one volume may differ
_PARALLEL = 1e-6  # volume of a voxel over the product of its edges


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie: size and spacing (z, y, x), and the affine from (x, y, z, 1).

    `read` are the positions of slices that were read; without, the affine tells them.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    read: NDArray[np.float64] | None = None

    def positions(self) -> NDArray[np.float64] | None:
        """Return the centre of the first voxel of each slice, (z, 3), if it is known."""
        if self.read is not None:
            return np.array(self.read, np.float64)
        if not np.isfinite(self.affine).all():
            return None
        slices = np.arange(self.shape[0], dtype=np.float64)[:, None]
        places: NDArray[np.float64] = self.affine[:3, 3] + slices * self.affine[:3, 2]
        return places


def grid_of(volume: Volume) -> Grid:
    """Return the grid a volume lies on."""
    affine = np.array(volume.affine, np.float64)
    return Grid(tuple(volume.array.shape[-3:]), volume.spacing, affine, volume.positions)


def respaced(volume: Volume, spacing: float | Sequence[float]) -> tuple[Grid, NDArray[np.float64]]:
    """Return a grid of that spacing on the volume's axes, and the map to its indices.

    It has the fewest voxels that cover the volume, and the same centre.
    """
    new = _triple(spacing)
    old = volume.physical_spacing()
    if min(old) <= 0:
        raise GeometryError(f"{_where(volume)}the spacing (z, y, x) = {old} mm is not positive.")
    if np.isfinite(volume.affine).all():
        _check_agreement(volume, old)
    before = volume.array.shape[-3:]
    ratio = np.array(new, np.float64) / np.array(old, np.float64)
    shape = tuple(
        max(1, math.ceil(n / r - _SAME)) if n / r < 2**62 else 2**62
        for n, r in zip(before, ratio.tolist(), strict=True)
    )
    last_before, last_after = np.array(before) - 1.0, np.array(shape, np.float64) - 1
    offset = (last_before - last_after * ratio) / 2
    affine = np.array(volume.affine, np.float64)
    # A column that is not known spoils the origin only if the origin moves along it.
    steps = np.where(offset[::-1] == 0, 0.0, affine[:3, :3] * offset[::-1])
    affine[:3, 3] += steps.sum(axis=1)
    affine[:3, :3] *= ratio[::-1]
    matrix = np.column_stack([np.diag(ratio), offset])
    return Grid(shape, new, affine), _snapped(matrix, shape)


def index_map(volume: Volume, grid: Grid) -> NDArray[np.float64]:
    """Return the 3 x 4 map from index (z, y, x, 1) of the grid to index (z, y, x) of `volume`."""
    source = np.array(volume.affine, np.float64)
    if source.shape != (4, 4) or not np.isfinite(source).all():
        raise GeometryError(
            f"{_where(volume)}`volume` has an affine with NaN, so its place in the patient is not "
            "known; give it one with dataclasses.replace, or resample with `spacing`."
        )
    target = grid.affine.copy()
    if target.shape == (4, 4):
        for axis, size in enumerate(reversed(grid.shape)):
            if size == 1:  # nothing lies further along it, so it need not be known
                target[:3, axis] = 0
    if target.shape != (4, 4) or not np.isfinite(target).all():
        raise GeometryError(
            "`like` has an affine with NaN, so its place in the patient is not known; give it "
            "one with dataclasses.replace."
        )
    edges = source[:3, :3]
    if abs(np.linalg.det(edges)) <= _PARALLEL * np.prod(np.linalg.norm(edges, axis=0)):
        raise GeometryError(
            f"{_where(volume)}`volume` has a singular affine: its voxels have no volume."
        )
    moved = np.linalg.solve(edges, np.column_stack([target[:3, :3], target[:3, 3] - source[:3, 3]]))
    return _snapped(moved[::-1][:, [2, 1, 0, 3]], grid.shape)


def _snapped(given: NDArray[np.floating[Any]], shape: Sequence[int]) -> NDArray[np.float64]:
    """Make steps whole, and the start whole or halves, where no voxel moves noticeably."""
    matrix: NDArray[np.float64] = np.array(given, np.float64)
    reach = np.maximum(np.array(shape, np.float64) - 1, 0)
    steps, start = matrix[:, :3], matrix[:, 3]
    whole = np.rint(steps)
    steps[:] = np.where(np.abs(steps - whole) * reach < _SAME, whole, steps)
    halves = np.rint(2 * start) / 2
    start[:] = np.where(np.abs(start - halves) < _SAME, halves, start)
    steps[:, reach == 0] = 0
    return matrix


def _triple(spacing: float | Sequence[float]) -> tuple[float, float, float]:
    if isinstance(spacing, (str, bytes)) or not isinstance(spacing, (Sequence, np.ndarray)):
        one = number(spacing, "spacing", above=0.0)
        return one, one, one
    if len(spacing) != 3:
        raise ValueError(
            f"`spacing` must be one number or three, (z, y, x) in mm, got {len(spacing)}."
        )
    z, y, x = (number(s, f"spacing[{i}]", above=0.0) for i, s in enumerate(spacing))
    return z, y, x


def _check_agreement(volume: Volume, spacing: Sequence[float]) -> None:
    columns = volume.affine[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)[::-1]
    area = np.linalg.norm(np.cross(columns[:, 0], columns[:, 1]))
    # Of a tilted gantry, spacing z may be the distance of the slices along their normal.
    normal = abs(np.linalg.det(columns)) / area if area else 0.0
    for axis, (claimed, found) in enumerate(zip(spacing, lengths.tolist(), strict=True)):
        lawful = (found, normal) if axis == 0 else (found,)
        if all(abs(claimed - length) > _AGREE * claimed for length in lawful):
            raise GeometryError(
                f"{_where(volume)}the spacing along {'zyx'[axis]} is {claimed:g} mm, but in the "
                f"affine a step is {found:g} mm; make them agree with dataclasses.replace."
            )


def _where(volume: Volume) -> str:
    return f"{volume.source[0]}: " if volume.source else ""
