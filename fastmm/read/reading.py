"""Read a volume from a file or from a folder, whatever its format."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastmm import _check
from fastmm.errors import FastmmError
from fastmm.read.dicom.directory import is_directory, referenced_files
from fastmm.read.dicom.header import Header, NoImageError
from fastmm.read.dicom.series import choose_series, read_members
from fastmm.read.dicom.slices import read_header
from fastmm.read.dicom.volumes import Options, dicom_volume
from fastmm.read.finiteness import check_nonfinite
from fastmm.read.folder import is_folder, kind_of, look_into
from fastmm.read.other_formats import beside, files_of
from fastmm.read.volume import Volume

__all__ = ["read_volume"]


def read_volume(
    path: str | os.PathLike[str],
    *,
    series: str | int | None = None,
    nonfinite: str | float = "raise",
    gaps: str = "raise",
    tilt: str = "raise",
    time: str | int = "raise",
    channel: int | None = None,
    suv: bool = False,
    invert: bool = True,
) -> Volume:
    """Read a volume from a file, or from a folder with the slices of one series.

    Slices are put in the order of ImagePositionPatient along the normal (row direction x
    column direction), and the step between them comes from their positions. Values are
    stored * RescaleSlope + RescaleIntercept, each slice with its own, in float64.

    Parameters
    ----------
    path : str or PathLike
        A DICOM file, single-frame or multi-frame; a NIfTI file; a PNG, JPEG or TIFF
        picture; a DICOMDIR, which stands for the images it refers to; or a folder, which is
        searched with its sub-folders, hidden files left out. A folder holds one DICOM
        series, one NIfTI file, or pictures that are stacked in the natural order of their
        names. The content of a file decides what it is, not its suffix.
    series : str or int, optional
        Which DICOM series of a folder or DICOMDIR: its SeriesInstanceUID, or the number
        (from 0) in the list that the error about several series shows. Files of other
        formats in the folder are then passed over.
    nonfinite : "raise" or float, default "raise"
        What NaN and infinite voxels of floating-point files become.
    gaps : "raise" or "accept", default "raise"
        With "accept" uneven steps and missing slices are read; spacing and affine are then
        NaN along z, and `Volume.positions` has the place of each slice.
    tilt : "raise" or "shear", default "raise"
        With "shear" the slices of a tilted gantry are read as they are. The third column of
        the affine is the way from slice to slice, (p_last - p_first) / (n - 1) for even
        steps, and spacing z is the step along the normal.
    time : "raise", "stack" or int, default "raise"
        Several images at each place (time points, echoes, b-values): "stack" reads them as
        (t, z, y, x), a number reads one of them, counted from 0.
    channel : int, optional
        0, 1 or 2: the channel of colour images. Without it, colour is an error unless red,
        green and blue are equal.
    suv : bool, default False
        Convert PET in Bq/ml to standardised uptake values by body weight.
    invert : bool, default True
        Invert MONOCHROME1 of CR, DX, MG, XA, RF and OT; False leaves it as it is stored.

    Returns
    -------
    Volume
        On the host.

    Raises
    ------
    DicomError, NiftiError, PictureError
        If a file is damaged, needs a decoder, or the folder holds several series.
    GeometryError
        If the slices form no regular grid: gaps, a tilted gantry, differing images at one
        place, missing positions, time points that are incomplete.
    LimitError
        If the volume would take more than ``fastmm.read.limits.MAX_BYTES``.
    FileNotFoundError, PermissionError
        If the path cannot be read.
    FastmmError
        If the path leads nowhere in another way: links in a circle, a name that is too long.

    Notes
    -----
    Headers are read first, and checked together, then pixels slice by slice into the
    result, so that the peak is the volume and one slice. A step may miss the regular grid
    by 5 % of itself. MONOCHROME1 is inverted for CR, DX, MG, XA, RF and OT only. CT without
    rescale has units "stored" and gives a warning.

    Time points are in the order of the first of these tags that tells all images of every
    place apart: TemporalPositionIdentifier, TriggerTime, EchoTime, DiffusionBValue,
    AcquisitionNumber, AcquisitionTime with its date, ContentTime with its date,
    InstanceNumber; `Volume.time_axis` says which. Images of one time point that differ in
    temporal position, echo time, b-value, inversion time, flip angle or ImageType are an
    error. Copies of a slice are dropped with a warning.

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
    options = _options(nonfinite, gaps, tilt, time, channel, suv, invert)
    if series is not None and not isinstance(series, str):
        series = _check.integer(series, "series", minimum=0)
    path = Path(path)
    notes: list[str] = []
    headers: Sequence[Header] | Volume
    if is_folder(path):
        headers = _of_folder(path, series, options, notes)
    else:
        headers = _of_file(path, series, options)
    if isinstance(headers, Volume):
        return headers
    volume, more = dicom_volume(headers, options)
    for note in dict.fromkeys([*notes, *more]):
        warnings.warn(f"{path}: {note}.", UserWarning, stacklevel=2)
    return volume


