"""What turns the stored values of a DICOM file into intensities, and what unit those have."""

from __future__ import annotations

import math

import numpy as np

from fastmm.errors import DicomError
from fastmm.read.layout import Layout
from fastmm.read.tags import Tags, label, shown

__all__ = ["read_rescale"]

# Modalities whose MONOCHROME1 means inverted intensities; in the others the
# photometric interpretation is for display only, and inverting would ruin HU and Bq/ml.
_INVERTED_MODALITIES = {"CR", "DX", "MG", "XA", "RF", "OT"}


def read_rescale(tags: Tags, modality: str, layout: Layout) -> tuple[float, float, str, list[str]]:
    """Return slope, intercept, unit and what the caller should be warned of."""
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
