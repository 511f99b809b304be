"""NIfTI files as sources of images and as volumes with their place in the patient."""

from __future__ import annotations

import math
import os
import sys
import warnings

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import NiftiError
from fastmm.read.finiteness import check_nonfinite, require_finite
from fastmm.read.nifti.bounded import ByteStream
from fastmm.read.nifti.fields import EXPECTED
from fastmm.read.nifti.header import NiftiHeader, read_nifti_header
from fastmm.read.regular import open_regular
from fastmm.read.source import Slice
from fastmm.read.volume import Volume

__all__ = ["NiftiHeader", "nifti_volume", "read_nifti", "read_nifti_header"]

# Inflated bytes after the last voxel that are passed over to reach gzip's checksum.
_MOST_SURPLUS = 1 << 20


def read_nifti(header: NiftiHeader, *, nonfinite: str | float = "raise") -> Slice:
    """Read the voxels a header points to, as they are stored.

    Parameters
    ----------
    header : NiftiHeader
        From `read_nifti_header`.
    nonfinite : "raise" or float, default "raise"
        What NaN and infinite voxels become, in units of the rescaled values.

    Returns
    -------
    Slice
        On the host; the images (frames, rows, columns) are the slices along z in the order
        of the index k, time points one after the other.

    Raises
    ------
    NiftiError
        If the file is cut or damaged, holds more than its header says, or values that are
        not finite or beyond float32.

    Notes
    -----
    Of a gzipped file no more than the voxels is inflated, and 1 MiB to find its checksum.

    Examples
    --------
    >>> import nibabel, numpy as np
    >>> voxels = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    >>> nibabel.Nifti1Image(voxels, np.eye(4)).to_filename("b.nii")
    >>> read_nifti(read_nifti_header("b.nii")).stored[1, 0]
    array([ 1,  7, 13, 19], dtype=int16)
    """
    check_nonfinite(nonfinite)
    path = header.data_path
    shape = (header.frames, *header.shape[1:])
    expected = math.prod(shape) * header.dtype.itemsize
    with open_regular(path, NiftiError, EXPECTED) as file:
        stream = ByteStream(path, file)
        stream.skip(header.offset)
        raw = stream.read(expected)
        if len(raw) == expected and stream.gzipped and header.last:
            surplus = min(expected, _MOST_SURPLUS)
            if len(stream.read(surplus)) == surplus:
                raise NiftiError(
                    f"{path}: holds more than its header says: expected {expected} bytes of "
                    f"voxels, got at least {surplus} more."
                )
    if len(raw) != expected:
        raise NiftiError(f"{path}: is cut: expected {expected} bytes of voxels, got {len(raw)}.")
    stored = np.frombuffer(raw, header.dtype).reshape(shape)
    stored = stored.astype(header.dtype.newbyteorder("="), copy=False)
    stored = require_finite(
        header.path, stored, header.slope, header.intercept, nonfinite, NiftiError
    )
    return Slice(header, stored, None, expected)


def nifti_volume(
    path: str | os.PathLike[str],
    *,
    nonfinite: str | float = "raise",
    time: str | int = "raise",
) -> Volume:
    """Read a NIfTI file as a volume.

    Parameters
    ----------
    path : str or PathLike
        A .nii or .nii.gz file, or either file of a .hdr/.img pair.
    nonfinite : "raise" or float, default "raise"
        What NaN and infinite voxels become.
    time : "raise", "stack" or int, default "raise"
        With "stack" the array is (t, z, y, x); with a number it is that time point.

    Returns
    -------
    Volume
        On the host; array (z, y, x) is the file's (i, j, k) transposed, units "stored",
        the affine in LPS.

    Raises
    ------
    NiftiError, GeometryError, LimitError, FileNotFoundError, PermissionError
        As `read_nifti_header` and `read_nifti`.

    Notes
    -----
    value = stored * scl_slope + scl_inter, in float64, rounded once to float32. The sform
    comes before the qform, with a warning where they differ; without either only the
    spacing is known, and the affine is NaN.

    References
    ----------
    R. W. Cox et al., "A (sort of) new image data format standard: NIfTI-1", NeuroImage 22
    (2004) e1440.

    Examples
    --------
    >>> import nibabel, numpy as np
    >>> affine = np.diag([2.0, 2.0, 3.0, 1.0])
    >>> nibabel.Nifti1Image(np.zeros((5, 4, 3), np.int16), affine).to_filename("c.nii")
    >>> volume = nifti_volume("c.nii")
    >>> volume.array.shape, volume.spacing, volume.affine.diagonal()
    ((3, 4, 5), (3.0, 2.0, 2.0), array([-2., -2.,  3.,  1.]))
    """
    header = read_nifti_header(path, time=time)
    part = read_nifti(header, nonfinite=nonfinite)
    array: NDArray[np.float32] = np.empty(part.stored.shape, np.float32)
    for k, (slope, intercept) in enumerate(zip(header.slope, header.intercept, strict=True)):
        plain = slope == 1 and intercept == 0
        array[k] = part.stored[k] if plain else part.stored[k] * slope + intercept
    if header.times is not None:
        array = array.reshape(header.times, *header.shape)
    for note in header.notes:
        warnings.warn(f"{header.path}: {note}.", UserWarning, stacklevel=_caller())
    return Volume(
        array=array,
        units=header.units,
        spacing=header.spacing,
        affine=header.affine,
        source=(header.path,),
    )


def _caller() -> int:
    """Count the frames from the warning to the first one outside of fastmm."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("fastmm."):
        frame, level = frame.f_back, level + 1
    return level
