"""Files of images, whatever their format: DICOM, NIfTI, PNG, JPEG and TIFF by content."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np

from fastmm.errors import DicomError
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.slices import read_header, read_pixels
from fastmm.read.finiteness import require_finite
from fastmm.read.folder import kind_of
from fastmm.read.nifti.volumes import NiftiHeader, read_nifti, read_nifti_header
from fastmm.read.pictures.volumes import PictureHeader, read_picture, read_picture_header
from fastmm.read.source import Slice, Source

__all__ = ["find_pictures", "natural_order", "picture_files", "read_source", "read_stored"]

_PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff"}
_NIFTI_SUFFIXES = {".nii", ".hdr", ".img"}
_NUMBER = re.compile(r"([0-9]+)")


def read_source(path: str | os.PathLike[str]) -> Source:
    """Read what a file says about its images; its content tells the format.

    Parameters
    ----------
    path : str or PathLike
        A DICOM, NIfTI, PNG, JPEG or TIFF file, whatever its suffix.

    Returns
    -------
    Source
        A DICOM `Header`, a `NiftiHeader` or a `PictureHeader`.

    Raises
    ------
    DicomError, NiftiError, PictureError
        If the file is damaged, or of no format that is read: then the suffix decides which.
    GeometryError, LimitError
        As the reader of the format.
    FileNotFoundError, PermissionError
        If the path cannot be read.

    Notes
    -----
    A pipe or a device is never opened. nibabel is imported for NIfTI only.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> read_source(get_testdata_file("CT_small.dcm")).units
    'HU'
    """
    path = Path(path)
    kind, suffix = kind_of(path), path.suffix.lower()
    if kind == "NIfTI":
        return read_nifti_header(path)
    if kind not in ("", "DICOM") or (not kind and suffix in _PICTURE_SUFFIXES):
        return read_picture_header(path)
    if not kind:
        if suffix == ".gz":
            suffix = path.with_suffix("").suffix.lower()
        if suffix in _NIFTI_SUFFIXES:
            return read_nifti_header(path)
    return read_header(path)


def read_stored(
    source: Source, channel: int | None = None, *, nonfinite: str | float = "raise"
) -> Slice:
    """Read the stored pixels of a source.

    Parameters
    ----------
    source : Source
        From `read_source`.
    channel : int, optional
        0, 1 or 2: the channel of colour images. Without it colour is an error unless the
        three channels are equal.
    nonfinite : "raise" or float, default "raise"
        What NaN and infinite values become, in units of the rescaled values. Padding is not
        looked at.

    Returns
    -------
    Slice
        On the host.

    Raises
    ------
    DicomError, NiftiError, PictureError, LimitError, FileNotFoundError, PermissionError
        As `read_pixels`, `read_nifti` and `read_picture`.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> read_stored(read_source(get_testdata_file("CT_small.dcm"))).stored.shape
    (1, 128, 128)
    """
    if isinstance(source, PictureHeader):
        return read_picture(source, channel=channel, nonfinite=nonfinite)
    if isinstance(source, NiftiHeader):
        return read_nifti(source, nonfinite=nonfinite)
    if isinstance(source, Header):
        return _finite(read_pixels(source, channel=channel), nonfinite)
    raise TypeError(f"`source` must come from read_source, got {type(source).__name__}.")


def _finite(part: Slice, nonfinite: str | float) -> Slice:
    if part.stored.dtype.kind != "f":
        return part
    header, stored = part.header, part.stored
    if part.valid is not None:
        stored = np.where(part.valid, stored, 0)
    stored = require_finite(
        header.path, stored, header.slope, header.intercept, nonfinite, DicomError
    )
    return Slice(header, stored, part.valid, part.n_bytes)


def picture_files(folder: str | os.PathLike[str]) -> list[Path]:
    """List the pictures of a folder in natural order: img2 before img10.

    Parameters
    ----------
    folder : str or PathLike
        A folder; its sub-folders are not searched, for they are stacks of their own.

    Returns
    -------
    list of pathlib.Path
        The first part of what `find_pictures` returns.

    Raises
    ------
    FileNotFoundError, PermissionError
        If the folder cannot be read.

    Examples
    --------
    >>> from PIL import Image
    >>> folder = Path("stack")
    >>> folder.mkdir()
    >>> for name in ("img10.png", "img2.png", "Img1.png"):
    ...     Image.new("L", (2, 2)).save(folder / name)
    >>> [path.name for path in picture_files(folder)]
    ['Img1.png', 'img2.png', 'img10.png']
    """
    return find_pictures(folder)[0]


def find_pictures(folder: str | os.PathLike[str]) -> tuple[list[Path], list[Path]]:
    """List the pictures of a folder in natural order, and the files that are none.

    Parameters
    ----------
    folder : str or PathLike
        A folder; hidden files and sub-folders are left out of both lists.

    Returns
    -------
    pictures : list of pathlib.Path
        Files whose content is that of a PNG, JPEG or TIFF file, and files that call
        themselves so by their suffix: reading those that are none is an error, so that a
        damaged slice is never left out.
    others : list of pathlib.Path
        All other files: tables, texts, thumbnails, and other formats.

    Raises
    ------
    FileNotFoundError, PermissionError
        If the folder cannot be read.

    Examples
    --------
    >>> from PIL import Image
    >>> folder = Path("pictures")
    >>> folder.mkdir()
    >>> Image.new("L", (2, 2)).save(folder / "only.png")
    >>> (folder / "Thumbs.db").touch()
    >>> [[path.name for path in paths] for paths in find_pictures(folder)]
    [['only.png'], ['Thumbs.db']]
    """
    pictures: list[Path] = []
    others: list[Path] = []
    for path in sorted(Path(folder).iterdir(), key=natural_order):
        if path.name.startswith(".") or path.is_dir():
            continue
        named = path.suffix.lower() in _PICTURE_SUFFIXES
        (pictures if named or _is_picture(path) else others).append(path)
    return pictures, others


def natural_order(path: Path) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Give the key that sorts names by the value of the numbers in them.

    Parameters
    ----------
    path : pathlib.Path
        Only its name matters.

    Returns
    -------
    tuple
        Numbers come before text; text is compared without case, names that are then equal
        by their characters. The locale has no say.

    Examples
    --------
    >>> names = ["b1", "a10", "a9", "A010"]
    >>> sorted(names, key=lambda name: natural_order(Path(name)))
    ['a9', 'A010', 'a10', 'b1']
    """
    parts = [part for part in _NUMBER.split(path.name.casefold()) if part]
    key = tuple((0, int(p), "") if _NUMBER.fullmatch(p) else (1, 0, p) for p in parts)
    return key, path.name


def _is_picture(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOENT):  # a link in a circle, or to nowhere
            return False
        if isinstance(error, PermissionError):
            raise
    return kind_of(path) not in ("", "DICOM", "NIfTI")
