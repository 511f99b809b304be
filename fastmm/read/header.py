"""What the header of one DICOM file says: its layout, rescale and place, checked together."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import DicomError, GeometryError
from fastmm.read.elements import UNDEFINED
from fastmm.read.encoding import RLE
from fastmm.read.geometry import check_orientation
from fastmm.read.layout import Layout, check_length, read_layout
from fastmm.read.rescale import read_rescale
from fastmm.read.tags import PixelElement, Tags, label, shown

__all__ = ["Header", "NoImageError", "interpret"]

# Storage classes without pixels that lie beside images: directories, waveforms,
# presentation states, raw data, reports, documents, radiotherapy structures and plans.
_NO_IMAGES = (
    "1.2.840.10008.1.3.10",
    "1.2.840.10008.5.1.4.1.1.9.",
    "1.2.840.10008.5.1.4.1.1.11.",
    "1.2.840.10008.5.1.4.1.1.66",
    "1.2.840.10008.5.1.4.1.1.88.",
    "1.2.840.10008.5.1.4.1.1.104.",
    "1.2.840.10008.5.1.4.1.1.481.3",
    "1.2.840.10008.5.1.4.1.1.481.5",
    "1.2.840.10008.5.1.4.1.1.481.8",
)


class NoImageError(DicomError):
    """A DICOM object that never has pixels: a directory, a report, a plan."""


@dataclass(frozen=True, eq=False)
class Header:
    """What one DICOM file says about its pixels, checked; no pixel is read.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    layout : Layout
        Frames, rows, columns, bits and padding of the stored pixels.
    slope, intercept : ndarray of shape (frames,), float64
        value = stored * slope + intercept; includes the inversion of MONOCHROME1 where
        the modality asks for it.
    units : str
        "HU", "SUV", "Bq/ml", "a.u." or "stored".
    modality, series, frame_of_reference, sop_class : str
        Text of the tags, "" where absent.
    spacing : tuple of float
        Distance of rows and of columns in mm, NaN where unknown.
    thickness : float
        SliceThickness in mm, NaN where unknown.
    positions : ndarray of shape (frames, 3), float64, or None
        ImagePositionPatient of each frame in mm, LPS.
    orientation : tuple of float or None
        ImageOrientationPatient (6), that of all frames.
    patient : str
        Digest of PatientID, to compare and never to show.
    notes : tuple of str
        What the caller should be warned of.
    """

    path: Path
    layout: Layout
    slope: NDArray[np.float64]
    intercept: NDArray[np.float64]
    units: str
    modality: str
    series: str
    frame_of_reference: str
    sop_class: str
    spacing: tuple[float, float]
    thickness: float
    positions: NDArray[np.float64] | None
    orientation: tuple[float, ...] | None
    patient: str = field(repr=False)
    notes: tuple[str, ...]
    syntax: str
    offset: int
    word_vr: bool

    @property
    def frames(self) -> int:
        """Number of images."""
        return self.layout.frames


def interpret(
    tags: Tags,
    syntax: str,
    sop_class: str,
    pointer: PixelElement | None,
    end: int | None,
    max_bytes: int,
) -> Header:
    """Check the tags and turn them into a header.

    `end` is the size of the file where the pixels lie in it as they are.
    """
    # A DICOMDIR has its class in the file meta information only.
    sop_class = tags.text("SOPClassUID") or sop_class
    pixels = _pixels(tags, sop_class, pointer)
    layout = read_layout(tags, max_bytes)
    notes = _check_pixels(tags.path, layout, syntax, pixels, end)
    modality = tags.text("Modality")
    if not re.fullmatch("[A-Z]{2,16}", modality):
        modality = ""  # it is shown in messages, so it must be a term
    slope, intercept, units, more = read_rescale(tags, modality, layout)
    spacing, thickness = _spacing(tags)
    orientation = tags.numbers("ImageOrientationPatient", 6)
    if orientation is not None:
        check_orientation(tags.path, orientation)
    position = tags.numbers("ImagePositionPatient", 3)
    if position is not None and not all(map(math.isfinite, position)):
        raise GeometryError(f"{tags.path}: {label('ImagePositionPatient')} is not finite.")
    patient = tags.value("PatientID") or b""
    return Header(
        path=tags.path,
        layout=layout,
        slope=np.full(layout.frames, slope),
        intercept=np.full(layout.frames, intercept),
        units=units,
        modality=modality,
        series=tags.text("SeriesInstanceUID"),
        frame_of_reference=tags.text("FrameOfReferenceUID"),
        sop_class=sop_class,
        spacing=spacing,
        thickness=thickness,
        positions=None if position is None else np.full((layout.frames, 3), position),
        orientation=orientation,
        patient=hashlib.blake2b(patient.strip(b" \0"), digest_size=16).hexdigest(),
        notes=tuple(notes + more),
        syntax=syntax,
        offset=pixels.offset,
        word_vr=pixels.vr != b"OB",
    )


def _pixels(tags: Tags, sop_class: str, found: PixelElement | None) -> PixelElement:
    """Return the integer pixels that were found; without them say what the file is."""
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if tags.has(name):
            raise DicomError(
                f"{tags.path}: enhanced multi-frame objects ({label(name)}) are not supported; "
                "convert the file to classic single-frame DICOM first."
            )
    if found is None:
        if sop_class.startswith(_NO_IMAGES):
            raise NoImageError(f"{tags.path}: holds no image (SOP class {shown(sop_class)}).")
        raise tags.fault("PixelData", "is missing: the file is cut, or it is no image")
    if found.name != "PixelData":
        raise tags.fault(found.name, "is not supported, only integer pixels")
    return found


def _check_pixels(
    path: Path, layout: Layout, syntax: str, pixels: PixelElement, end: int | None
) -> list[str]:
    undefined = pixels.length == UNDEFINED
    if undefined != (syntax == RLE):
        raise DicomError(
            f"{path}: {label('TransferSyntaxUID')} {syntax} contradicts {label('PixelData')}, "
            f"which is {'encapsulated' if undefined else 'native'}."
        )
    if syntax == RLE:
        return []
    note = check_length(path, layout, pixels.length)
    if end is not None and end - pixels.offset < layout.n_bytes:
        check_length(path, layout, end - pixels.offset)
    return [note] if note else []


def _spacing(tags: Tags) -> tuple[tuple[float, float], float]:
    spacing = tags.numbers("PixelSpacing", 2) or (math.nan, math.nan)
    thickness = (tags.numbers("SliceThickness", 1) or (math.nan,))[0]
    for value in spacing:
        if not math.isnan(value) and not 0 < value < math.inf:
            raise GeometryError(
                f"{tags.path}: {label('PixelSpacing')} must be positive, got {value:g} mm."
            )
    if not 0 < thickness < math.inf:
        thickness = math.nan  # often 0 or absent; positions say it better
    return (spacing[0], spacing[1]), thickness
