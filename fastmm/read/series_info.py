"""What `scan` tells of one series."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["SeriesInfo"]

_NAN = float("nan")


@dataclass(frozen=True)
class SeriesInfo:
    """What headers tell of one series, one file or one folder of pictures.

    Attributes
    ----------
    kind : str
        "DICOM", "NIfTI", "PNG", "JPEG", "TIFF"; "unreadable" for the files that cannot be
        read, and "other" for those that hold no images, so that every file is counted.
    path : pathlib.Path
        The file, or the folder that holds all files.
    n_files, n_frames : int
        Files and images.
    modality : str
        DICOM term, "" where unknown.
    shape : tuple of int, (rows, columns)
        Of each image; (0, 0) where the images differ or are not known.
    slices : int
        Number of places along z; time points share them.
    spacing : tuple of float, (z, y, x) in mm
        NaN where unknown or uneven.
    orientation : str
        "axial", "coronal", "sagittal" or "oblique", "" where unknown.
    syntax : str
        How the pixels are stored, in words.
    units : str
        Of the rescaled values.
    series : str
        SeriesInstanceUID, to choose it with ``read_volume(..., series=)``.
    problems : tuple of str
        What stands in the way of a volume, or should be known before.
    patient : str or None
        PatientID as text, only where identifiers were asked for.

    Examples
    --------
    >>> SeriesInfo("DICOM", Path("ct"), 20, 20, modality="CT", slices=20).problems
    ()
    """

    kind: str
    path: Path
    n_files: int
    n_frames: int
    modality: str = ""
    shape: tuple[int, int] = (0, 0)
    slices: int = 0
    spacing: tuple[float, float, float] = (_NAN, _NAN, _NAN)
    orientation: str = ""
    syntax: str = ""
    units: str = ""
    series: str = ""
    problems: tuple[str, ...] = ()
    patient: str | None = field(default=None, repr=False)
