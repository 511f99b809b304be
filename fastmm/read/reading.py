"""Read a volume from a file or from a folder of slices."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastmm import _check
from fastmm.errors import DicomError, LimitError
from fastmm.read import dicom
from fastmm.read.dicom import read_header, read_pixels
from fastmm.read.geometry import affine_of, check_grid
from fastmm.read.header import Header
from fastmm.read.series import choose_series, find_members, sort_slices
from fastmm.read.volume import Volume

__all__ = ["read_volume"]


def read_volume(
    path: str | os.PathLike[str],
    *,
    series: str | int | None = None,
    nonfinite: str | float = "raise",
    gaps: str = "raise",
) -> Volume:
    """Read a volume from a DICOM file or from a folder with the slices of one series.

    Slices are put in the order of ImagePositionPatient along the normal (row direction x
    column direction), and the step between them comes from their positions. Values are
    stored * RescaleSlope + RescaleIntercept, each slice with its own, in float64.

    Parameters
    ----------
    path : str or PathLike
        A DICOM file, or a folder, which is searched with its sub-folders. Files that are
        no DICOM are skipped, with a warning if their suffix says they are.
    series : str or int, optional
        Which series of a folder: its SeriesInstanceUID, or the number (from 0) in the list
        that the error about several series shows.
    nonfinite : "raise" or float, default "raise"
        What NaN and infinite voxels become. Integer pixels, the only ones read from DICOM,
        can have none.
    gaps : "raise" or "accept", default "raise"
        With "accept" uneven steps and missing slices are read; spacing and affine are then
        NaN along z.

    Returns
    -------
    Volume
        On the host.

    Raises
    ------
    DicomError
        If a file is damaged, needs a decoder, or the folder holds several series.
    GeometryError
        If the slices form no regular grid: gaps, a tilted gantry, differing images at one
        place, missing positions.
    LimitError
        If the volume would take more than ``fastmm.read.dicom.MAX_BYTES``.
    FileNotFoundError, PermissionError
        If the path cannot be read.

    Notes
    -----
    Headers are read first, and checked together, then pixels slice by slice into the
    result, so that the peak is the volume and one slice. A step may miss the regular grid
    by 5 % of itself. MONOCHROME1 is inverted for CR, DX, MG, XA, RF and OT only. CT without
    rescale has units "stored" and gives a warning.

    References
    ----------
    DICOM PS3.3, C.7.6.2 Image Plane Module.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> volume = read_volume(get_testdata_file("CT_small.dcm"))
    >>> volume.array.shape, volume.units
    ((1, 128, 128), 'HU')
    """
    _check.one_of(gaps, "gaps", ("raise", "accept"))
    if isinstance(nonfinite, str):
        _check.one_of(nonfinite, "nonfinite", ("raise",))
    else:
        _check.number(nonfinite, "nonfinite")
    if series is not None and not isinstance(series, str):
        series = _check.integer(series, "series", minimum=0)
    path = Path(path)
    notes: list[str] = []
    headers = _folder(path, series, notes) if path.is_dir() else [read_header(path)]
    headers, more = sort_slices(headers)
    notes += more
    spacing = _spacing(headers, gaps)
    array, valid = _assemble(headers)
    for note in dict.fromkeys([*notes, *(n for h in headers for n in h.notes)]):
        warnings.warn(f"{path}: {note}.", UserWarning, stacklevel=2)
    first = headers[0]
    return Volume(
        array=array,
        units=first.units,
        spacing=spacing,
        affine=affine_of(
            first.orientation, None if first.positions is None else first.positions[0], spacing
        ),
        valid=valid,
        modality=first.modality,
        source=tuple(h.path for h in headers),
    )


def _folder(path: Path, series: str | int | None, notes: list[str]) -> list[Header]:
    members, skipped = find_members(path)
    if skipped:
        notes.append(f"{len(skipped)} files are no DICOM despite their suffix and were skipped")
    for member in members:
        if member.error is not None:
            raise member.error
    headers = [m.header for m in members if m.header is not None]
    if not headers:
        raise DicomError(f"{path}: holds no DICOM images.")
    return choose_series(path, headers, series)


def _spacing(headers: Sequence[Header], gaps: str) -> tuple[float, float, float]:
    first = headers[0]
    step = first.thickness if first.layout.frames == 1 else math.nan
    if len(headers) > 1:
        step = check_grid(
            [h.path.name for h in headers],
            np.array([h.positions[0] for h in headers if h.positions is not None]),
            first.orientation or (),
            min(first.spacing),
            uneven=gaps,
        )
    return (step, *first.spacing)


def _assemble(
    headers: Sequence[Header],
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    layout = headers[0].layout
    depth = sum(h.layout.frames for h in headers)
    shape = (depth, layout.rows, layout.columns)
    if math.prod(shape) * 4 > dicom.MAX_BYTES:
        raise LimitError(
            f"{headers[0].path.parent}: {depth} slices of {shape[1]} x {shape[2]} pixels need more "
            f"than the {dicom.MAX_BYTES} bytes of fastmm.read.dicom.MAX_BYTES."
        )
    array = np.empty(shape, np.float32)
    valid: NDArray[np.bool_] | None = None
    lowest, start = math.inf, 0
    for header in headers:
        part = read_pixels(header)
        here = slice(start, start := start + part.stored.shape[0])
        array[here] = part.values()
        if part.valid is not None:
            valid = np.ones(shape, bool) if valid is None else valid
            valid[here] = part.valid
        good = array[here] if part.valid is None else array[here][part.valid]
        lowest = min(lowest, float(good.min(initial=math.inf)))
    if valid is not None:
        if math.isinf(lowest):
            raise DicomError(f"{headers[0].path}: every pixel is padding.")
        array[~valid] = lowest
    return array, valid
