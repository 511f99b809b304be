"""Regions of interest: bring a mask to a scan's grid, and crop the scan to it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmm.errors import GeometryError
from fastmm.image.resampling import resample
from fastmm.image.resizing import resize
from fastmm.read.reading import read_volume
from fastmm.read.volume import Volume

__all__ = ["Region", "crop_to_region", "mask_on", "read_region"]


class Region(NamedTuple):
    """The slices of a scan that its mask marks, cropped to it.

    Parameters
    ----------
    images, mask : arrays of shape (slices, h, w), float32 and bool
        Intensities, and where the mask is.
    units : str
        Unit of the intensities.
    n_bytes : int
        Bytes of the scan's files.
    """

    images: np.ndarray[Any, Any]
    mask: np.ndarray[Any, Any]
    units: str
    n_bytes: int


def read_region(
    path: Path,
    mask: Path,
    shape: tuple[int, int],
    margin: float,
    channel: int | None,
    suv: bool,
) -> Region:
    """Read a scan and its mask, and crop the one to the other.

    Parameters
    ----------
    path, mask : Path
        File or folder of the scan, and of the mask: a volume (any voxel that is not 0
        belongs to the region) in the same space, on any grid, or pictures of the same size.
    shape : (height, width)
        The crop gets these proportions, so that a later resize distorts nothing.
    margin : float
        Share of the box's sides that is added on each side.
    channel, suv
        As in `read_volume`.

    Returns
    -------
    Region
        On the host.

    Raises
    ------
    GeometryError
        If mask and scan do not meet, or cannot be brought together.
    """
    scan = read_volume(path, channel=channel, suv=suv)
    where = mask_on(scan, read_volume(mask, nonfinite=0.0, channel=0, invert=False))
    if not where.any():
        raise GeometryError("The mask marks no voxel of the scan's slices.")
    images, inside = crop_to_region(scan.array, where, shape, margin)
    n_bytes = sum(file.stat().st_size for file in scan.source)
    return Region(images, inside, scan.units, n_bytes)


def mask_on(scan: Volume, mask: Volume) -> np.ndarray[Any, Any]:
    """Return the mask on the grid of the scan, bool: nearest voxel, False beyond its ends."""
    placed = all(
        math.isfinite(float(np.sum(volume.affine))) and np.isfinite(volume.spacing).all()
        for volume in (scan, mask)
    )
    if placed:
        moved = resample(mask, like=scan, interpolation="nearest", fill=0.0)
        where: np.ndarray[Any, Any] = moved.array != 0
        return where
    if mask.array.shape != scan.array.shape:
        raise GeometryError(
            f"A mask without a known place must have the shape of its scan, {scan.array.shape}, "
            f"got {mask.array.shape}."
        )
    return mask.array != 0


def crop_to_region(
    images: Any, mask: Any, shape: tuple[int, int], margin: float
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the slices that the mask marks, cropped to one box around all of it.

    The box gets `margin`, and the proportions of `shape`, as far as the image reaches.
    """
    kept = np.flatnonzero(mask.any(axis=(1, 2)))
    flat = mask.any(axis=0)
    ends = [np.flatnonzero(flat.any(axis=1 - axis))[[0, -1]] for axis in (0, 1)]
    sides = [(last - first + 1) * (1 + 2 * margin) for first, last in ends]
    scale = max(side / want for side, want in zip(sides, shape, strict=True))
    box = []
    for (first, last), want, size in zip(ends, shape, mask.shape[1:], strict=True):
        length = min(max(round(want * scale), last - first + 1), size)
        start = round((first + last + 1 - length) / 2)
        start = min(max(start, 0), size - length)
        box.append(slice(start, start + length))
    return np.ascontiguousarray(images[kept][:, *box]), mask[kept][:, *box]


def fit_region(region: Region, shape: tuple[int, int], modality: Any, xp_array: Any) -> Any:
    """Blank, window, resize and normalise a region's slices; `xp_array` brings them to a device.

    For "statistics", what lies outside the mask becomes NaN.
    """
    from fastmm.image.intensity import normalize, window

    images, mask = region.images, region.mask
    own = modality.features == "statistics" or modality.outside == "blank"
    if own:
        images = np.where(mask, images, images[mask].min())
    images = xp_array(images.astype(np.float32))
    if modality.window is not None:
        images = window(images, *modality.window)
    images = resize(images, shape)
    inside = None
    if own:
        inside = resize(xp_array(mask.astype(np.float32)), shape) >= 0.5
        inside |= ~inside.any(axis=(1, 2))[:, None, None]  # a thread that the resize lost
    if modality.normalize is not None:
        images = normalize(images, modality.normalize, mask=inside)
    if modality.features == "statistics":
        images[~inside] = np.nan
    return images
