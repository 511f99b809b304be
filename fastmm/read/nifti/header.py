"""What the header of a NIfTI file says: its grid, rescale and place, checked together."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm import _check
from fastmm.errors import LimitError, NiftiError
from fastmm.read import limits
from fastmm.read.nifti.bounded import ByteStream
from fastmm.read.nifti.fields import (
    EXPECTED,
    dtype_of,
    grid_of,
    offset_of,
    pair_of,
    parse,
    scaling_of,
)
from fastmm.read.nifti.geometry import place
from fastmm.read.regular import open_regular

__all__ = ["NiftiHeader", "read_nifti_header"]

_MOST_INFLATED = 1032  # bytes that one byte of gzip can stand for
_FRAME_BYTES = 64  # that a slice costs, be it as small as it may


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """What one NIfTI file says about its voxels, checked; no voxel is read.

    Attributes
    ----------
    path, data_path : pathlib.Path
        The file given, and the one with the voxels (the .img of a pair).
    shape : tuple of int
        (z, y, x), the axes (k, j, i) of the file.
    times : int or None
        Number of time points that are read, None where the array has no axis of time.
    frames : int
        Images along z, of all time points read, in the order they are stored.
    dtype : numpy.dtype
        Of the voxels in the file, with its byte order.
    offset : int
        Of the first voxel that is read, in bytes of the (inflated) file.
    last : bool
        Whether the last voxel of the file is among those read.
    slope, intercept : ndarray of shape (frames,), float64
        1 and 0 where scl_slope is 0 or NaN.
    spacing : tuple of float, (z, y, x) in mm
        Column norms of the affine; NaN where the file does not tell.
    affine : ndarray of shape (4, 4), float64
        Index (x, y, z, 1) to LPS mm; NaN without sform and qform.
    units, modality : str
        "stored" and "": NIfTI names neither.
    notes : tuple of str
        What the caller should be warned of.

    Examples
    --------
    >>> import nibabel, numpy as np
    >>> nibabel.Nifti1Image(np.zeros((5, 4, 3), np.int16), np.eye(4)).to_filename("a.nii.gz")
    >>> header = read_nifti_header("a.nii.gz")
    >>> header.shape, header.frames, header.spacing
    ((3, 4, 5), 3, (1.0, 1.0, 1.0))
    """

    path: Path
    data_path: Path
    shape: tuple[int, int, int]
    times: int | None
    frames: int
    dtype: np.dtype[Any]
    offset: int
    last: bool
    slope: NDArray[np.float64]
    intercept: NDArray[np.float64]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    units: str
    modality: str
    notes: tuple[str, ...]


def read_nifti_header(path: str | os.PathLike[str], *, time: str | int = "raise") -> NiftiHeader:
    """Read and check the header of a NIfTI-1 or NIfTI-2 file.

    Parameters
    ----------
    path : str or PathLike
        A .nii or .nii.gz file, or either file of a .hdr/.img pair. The content tells
        whether it is gzipped.
    time : "raise", "stack" or int, default "raise"
        What to do with several time points: refuse, take all, or take that one (from 0).

    Returns
    -------
    NiftiHeader
        See `NiftiHeader`.

    Raises
    ------
    NiftiError
        If the file is damaged, cut, contradicts itself, is Analyze 7.5 (which has no
        place in space), or holds colors, complex numbers, or more than four axes.
    GeometryError
        If the spacing is zero or not finite, or the affine singular.
    LimitError
        If the image would take more than ``fastmm.read.limits.MAX_BYTES`` as float32.
    FileNotFoundError, PermissionError
        If the path, or the other file of the pair, cannot be read.

    Notes
    -----
    Trailing axes of size 1 are dropped. xyzt_units in metres and micrometres become mm;
    unknown ones are taken for mm. Extensions are skipped. Nibabel interprets the fields,
    without its checks, which would log and mend what this reader refuses.

    Examples
    --------
    See `NiftiHeader`.
    """
    path = Path(path)
    if isinstance(time, str):
        _check.one_of(time, "time", ("raise", "stack"))
    else:
        time = _check.integer(time, "time", minimum=0)
    header_path, data_path = pair_of(path)
    with open_regular(header_path, NiftiError, EXPECTED) as file:
        stream = ByteStream(header_path, file)
        head, single = parse(header_path, bytes(stream.read(540)), header_path != data_path)
    size, dtype = grid_of(path, head), dtype_of(path, head)
    start, times, frames = _chosen(path, size, time)
    needed = frames * max(size[2] * size[3] * 4, _FRAME_BYTES)
    if needed > limits.MAX_BYTES:
        raise LimitError(
            f"{path}: {frames} slices of {size[2]} x {size[3]} voxels need {needed:.3g} bytes as "
            f"float32, more than the {limits.MAX_BYTES} of fastmm.read.limits.MAX_BYTES; "
            "raise the limit if the file is right."
        )
    offset = offset_of(path, head, single)
    _check_size(data_path, offset, math.prod(size) * dtype.itemsize)
    slope, intercept = scaling_of(path, head)
    spacing, affine, notes = place(path, head, (size[3], size[2], size[1]))
    return NiftiHeader(
        path=path,
        data_path=data_path,
        shape=size[1:],
        times=times,
        frames=frames,
        dtype=dtype,
        offset=offset + start * dtype.itemsize,
        last=start + frames * size[2] * size[3] == math.prod(size),
        slope=np.full(frames, slope),
        intercept=np.full(frames, intercept),
        spacing=spacing,
        affine=affine,
        units="stored",
        modality="",
        notes=notes,
    )


def _chosen(
    path: Path, size: tuple[int, int, int, int], time: str | int
) -> tuple[int, int | None, int]:
    """Return the first voxel to read, the time points as an axis, and the slices."""
    times, z, y, x = size
    if time == "stack":
        return 0, times, times * z
    if time == "raise":
        if times > 1:
            raise NiftiError(
                f"{path}: has {times} time points; choose one with `time=` (from 0), or read "
                'them all with `time="stack"`.'
            )
        return 0, None, z
    if int(time) >= times:
        raise ValueError(f"`time` must lie in 0 to {times - 1} for {path}, got {time}.")
    return int(time) * z * y * x, None, z


def _check_size(path: Path, offset: int, expected: int) -> None:
    """Compare what the header promises with what a plain file holds."""
    with open_regular(path, NiftiError, EXPECTED) as file:
        got = os.fstat(file.fileno()).st_size - offset
        if ByteStream(path, file).gzipped:
            # How much there is, is known only after it is inflated: but never more than this.
            got = (got + offset) * _MOST_INFLATED - offset
            if got < expected:
                raise NiftiError(
                    f"{path}: is cut: expected {expected} bytes of voxels, which its gzip data "
                    "cannot hold."
                )
            return
        got = max(0, got)
    if got < expected:
        raise NiftiError(f"{path}: is cut: expected {expected} bytes of voxels, got {got}.")
    if got >= 2 * expected:
        raise NiftiError(
            f"{path}: holds more than its header says: expected {expected} bytes of voxels, "
            f"got {got}."
        )
