"""Where slices lie in the patient: orientation, order along the normal, and the affine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import GeometryError
from fastmm.read.dicom.tags import label

__all__ = [
    "Grid",
    "affine_of",
    "check_grid",
    "check_orientation",
    "normal_of",
    "order_along_normal",
]

# Direction cosines are written with few digits; beyond this they are no cosines.
_ORTHONORMAL = 1e-3
# Share of a step, and of a pixel, by which a slice may miss its place on the grid:
# positions rounded to 0.1 mm stay below it, a missing slice and a tilt do not.
_STEP_SHARE, _PIXEL_SHARE = 0.05, 0.2
_SAME_PLACE_MM = 1e-3


def check_orientation(path: Path, orientation: Sequence[float]) -> None:
    """Refuse an ImageOrientationPatient that is not two orthogonal unit vectors."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    with np.errstate(over="ignore", invalid="ignore"):
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


class Grid(NamedTuple):
    """From slice to slice: the step in mm along the normal, and the way in LPS, in mm.

    Both are NaN where the steps are uneven. The way differs from step * normal where the
    gantry was tilted, by `tilt` degrees.
    """

    step: float
    way: NDArray[np.float64] | None
    tilt: float


def check_grid(
    names: Sequence[str],
    positions: NDArray[np.float64],
    orientation: Sequence[float],
    pixel: float,
    *,
    uneven: str = "raise",
    tilt: str = "raise",
) -> Grid:
    """Return the grid of two or more slices in order along their normal.

    A tilt is an error or, with ``tilt="shear"``, part of the way from slice to slice.
    Uneven steps are an error that lists the gaps or, with ``uneven="accept"``, give NaN.
    """
    normal = normal_of(orientation)
    offsets = positions - positions.mean(axis=0)
    along = offsets @ normal
    shear = _shear(names, offsets - along[:, None] * normal, along, pixel, tilt)
    tilted = math.degrees(math.atan(float(np.linalg.norm(shear))))
    # The best straight line, not the two ends: those may be rounded the worst.
    places = np.arange(len(along)) - (len(along) - 1) / 2
    step = float(places @ along / (places @ places))
    misplaced = np.ptp(along - step * places) / 2
    if misplaced <= _STEP_SHARE * step + _SAME_PLACE_MM:
        return Grid(step, step * (normal + shear), tilted)
    if uneven == "accept":
        return Grid(math.nan, np.full(3, math.nan), tilted)
    raise GeometryError(_gaps(names, np.diff(along)))


def affine_of(
    orientation: Sequence[float] | None,
    position: Sequence[float] | NDArray[np.float64] | None,
    spacing: Sequence[float],
    way: Sequence[float] | NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the 4 x 4 map from index (x, y, z, 1) to patient LPS in mm.

    `spacing` is (z, y, x); `way`, from slice to slice, is along the normal if not given.
    What is not known makes its column NaN.
    """
    affine = np.full((4, 4), np.nan)
    affine[3] = 0, 0, 0, 1
    if orientation is not None:
        dz, dy, dx = spacing
        affine[:3, 0] = np.multiply(orientation[:3], dx)
        affine[:3, 1] = np.multiply(orientation[3:], dy)
        affine[:3, 2] = normal_of(orientation) * dz if way is None else way
    if position is not None:
        affine[:3, 3] = position
    return affine


def _shear(
    names: Sequence[str],
    across: NDArray[np.float64],
    along: NDArray[np.float64],
    pixel: float,
    tilt: str,
) -> NDArray[np.float64]:
    """Return the sideways shift per mm along the normal, zero where there is no tilt."""
    allowed = max(_PIXEL_SHARE * (0.5 if math.isnan(pixel) else pixel), 0.01)
    shift = np.linalg.norm(across - across[0], axis=1)
    worst = int(shift.argmax())
    if shift[worst] <= allowed:
        return np.zeros(3)
    shear = np.asarray(along @ across / (along @ along), np.float64)
    stray = np.linalg.norm(across - along[:, None] * shear, axis=1)
    if stray.max() > allowed:
        raise GeometryError(
            f"{names[int(stray.argmax())]}: the slices are shifted sideways irregularly, up to "
            f"{shift[worst]:.3g} mm, which no tilted gantry explains; they form no grid."
        )
    if tilt == "shear":
        return shear
    angle = math.degrees(math.atan(float(np.linalg.norm(shear))))
    raise GeometryError(
        f"{names[worst]}: the slices are shifted sideways, up to {shift[worst]:.3g} mm over "
        f"{along[worst] - along[0]:.4g} mm ({angle:.1f} degrees): a tilted gantry. This is no "
        'rectangular grid; read_volume(..., tilt="shear") reads it with a sheared affine.'
    )


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
