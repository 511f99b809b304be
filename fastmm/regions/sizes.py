"""How large a region of interest is, measured on its mask."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastmm.errors import GeometryError
from fastmm.read.volume import Volume

__all__ = ["SIZE_NAMES", "RegionSize", "has_lengths", "measure_region"]

SIZE_NAMES = ("volume (ml)", "longest extent (mm)")
_PAIRS = 1 << 18  # distances computed at once, in 8 MB


class RegionSize(NamedTuple):
    """Size of a region.

    Parameters
    ----------
    volume : float
        In millilitres: the number of voxels times the volume of one.
    extent : float
        In millimetres: the largest distance between the centres of two voxels.
    """

    volume: float
    extent: float


def measure_region(mask: Volume) -> RegionSize:
    """Measure the region that a mask marks, on the grid of the mask.

    Parameters
    ----------
    mask : Volume
        Any voxel that is not 0 belongs to the region.

    Returns
    -------
    RegionSize
        Zeros where no voxel is marked.

    Raises
    ------
    GeometryError
        If the mask does not tell how large its voxels are.

    Notes
    -----
    Equals SimpleITK's ``GetPhysicalSize`` and ``GetFeretDiameter``. The farthest voxels are
    looked for among the corners of the convex hull of each slice, then of all.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import Volume
    >>> voxels = np.zeros((4, 5, 5), "float32")
    >>> voxels[1:3, 2, 1:4] = 1
    >>> mask = Volume(voxels, "", (10.0, 5.0, 5.0), np.diag([5.0, 5.0, 10.0, 1.0]))
    >>> np.round(measure_region(mask), 3)
    array([ 1.5  , 14.142])
    """
    if not has_lengths(mask):
        raise GeometryError(
            "A mask must tell the size of its voxels for a volume in ml; this one has no spacing. "
            "Leave `region_size` off."
        )
    where = np.asarray(mask.array) != 0
    axes = np.asarray(mask.affine, np.float64)[:3, :3]
    volume = float(where.sum()) * abs(float(np.linalg.det(axes))) / 1000
    corners = _corners(where)
    if len(corners) == 0:
        return RegionSize(0.0, 0.0)
    return RegionSize(volume, _farthest(_hull(corners[:, ::-1] @ axes.T)))


def has_lengths(volume: Volume) -> bool:
    """Say whether a volume knows the size of its voxels in millimetres."""
    return bool(np.isfinite(volume.spacing).all()) and math.isfinite(float(np.sum(volume.affine)))


def _corners(where: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return (z, y, x) of the voxels that may be corners: hulls of the slices."""
    found = [np.zeros((0, 3))]
    for z in np.flatnonzero(where.any(axis=(1, 2))):
        rows = np.flatnonzero(where[z].any(axis=1))
        first = where[z, rows].argmax(axis=1)
        last = where.shape[2] - 1 - where[z, rows, ::-1].argmax(axis=1)
        ends = np.concatenate([np.stack([rows, first], 1), np.stack([rows, last], 1)])
        ends = _hull(np.unique(ends, axis=0).astype(np.float64))
        found.append(np.column_stack([np.full(len(ends), float(z)), ends]))
    return np.concatenate(found)


def _hull(points: Any) -> Any:
    """Return the corners of the convex hull; all points where they lie in a plane or line."""
    from scipy.spatial import ConvexHull, QhullError

    if len(points) <= points.shape[1] + 1:
        return points
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:
        return points


def _farthest(points: Any) -> float:
    largest, step = 0.0, max(1, _PAIRS // len(points))
    for start in range(0, len(points), step):
        away = points[start : start + step, None] - points
        largest = max(largest, float(np.einsum("ijk,ijk->ij", away, away).max()))
    return math.sqrt(largest)
