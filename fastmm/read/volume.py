"""A volume with its physical meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import GeometryError

__all__ = ["Volume"]


@dataclass(frozen=True, eq=False)
class Volume:
    """An image in three dimensions, with units and its place in the patient.

    Attributes
    ----------
    array : ndarray of shape (z, y, x) or (t, z, y, x), float32
        The values. Padding holds the lowest valid value. Four axes where time points were
        asked for with ``time="stack"``.
    units : str
        "HU", "SUV", "Bq/ml", "a.u." (MR) or "stored" (nothing is known).
    spacing : tuple of float, (z, y, x) in mm
        NaN where the file does not tell. Of a tilted gantry z is the distance between the
        planes of neighbouring slices, along the normal.
    affine : ndarray of shape (4, 4), float64
        Maps index (x, y, z, 1) to patient coordinates in mm, LPS: x to the left, y to
        the back, z to the head. NaN where the file does not tell. Of a tilted gantry the
        third column is the way from slice to slice, which is not along the normal.
    valid : ndarray of bool, the shape of `array`, or None
        False where a voxel is padding; None where none is.
    modality : str
        "CT", "MR", "PT", ...
    source : tuple of pathlib.Path
        The files, in the order of z; of several time points one after the other.
    positions : ndarray of shape (z, 3), float64, or None
        Centre of the first voxel of each slice, LPS in mm: also where uneven steps leave
        `affine` without a third column. None where the file does not tell.
    time_axis : str
        With several time points, the DICOM keyword that told them apart and gave their
        order, such as "TemporalPositionIdentifier" or "EchoTime", of one multi-frame file
        "FrameContentSequence"; "" otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> volume = Volume(np.zeros((2, 3, 4), np.float32), "HU", (2.0, 1.0, 1.0), np.eye(4))
    >>> volume.physical_spacing()
    (2.0, 1.0, 1.0)
    """

    array: NDArray[np.float32]
    units: str
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    valid: NDArray[np.bool_] | None = None
    modality: str = ""
    source: tuple[Path, ...] = ()
    positions: NDArray[np.float64] | None = None
    time_axis: str = ""

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.array.shape))
        spacing = ", ".join(f"{s:.4g}" for s in self.spacing)
        return f"Volume({self.modality or 'image'}, {size}, {self.units}, ({spacing}) mm)"

    @property
    def affine_ras(self) -> NDArray[np.float64]:
        """Return the affine to RAS coordinates, as NIfTI has them (x right, y front)."""
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine

    def physical_spacing(self) -> tuple[float, float, float]:
        """Return `spacing` for physical use.

        Returns
        -------
        tuple of float
            (z, y, x) in mm.

        Raises
        ------
        GeometryError
            If one of them is not known.
        """
        if not all(math.isfinite(s) for s in self.spacing):
            where = f"{self.source[0]}: " if self.source else ""
            raise GeometryError(
                f"{where}the spacing (z, y, x) = {self.spacing} mm is not known, so nothing "
                "can be measured in mm; give the volume its spacing with dataclasses.replace."
            )
        return self.spacing
