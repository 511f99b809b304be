"""Spacing, orientation and position of one image from its tags: checked, or an error."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import GeometryError
from fastmm.read.dicom.geometry import check_orientation
from fastmm.read.dicom.tags import Tags, label

__all__ = [
    "FARTHEST",
    "read_grid_offsets",
    "read_orientation",
    "read_position",
    "read_spacing",
    "read_thickness",
]

# In mm: farther away lies nothing, and squares and sums of such numbers do not overflow.
FARTHEST = 1e9


def read_position(tags: Tags) -> NDArray[np.float64] | None:
    """Return ImagePositionPatient as an array of shape (1, 3), or None."""
    position = tags.numbers("ImagePositionPatient", 3)
    if position is not None and not all(abs(value) < FARTHEST for value in position):
        raise GeometryError(
            f"{tags.path}: {label('ImagePositionPatient')}{tags.where} must be finite, and less "
            f"than {FARTHEST:g} mm away."
        )
    return None if position is None else np.array([position])


def read_orientation(tags: Tags) -> tuple[float, ...] | None:
    """Return ImageOrientationPatient, two orthogonal unit vectors, or None."""
    orientation = tags.numbers("ImageOrientationPatient", 6)
    if orientation is not None:
        check_orientation(tags.path, orientation)
    return orientation


def read_spacing(tags: Tags) -> tuple[float, float] | None:
    """Return PixelSpacing, the distances of rows and of columns in mm, or None."""
    spacing = tags.numbers("PixelSpacing", 2)
    if spacing is None:
        return None
    for value in spacing:
        if not 0 < value < FARTHEST:
            raise GeometryError(
                f"{tags.path}: {label('PixelSpacing')}{tags.where} must be positive and "
                f"finite, got {value:g} mm."
            )
    return spacing[0], spacing[1]


def read_thickness(tags: Tags) -> float:
    """Return SliceThickness in mm, NaN where unknown."""
    thickness = (tags.numbers("SliceThickness", 1) or (math.nan,))[0]
    # Often 0 or absent; positions say it better.
    return thickness if 0 < thickness < FARTHEST else math.nan


def read_grid_offsets(
    tags: Tags,
    frames: int,
    position: NDArray[np.float64] | None,
    orientation: tuple[float, ...] | None,
) -> NDArray[np.float64] | None:
    """Return the places (frames, 3) of the frames of a dose grid, or None where unknown."""
    if position is None or orientation is None or not tags.filled("GridFrameOffsetVector"):
        return None
    offsets = np.array(tags.numbers("GridFrameOffsetVector", frames))
    if not (np.abs(offsets) < FARTHEST).all():
        raise GeometryError(
            f"{tags.path}: {label('GridFrameOffsetVector')} must be finite, and less than "
            f"{FARTHEST:g} mm."
        )
    normal = np.cross(orientation[:3], orientation[3:])
    if offsets[0] != 0:
        # Other than relative offsets these are z itself, and the planes then transverse.
        if abs(abs(normal[2]) - 1) > 1e-3 or abs(offsets[0] - position[0, 2]) > 1e-2:
            return None
        offsets = (offsets - offsets[0]) * np.sign(normal[2])
    return np.asarray(position + offsets[:, None] * normal)
