"""What the header of one DICOM file says: its layout, rescale and place, checked together."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import DicomError
from fastmm.read.dicom.elements import UNDEFINED
from fastmm.read.dicom.encoding import ENCAPSULATED
from fastmm.read.dicom.frames import Frames, Groups, is_enhanced, place_frames
from fastmm.read.dicom.layout import Layout, check_fragments, check_length, read_layout
from fastmm.read.dicom.lookup import Lookup, read_lookup
from fastmm.read.dicom.place import (
    read_grid_offsets,
    read_orientation,
    read_position,
    read_spacing,
    read_thickness,
)
from fastmm.read.dicom.rescale import Rescaling, read_rescale
from fastmm.read.dicom.tags import PixelElement, Tags, label, shown

__all__ = ["Header", "NoImageError", "interpret", "read_position"]

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
        ImagePositionPatient of each frame in mm, LPS, in the order of the frames. None where
        it is not known of each of them.
    orientation : tuple of float or None
        ImageOrientationPatient (6), that of all frames; None where they differ.
    patient : str
        Digest of PatientID, to compare and never to show.
    notes : tuple of str
        What the caller should be warned of.
    order : ndarray of shape (frames,), int, or None
        The stored frame that each frame is: frames are in the order of time, then of their
        places along the normal. None where they are stored in that order.
    times : ndarray of shape (frames,), int, or None
        The time point (echo, b-value, ...) of each frame, from 0; None where there is one,
        or where frames at one place cannot be told apart.
    lookup : Lookup or None
        The Modality LUT, which stored pixels go through before slope and intercept.
    pixels : str
        Keyword of the element that has the pixels.
    inverted_about : float or None
        The sum of the lowest and the highest value that the bits can hold, where slope and
        intercept invert MONOCHROME1 about it.
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
    order: NDArray[np.intp] | None = None
    times: NDArray[np.intp] | None = None
    lookup: Lookup | None = None
    pixels: str = "PixelData"
    inverted_about: float | None = None

    @property
    def frames(self) -> int:
        """Number of images."""
        return self.layout.frames

    def uninverted(self) -> Header:
        """Return the header without the inversion of MONOCHROME1, whose values are then raw."""
        if self.inverted_about is None:
            return self
        intercept = self.intercept + self.slope * self.inverted_about
        return replace(self, slope=-self.slope, intercept=intercept, inverted_about=None)


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
    native = syntax not in ENCAPSULATED
    layout = read_layout(tags, max_bytes, pixels=pixels.name, native=native)
    notes = _check_pixels(tags.path, layout, syntax, pixels, end)
    modality = tags.text("Modality")
    if not re.fullmatch("[A-Z]{2,16}", modality):
        modality = ""  # it is shown in messages, so it must be a term
    groups = Groups(tags, layout.frames) if is_enhanced(tags) else None
    frames = _classic_frames(tags, layout.frames) if groups is None else place_frames(groups)
    lookup = None if layout.floating else read_lookup(tags, signed=layout.signed)
    rescales = _rescales(tags, modality, layout, lookup, groups)
    if frames.order is not None:
        rescales = [rescales[i] for i in frames.order]
    patient = tags.value("PatientID") or b""
    return Header(
        path=tags.path,
        layout=layout,
        slope=_each([r.slope for r in rescales], layout.frames),
        intercept=_each([r.intercept for r in rescales], layout.frames),
        units=rescales[0].units,
        modality=modality,
        series=tags.text("SeriesInstanceUID"),
        frame_of_reference=tags.text("FrameOfReferenceUID"),
        sop_class=sop_class,
        spacing=frames.spacing,
        thickness=frames.thickness,
        positions=frames.positions,
        orientation=frames.orientation,
        patient=hashlib.blake2b(patient.strip(b" \0"), digest_size=16).hexdigest(),
        notes=tuple(
            dict.fromkeys([*notes, *(n for r in rescales for n in r.notes), *frames.notes])
        ),
        syntax=syntax,
        offset=pixels.offset,
        word_vr=pixels.vr != b"OB",
        order=frames.order,
        times=frames.times,
        lookup=lookup,
        pixels=pixels.name,
        inverted_about=rescales[0].inverted_about,
    )


def _classic_frames(tags: Tags, frames: int) -> Frames:
    """Read the place of one image; of several without functional groups none is known."""
    orientation, position = read_orientation(tags), read_position(tags)
    if frames > 1:
        position = read_grid_offsets(tags, frames, position, orientation)
    spacing = read_spacing(tags) or (np.nan, np.nan)
    return Frames(position, orientation, spacing, read_thickness(tags), None, None, ())


def _rescales(
    tags: Tags, modality: str, layout: Layout, lookup: Lookup | None, groups: Groups | None
) -> list[Rescaling]:
    """Return the rescale of each frame in the order in which they are stored, or that of all."""
    if groups is None:
        return [read_rescale(tags, tags, modality, layout, lookup)]
    if lookup is not None:
        raise tags.fault(
            "ModalityLUTSequence", "stands beside functional groups, which say the rescale"
        )
    found = groups.values(
        "PixelValueTransformationSequence",
        "RescaleSlope",
        lambda source: read_rescale(source, tags, modality, layout),
    )
    rescales = found or []
    units = sorted({r.units for r in rescales})
    if len(units) != 1:
        raise DicomError(f"{tags.path}: its frames differ in their units: {', '.join(units)}.")
    return rescales


def _each(values: list[float], frames: int) -> NDArray[np.float64]:
    return np.full(frames, values[0]) if len(values) == 1 else np.array(values)


def _pixels(tags: Tags, sop_class: str, found: PixelElement | None) -> PixelElement:
    """Return the pixels that were found; without them say what the file is."""
    if found is None:
        if sop_class.startswith(_NO_IMAGES):
            raise NoImageError(f"{tags.path}: holds no image (SOP class {shown(sop_class)}).")
        raise tags.fault("PixelData", "is missing: the file is cut, or it is no image")
    return found


def _check_pixels(
    path: Path, layout: Layout, syntax: str, pixels: PixelElement, end: int | None
) -> list[str]:
    undefined = pixels.length == UNDEFINED
    if undefined != (syntax in ENCAPSULATED):
        raise DicomError(
            f"{path}: {label('TransferSyntaxUID')} {syntax} contradicts {label(pixels.name)}, "
            f"which is {'encapsulated' if undefined else 'native'}."
        )
    if syntax in ENCAPSULATED:
        if end is not None:
            check_fragments(path, layout, end - pixels.offset)
        return []
    note = check_length(path, layout, pixels.length, pixels.name)
    if end is not None and end - pixels.offset < layout.n_bytes:
        check_length(path, layout, end - pixels.offset, pixels.name)
    return [note] if note else []
