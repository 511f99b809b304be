"""Where slices lie in the patient: orientation, order along the normal, and the affine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import GeometryError
from fastmm.read.tags import label

__all__ = ["affine_of", "check_grid", "check_orientation", "normal_of", "order_along_normal"]

# Direction cosines are written with few digits; beyond this they are no cosines.
_ORTHONORMAL = 1e-3
# Share of a step, and of a pixel, by which a slice may miss its place on the grid:
# positions rounded to 0.1 mm stay below it, a missing slice and a tilt do not.
_STEP_SHARE, _PIXEL_SHARE = 0.05, 0.2
_SAME_PLACE_MM = 1e-3


def check_orientation(path: Path, orientation: Sequence[float]) -> None:
    """Refuse an ImageOrientationPatient that is not two orthogonal unit vectors."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    faults = (row @ row - 1, column @ column - 1, row @ column)
    if not all(abs(fault) <= 2 * _ORTHONORMAL for fault in faults):
        shown = ", ".join(f"{v:g}" for v in orientation)
        raise GeometryError(
            f"{path}: {label('ImageOrientationPatient')} must be two orthogonal unit vectors, "
            f"got ({shown})."
        )


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Return the unit normal of a slice, row direction x column direction."""
    normal = np.cross(orientation[:3], orientation[3:])
    return np.asarray(normal / np.linalg.norm(normal), np.float64)


def order_along_normal(
    positions: NDArray[np.float64], orientation: Sequence[float]
) -> tuple[NDArray[np.intp], list[list[int]]]:
    """Order positions (n, 3) along the normal.

    Returns the order, and the runs of two or more slices (as indices into `positions`)
    that share a place.
    """
    distance = positions @ normal_of(orientation)
    order = np.argsort(distance, kind="stable")
    along = distance[order]
    cuts = np.flatnonzero(np.diff(along) > _SAME_PLACE_MM) + 1
    runs = [run.tolist() for run in np.split(order, cuts) if run.size > 1]
    return order, runs


def check_grid(
    names: Sequence[str],
    positions: NDArray[np.float64],
    orientation: Sequence[float],
    pixel: float,
    *,
    uneven: str = "raise",
) -> float:
    """Return the step in mm of two or more slices in order along their normal.

    A tilt is an error. Uneven steps are an error that lists the gaps or, with
    ``uneven="accept"``, give NaN.
    """
    normal = normal_of(orientation)
    offsets = positions - positions[0]
    along = offsets @ normal
    across = np.linalg.norm(offsets - along[:, None] * normal, axis=1)
    allowed = max(_PIXEL_SHARE * (0.5 if math.isnan(pixel) else pixel), 0.01)
    worst = int(across.argmax())
    if across[worst] > allowed:
        angle = math.degrees(math.atan2(across[worst], along[worst]))
        raise GeometryError(
            f"{names[worst]}: the slices are shifted sideways, up to {across[worst]:.3g} mm over "
            f"{along[worst]:.4g} mm ({angle:.1f} degrees): a tilted gantry. The volume is no "
            "rectangular grid; correct the tilt with a resampling tool first."
        )
    # The best straight line, not the two ends: those may be rounded the worst.
    places = np.arange(len(along)) - (len(along) - 1) / 2
    step = float(places @ along / (places @ places))
    misplaced = np.ptp(along - step * places) / 2
    if misplaced <= _STEP_SHARE * step + _SAME_PLACE_MM:
        return step
    if uneven == "accept":
        return math.nan
    raise GeometryError(_gaps(names, np.diff(along)))


def affine_of(
    orientation: Sequence[float] | None,
    position: Sequence[float] | NDArray[np.float64] | None,
    spacing: Sequence[float],
) -> NDArray[np.float64]:
    """Return the 4 x 4 map from index (x, y, z, 1) to patient LPS in mm.

    `spacing` is (z, y, x); what is not known makes its column NaN.
    """
    affine = np.full((4, 4), np.nan)
    affine[3] = 0, 0, 0, 1
    if orientation is not None:
        dz, dy, dx = spacing
        affine[:3, 0] = np.multiply(orientation[:3], dx)
        affine[:3, 1] = np.multiply(orientation[3:], dy)
        affine[:3, 2] = normal_of(orientation) * dz
    if position is not None:
        affine[:3, 3] = position
    return affine


def _gaps(names: Sequence[str], steps: NDArray[np.float64]) -> str:
    usual = float(np.median(steps))
    odd = np.flatnonzero(np.abs(steps - usual) > _STEP_SHARE * usual)
    listed = "; ".join(f"{steps[i]:.4g} mm between {names[i]} and {names[i + 1]}" for i in odd[:5])
    more = f"; and {odd.size - 5} more" if odd.size > 5 else ""
    found = listed + more if odd.size else f"from {steps.min():.4g} to {steps.max():.4g} mm"
    return (
        f"The steps between slices are uneven; the usual one is {usual:.4g} mm, but {found}. "
        'A slice may be missing; read_volume(..., gaps="accept") reads the slices without a '
        "spacing along z."
    )