def _options(
    nonfinite: str | float,
    gaps: str,
    tilt: str,
    time: str | int,
    channel: int | None,
    suv: bool,
    invert: bool,
) -> Options:
    _check.one_of(gaps, "gaps", ("raise", "accept"))
    _check.one_of(tilt, "tilt", ("raise", "shear"))
    nonfinite = check_nonfinite(nonfinite)
    if isinstance(time, str):
        _check.one_of(time, "time", ("raise", "stack"))
    else:
        time = _check.integer(time, "time", minimum=0)
    if channel is not None:
        channel = _check.integer(channel, "channel", minimum=0)
        if channel > 2:
            raise ValueError(f"`channel` must be 0, 1 or 2, got {channel}.")
    for name, value in (("suv", suv), ("invert", invert)):
        if not isinstance(value, bool):
            raise TypeError(f"`{name}` must be True or False, got {value!r}.")
    return Options(nonfinite, gaps, tilt, time, channel, suv, invert)


def _of_file(path: Path, series: str | int | None, options: Options) -> Sequence[Header] | Volume:
    kind = kind_of(path)
    if kind == "NIfTI":
        return _nifti(path, options)
    if kind not in ("", "DICOM"):
        return _pictures(path, options)
    try:
        return [read_header(path)]
    except NoImageError:
        if not is_directory(path):
            raise
    return choose_series(path, _headers(referenced_files(path)), series)


def _of_folder(
    path: Path, series: str | int | None, options: Options, notes: list[str]
) -> Sequence[Header] | Volume:
    contents = look_into(path)
    if contents.skipped:
        notes.append(
            f"{len(contents.skipped)} files are no DICOM despite their suffix and were skipped"
        )
    headers = _headers(contents.dicom)
    if headers:
        return choose_series(path, headers, series, beside(contents))
    files = files_of(path, contents)
    return _nifti(files[0], options) if contents.nifti else _pictures(files, options)


def _headers(paths: Sequence[Path]) -> list[Header]:
    members, _ = read_members(paths)
    for member in members:
        if member.error is not None:
            raise member.error
    return [m.header for m in members if m.header is not None]


def _nifti(path: Path, options: Options) -> Volume:
    from fastmm.read.nifti.volumes import nifti_volume

    _refuse_suv(path, options)
    volume = nifti_volume(path, nonfinite=options.nonfinite, time=options.time)
    if volume.positions is None and np.isfinite(volume.affine).all():
        places = np.arange(volume.array.shape[-3])[:, None]
        return replace(volume, positions=volume.affine[:3, 3] + places * volume.affine[:3, 2])
    return volume


def _pictures(files: Path | list[Path], options: Options) -> Volume:
    from fastmm.read.pictures.volumes import picture_volume

    first = files if isinstance(files, Path) else files[0]
    _refuse_suv(first, options)
    if not isinstance(options.time, str) and options.time > 0:
        raise ValueError(f"`time` must be 0, since {first} has no time points, got {options.time}.")
    volume = picture_volume(files, channel=options.channel, nonfinite=options.nonfinite)
    if options.time != "stack":
        return volume
    valid = None if volume.valid is None else volume.valid[None]
    return replace(volume, array=volume.array[None], valid=valid)


def _refuse_suv(path: Path, options: Options) -> None:
    if options.suv:
        raise FastmmError(f"{path}: `suv=True` needs a DICOM PET, which tells dose and weight.")
