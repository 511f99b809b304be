"""What a scan and its mask take of memory, told by their headers before a pixel is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from fastmm.loading.parts import stored_bytes
from fastmm.read.dicom.header import Header
from fastmm.read.rows import plan_rows
from fastmm.read.source import Source
from fastmm.streams.limits import say_bytes

__all__ = ["check_region", "region_bytes"]

_VOXEL = 5  # a float32 value, and whether it is valid
_DECODED = 3  # copies of the stored pixels of a file while it is decoded
_RESCALED = 20  # bytes a voxel of a DICOM file while its values are computed in doubles


class _Volume(NamedTuple):
    voxels: int
    slices: int
    reading: int  # bytes beside the volume, while the largest of its files is read


def check_region(path: Path, mask: Path, modality: Any, limit: int) -> None:
    """Refuse a scan that does not fit into `limit` bytes with its mask.

    Parameters
    ----------
    path, mask : Path
        As for `fastmm.regions.cropping.read_region`.
    modality : ImageModality
        What becomes of them.
    limit : int
        Bytes.

    Raises
    ------
    ValueError
        If they take more.
    FastmmError, OSError
        If a header cannot be read.
    """
    least = region_bytes(path, mask, modality)
    if limit < least:
        raise ValueError(
            f"`memory_limit` must be at least {say_bytes(least)} here, got {say_bytes(limit)}: a "
            "scan and its mask are read as wholes, and brought to one grid."
        )


def region_bytes(path: Path, mask: Path, modality: Any) -> int:
    """Return the most bytes that `fastmm.regions.cropping.read_region` takes at any time.

    Parameters
    ----------
    path, mask, modality
        As for `check_region`.

    Returns
    -------
    int
        As if the mask marked all voxels.
    """
    scan, other = _volume(path), _volume(mask)
    read = _VOXEL * scan.voxels
    both = read + _VOXEL * other.voxels
    # The mask on the scan's grid: as floats, where it is known, and as the mask it becomes.
    moved = both + (4 + 1 + 1) * scan.voxels
    cropped = read + (1 + _VOXEL) * scan.voxels
    # The crop, its pixels that are marked, and both images and mask resized.
    result: int = scan.slices * math.prod(modality.shape)
    resized = (_VOXEL + 5) * scan.voxels + 9 * result
    return max(read + scan.reading, both + other.reading, moved, cropped, resized)


def _volume(path: Path) -> _Volume:
    jobs = [job.header for job in plan_rows([path], None, None).jobs]
    voxels = sum(header.frames * _pixels(header) for header in jobs)
    reading = max((_reading(header) for header in jobs), default=0)
    return _Volume(voxels, sum(header.frames for header in jobs), reading)


def _reading(source: Source) -> int:
    doubles = _RESCALED * source.frames * _pixels(source) if isinstance(source, Header) else 0
    return _DECODED * stored_bytes(source) + doubles


def _pixels(source: Source) -> int:
    if isinstance(source, Header):
        return source.layout.rows * source.layout.columns
    shape: tuple[int, ...] = getattr(source, "shape", ())  # of NIfTI and pictures
    return math.prod(shape[-2:])
