"""Where a NIfTI image lies: its affine in LPS mm, or NaN where the file does not tell."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import GeometryError

__all__ = ["place"]

_MM_PER_UNIT = {1: 1000.0, 3: 0.001}  # metre, micrometre; mm (2) and unknown (0) are mm
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Of a voxel, by which the two transforms may differ at a corner: they are float32.
_SAME_PLACE = 0.05
_SHEAR = 1e-3

Placed = tuple[tuple[float, float, float], NDArray[np.float64], tuple[str, ...]]


def place(path: Path, head: Any, size: tuple[int, int, int]) -> Placed:
    """Return spacing (z, y, x) in mm, affine and notes; `size` is (x, y, z).

    The sform comes before the qform, as in nibabel. Without either, only the spacing is
    known, since nothing says how the image is turned.
    """
    # What overflows or is no number is found below; a warning would say less.
    with np.errstate(all="ignore"):
        return _place(path, head, size, _MM_PER_UNIT.get(int(head["xyzt_units"]) & 7, 1.0))


def _place(path: Path, head: Any, size: tuple[int, int, int], scale: float) -> Placed:
    sform = qform = None
    if int(head["sform_code"]) > 0:
        sform = _checked(path, "sform", head.get_sform(), size, scale)
    if int(head["qform_code"]) > 0:
        try:
            qform = _qform(path, head, size, scale)
        except GeometryError:
            if sform is None:
                raise
    affine = qform if sform is None else sform
    if affine is None:
        affine = np.full((4, 4), np.nan)
        affine[3] = 0, 0, 0, 1
        return _pixdim(path, head, size, scale), affine, ()
    notes = []
    if sform is not None and qform is not None:
        away = _distance(sform, qform, size)
        if away > _SAME_PLACE * float(np.nanmin(np.linalg.norm(sform[:3, :3], axis=0))):
            notes.append(f"sform and qform differ by up to {away:.3g} mm; the sform is used")
    norms = np.linalg.norm(affine[:3, :3], axis=0)
    if _is_sheared(affine):
        notes.append("its axes are not at right angles; the affine holds them, the spacing not")
    return (float(norms[2]), float(norms[1]), float(norms[0])), affine, tuple(notes)


def _checked(
    path: Path, name: str, matrix: Any, size: tuple[int, int, int], scale: float
) -> NDArray[np.float64]:
    """Turn a RAS affine to LPS mm; a column of an axis of size 1 may be unknown."""
    ras = np.asarray(matrix, np.float64)
    if not np.isfinite(ras).all():
        raise GeometryError(f"{path}: its {name} is not finite.")
    affine = _RAS_TO_LPS @ ras
    affine[:3] *= scale
    norms = np.linalg.norm(affine[:3, :3], axis=0)
    known = norms > 0
    for axis in np.flatnonzero(~known):
        if size[axis] > 1:
            raise GeometryError(f"{path}: its {name} has a spacing of 0 along axis {axis + 1}.")
        affine[:3, axis] = np.nan
    directions = affine[:3, :3][:, known] / norms[known]
    if np.linalg.matrix_rank(directions, tol=1e-4) < known.sum():
        raise GeometryError(f"{path}: its {name} is singular: two axes have one direction.")
    return np.asarray(affine, np.float64)


def _qform(path: Path, head: Any, size: tuple[int, int, int], scale: float) -> NDArray[np.float64]:
    qfac = float(head["pixdim"][0])
    if qfac not in (-1, 1):
        if qfac != 0:
            raise GeometryError(f"{path}: pixdim[0] must be 1 or -1, got {qfac:g}.")
        # The standard takes 0 for 1.
        head = head.copy()
        head["pixdim"][0] = 1
    for axis, spacing in enumerate(head["pixdim"][1:4]):
        if not 0 <= spacing < math.inf:
            raise GeometryError(
                f"{path}: pixdim[{axis + 1}] must be positive, got {float(spacing):g}."
            )
    try:
        matrix = head.get_qform()
    except Exception:
        raise GeometryError(f"{path}: its quaternion is no rotation.") from None
    return _checked(path, "qform", matrix, size, scale)


def _pixdim(
    path: Path, head: Any, size: tuple[int, int, int], scale: float
) -> tuple[float, float, float]:
    found = []
    for axis, length in enumerate(size):
        spacing = float(head["pixdim"][axis + 1]) * scale
        if not 0 < spacing < math.inf:
            if length > 1:
                raise GeometryError(
                    f"{path}: pixdim[{axis + 1}] must be positive, got {spacing:g}."
                )
            spacing = math.nan
        found.append(spacing)
    return found[2], found[1], found[0]


def _distance(a: NDArray[np.float64], b: NDArray[np.float64], size: tuple[int, int, int]) -> float:
    """Return the largest distance in mm between the places of a corner."""
    corners = np.array([*itertools.product(*((0, n - 1) for n in size))], np.float64)
    apart = corners @ np.nan_to_num((a - b)[:3, :3]).T + (a - b)[:3, 3]
    return float(np.linalg.norm(apart, axis=1).max())


def _is_sheared(affine: NDArray[np.float64]) -> bool:
    columns = affine[:3, :3]
    columns = columns / np.linalg.norm(columns, axis=0)
    cosines = np.nan_to_num(columns.T @ columns) - np.eye(3)
    np.fill_diagonal(cosines, 0)
    return bool(np.abs(cosines).max() > _SHEAR)
