"""What the header of one DICOM file says: pixel layout, rescale, units and place."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import DicomError, GeometryError, LimitError
from fastmm.read.elements import UNDEFINED
from fastmm.read.encoding import RLE
from fastmm.read.geometry import check_orientation
from fastmm.read.pixels import Layout, check_length
from fastmm.read.tags import PixelElement, Tags, label, shown

__all__ = ["Header", "NoImageError", "interpret"]

# Modalities whose MONOCHROME1 means inverted intensities; in the others the
# photometric interpretation is for display only, and inverting would ruin HU and Bq/ml.
_INVERTED_MODALITIES = {"CR", "DX", "MG", "XA", "RF", "OT"}
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
    position, orientation : tuple of float or None
        ImagePositionPatient (3) and ImageOrientationPatient (6).
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
    position: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    patient: str = field(repr=False)
    notes: tuple[str, ...]
    syntax: str
    offset: int
    word_vr: bool


def interpret(
    path: Path,
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
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if tags.has(name):
            raise DicomError(
                f"{path}: enhanced multi-frame objects ({label(name)}) are not supported; "
                "convert the file to classic single-frame DICOM first."
            )
    # A DICOMDIR has its class in the file meta information only.
    sop_class = tags.text("SOPClassUID") or sop_class
    if pointer is None or pointer.name != "PixelData":
        if pointer is not None:
            raise DicomError(
                f"{path}: {label(pointer.name)} is not supported, only integer pixels."
            )
        if sop_class.startswith(_NO_IMAGES):
            raise NoImageError(f"{path}: holds no image (SOP class {shown(sop_class)}).")
        raise tags.fault("PixelData", "is missing: the file is cut, or it is no image")
    layout = _layout(tags, max_bytes)
    notes = _check_pixel_element(path, layout, syntax, pointer, end)
    modality = tags.text("Modality")
    if not re.fullmatch("[A-Z]{2,16}", modality):
        modality = ""  # it is shown in messages, so it must be a term
    slope, intercept, units, more = _meaning(tags, modality, layout)
    spacing, thickness = _spacing(tags)
    orientation = tags.numbers("ImageOrientationPatient", 6)
    if orientation is not None:
        check_orientation(path, orientation)
    position = tags.numbers("ImagePositionPatient", 3)
    if position is not None and not all(map(math.isfinite, position)):
        raise GeometryError(f"{path}: {label('ImagePositionPatient')} is not finite.")
    patient = tags.value("PatientID") or b""
    return Header(
        path=path,
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
        position=position,  # type: ignore[arg-type]
        orientation=orientation,
        patient=hashlib.blake2b(patient.strip(b" \0"), digest_size=16).hexdigest(),
        notes=tuple(notes + more),
        syntax=syntax,
        offset=pointer.offset,
        word_vr=pointer.vr != b"OB",
    )


def _layout(tags: Tags, max_bytes: int) -> Layout:
    rows = tags.integer("Rows", minimum=1)
    columns = tags.integer("Columns", minimum=1)
    frames = tags.integer("NumberOfFrames", minimum=1) if tags.has("NumberOfFrames") else 1
    samples = tags.integer("SamplesPerPixel", minimum=1)
    photometric = tags.text("PhotometricInterpretation")
    if not photometric:
        raise tags.fault("PhotometricInterpretation", "is missing")
    allowed = {"MONOCHROME1": 1, "MONOCHROME2": 1, "RGB": 3}
    if photometric not in allowed:
        raise tags.fault(
            "PhotometricInterpretation",
            f"is {shown(photometric)}, and its samples are no intensities; "
            "convert the image to MONOCHROME2 or RGB first",
        )
    if samples != allowed[photometric]:
        raise tags.fault(
            "SamplesPerPixel", f"must be {allowed[photometric]} for {photometric}, got {samples}"
        )
    allocated = tags.integer("BitsAllocated")
    if allocated not in (8, 16, 32):
        raise tags.fault("BitsAllocated", f"must be 8, 16 or 32, got {allocated}")
    stored = tags.integer("BitsStored", minimum=1, maximum=allocated)
    layout = Layout(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        planar=tags.integer("PlanarConfiguration", maximum=1) if samples > 1 else 0,
        allocated=allocated,
        stored=stored,
        high_bit=tags.integer("HighBit", minimum=stored - 1, maximum=allocated - 1),
        signed=tags.integer("PixelRepresentation", maximum=1) == 1,
        photometric=photometric,
    )
    needed = layout.values * 4
    if needed > max_bytes:
        raise LimitError(
            f"{tags.path}: {frames} frames of {rows} x {columns} pixels need {needed} bytes as "
            f"float32, more than the {max_bytes} of fastmm.read.dicom.MAX_BYTES; "
            "raise the limit if the file is right."
        )
    return replace(layout, padding=_padding(tags, allocated))


def _padding(tags: Tags, allocated: int) -> tuple[int, int] | None:
    # The VR is often wrong (US for negative values), so the bits are taken as they are
    # and read with PixelRepresentation later.
    if not tags.filled("PixelPaddingValue"):
        return None
    found = []
    for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = tags.value(name)
        if not value:
            continue
        if len(value) * 8 != max(allocated, 16):
            raise tags.fault(name, f"must be one {max(allocated, 16)}-bit integer")
        found.append(int.from_bytes(value, tags.order))  # type: ignore[arg-type]
    if allocated == 8 and any(0xFF < v < 0xFF80 for v in found):
        return None  # no 8-bit pixel can hold it
    return found[0] % (1 << allocated), found[-1] % (1 << allocated)


def _check_pixel_element(
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


def _meaning(tags: Tags, modality: str, layout: Layout) -> tuple[float, float, str, list[str]]:
    """Find what turns stored values into intensities, and what those are."""
    if tags.filled("ModalityLUTSequence"):
        raise tags.fault("ModalityLUTSequence", "is not supported; only slope and intercept are")
    rescaled = tags.has("RescaleSlope") or tags.has("RescaleIntercept")
    slope, intercept = 1.0, 0.0
    if rescaled:
        slope = _finite(tags, "RescaleSlope", "a finite non-zero number")
        intercept = _finite(tags, "RescaleIntercept", "a finite number")
        if slope == 0:
            raise tags.fault("RescaleSlope", "is not a finite non-zero number, got 0")
    units, notes = _units(tags, modality, rescaled)
    lowest, highest = layout.limits
    if layout.photometric == "MONOCHROME1":
        if modality in _INVERTED_MODALITIES:
            top = lowest + highest  # 2^BitsStored - 1 unsigned, -1 signed
            slope, intercept = -slope, intercept + slope * top
        else:
            notes.append(
                f"MONOCHROME1 is only for display in {modality or 'this modality'}; "
                "the values are not inverted"
            )
    largest = max(abs(v * slope + intercept) for v in (lowest, highest))
    if not largest <= float(np.finfo(np.float32).max):
        raise tags.fault("RescaleSlope", f"and intercept exceed float32: up to {largest:g}")
    return slope, intercept, units, notes


def _finite(tags: Tags, name: str, what: str) -> float:
    try:
        found = tags.numbers(name, 1)
    except DicomError:
        value = (tags.value(name) or b"").decode("ascii", "replace")[:32].strip(" \0")
        raise tags.fault(name, f"is not {what}, got {shown(value)}") from None
    if found is None or not math.isfinite(found[0]):
        state = "missing" if not tags.has(name) else "empty" if found is None else "infinite"
        raise tags.fault(name, f"is not {what}: it is {state}")
    return found[0]


def _units(tags: Tags, modality: str, rescaled: bool) -> tuple[str, list[str]]:
    if modality == "MR":
        return "a.u.", []
    if modality == "CT":
        kind = tags.text("RescaleType")
        if rescaled and kind in ("", "HU"):
            return "HU", []
        why = f"{label('RescaleType')} is {shown(kind)}" if rescaled else "there is no rescale"
        return "stored", [f"a CT without Hounsfield units: {why}"]
    if modality == "PT":
        kind = tags.text("Units")
        if kind == "BQML":
            return "Bq/ml", []
        # The standard reads a GML without SUVType as body weight.
        if kind == "GML" and tags.text("SUVType") in ("", "BW"):
            return "SUV", []
    return "stored", []


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
