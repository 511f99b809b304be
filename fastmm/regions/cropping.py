"""Regions of interest: bring a mask to a scan's grid, and crop the scan to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.errors import GeometryError
from fastmm.image.resampling import resample
from fastmm.image.resizing import resize
from fastmm.read.reading import read_volume
from fastmm.read.volume import Volume
from fastmm.regions.sizes import RegionSize, has_lengths, measure_region

__all__ = ["Region", "mask_on", "read_region", "region_box"]

_AT_ONCE = 8 << 20  # bytes of slices that are windowed and normalised before they are cropped


class Region(NamedTuple):
    """The slices of a scan that its mask marks, cropped to it and brought to one shape.

    Parameters
    ----------
    images : array of shape (slices, h, w), float32
        Intensities, on the device.
    units : str
        Unit of the intensities as they were read.
    n_bytes : int
        Bytes of the scan's files.
    size : RegionSize or None
        Size of the region, if it was asked for.
    """

    images: Any
    units: str
    n_bytes: int
    size: RegionSize | None = None


def read_region(path: Path, mask: Path, modality: Any, space: Space) -> Region:
    """Read a scan and its mask, and crop the one to the other.

    The scan is windowed and normalised as a whole, slice by slice: what a region is, it is
    against what surrounds it. Then it is cropped, blanked and resized. Slices that the mask
    leaves out are not looked at.

    Parameters
    ----------
    path, mask : Path
        File or folder of the scan, and of the mask: a volume (any voxel that is not 0
        belongs to the region) in the same space, on any grid, or pictures of the same size.
    modality : ImageModality
        What is wanted. For "statistics", pixels outside the mask become NaN.
    space : Space
        Where the images go.

    Returns
    -------
    Region
        In that space.

    Raises
    ------
    GeometryError
        If mask and scan do not meet, or cannot be brought together.
    """
    scan = read_volume(path, channel=modality.channel, suv=modality.suv)
    where, size = _marked(scan, mask, modality)
    kept, box = region_box(where, modality.shape, modality.margin)
    images = _cropped(scan, kept, box, modality, space)
    inside = space.asarray(where[kept][:, *box].copy())
    units, n_bytes = scan.units, sum(file.stat().st_size for file in scan.source)
    del scan, where
    if modality.features == "statistics" or modality.outside == "blank":
        images[~inside] = images[inside].min()
    images = resize(images, modality.shape)
    if modality.features == "statistics":
        inside = resize(inside.astype(np.float32), modality.shape) >= 0.5
        inside |= ~inside.any(axis=(1, 2))[:, None, None]  # a thread that the resize lost
        images[~inside] = np.nan
    return Region(images, units, n_bytes, size)


def _marked(
    scan: Volume, mask: Path, modality: Any
) -> tuple[np.ndarray[Any, Any], RegionSize | None]:
    """Return the mask on the grid of the scan, and the size of the region if that is asked for."""
    marked = read_volume(mask, nonfinite=0.0, channel=0, invert=False)
    size = measure_region(marked) if modality.region_size else None
    where = mask_on(scan, marked)
    if not where.any():
        raise GeometryError("The mask marks no voxel of the scan's slices.")
    return where, size


def _cropped(
    scan: Volume, kept: np.ndarray[Any, Any], box: tuple[slice, ...], modality: Any, space: Space
) -> Any:
    """Window and normalise whole slices, few at a time; return what lies in the box of each."""
    from fastmm.image.intensity import normalize, window

    height, width = scan.array.shape[1:]
    step = max(1, _AT_ONCE // (4 * height * width))
    cropped = space.empty((len(kept), *(side.stop - side.start for side in box)), np.float32)
    for start in range(0, len(kept), step):
        rows = kept[start : start + step]
        images = space.asarray(scan.array[rows].astype(np.float32, copy=False))
        if modality.window is not None:
            images = window(images, *modality.window)
        if modality.normalize is not None:
            valid = None if scan.valid is None else space.asarray(scan.valid[rows])
            images = normalize(images, modality.normalize, mask=valid)
        cropped[start : start + step] = images[:, *box]
    return cropped


def mask_on(scan: Volume, mask: Volume) -> np.ndarray[Any, Any]:
    """Return the mask on the grid of the scan, bool: nearest voxel, False beyond its ends."""
    if has_lengths(scan) and has_lengths(mask):
        moved = resample(mask, like=scan, interpolation="nearest", fill=0.0)
        where: np.ndarray[Any, Any] = moved.array != 0
        return where
    if mask.array.shape != scan.array.shape:
        raise GeometryError(
            f"A mask without a known place must have the shape of its scan, {scan.array.shape}, "
            f"got {mask.array.shape}."
        )
    own: np.ndarray[Any, Any] = mask.array != 0
    return own


def region_box(
    mask: Any, shape: tuple[int, int], margin: float
) -> tuple[np.ndarray[Any, Any], tuple[slice, ...]]:
    """Return the slices that a mask marks, and one box (rows, columns) around all of it.

    The box gets `margin`, and the proportions of `shape`, as far as the image reaches.
    """
    flat = mask.any(axis=0)
    ends = [np.flatnonzero(flat.any(axis=1 - axis))[[0, -1]] for axis in (0, 1)]
    sides = [(last - first + 1) * (1 + 2 * margin) for first, last in ends]
    scale = max(side / want for side, want in zip(sides, shape, strict=True))
    box = []
    for (first, last), want, size in zip(ends, shape, mask.shape[1:], strict=True):
        length = min(max(round(want * scale), last - first + 1), size)
        start = round((first + last + 1 - length) / 2)
        start = min(max(start, 0), size - length)
        box.append(slice(int(start), int(start + length)))
    return np.flatnonzero(mask.any(axis=(1, 2))), tuple(box)
