"""What turns the stored values of a DICOM file into intensities, and what unit those have."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastmm.errors import DicomError
from fastmm.read.dicom.layout import Layout
from fastmm.read.dicom.lookup import Lookup
from fastmm.read.dicom.tags import Tags, label, shown

__all__ = ["Rescaling", "fits", "inverted", "read_rescale"]

# Modalities whose MONOCHROME1 means inverted intensities; in the others the
# photometric interpretation is for display only, and inverting would ruin HU and Bq/ml.
_INVERTED_MODALITIES = {"CR", "DX", "MG", "XA", "RF", "OT"}
_UNSPECIFIED = ("", "US")
_MOST = float(np.finfo(np.float32).max)


class Rescaling(NamedTuple):
    """Slope, intercept, unit of the result and what the caller should be warned of.

    `inverted_about` is the sum of the lowest and the highest stored value where slope and
    intercept invert MONOCHROME1, else None.
    """

    slope: float
    intercept: float
    units: str
    notes: tuple[str, ...]
    inverted_about: float | None = None


def read_rescale(
    tags: Tags, top: Tags, modality: str, layout: Layout, lookup: Lookup | None = None
) -> Rescaling:
    """Return what turns stored values into intensities.

    `tags` has the rescale, and is `top` itself or an item that one frame has it from. With
    a `lookup` the values that it gives stand for the stored ones.
    """
    rescaled = lookup is None and (tags.has("RescaleSlope") or tags.has("RescaleIntercept"))
    slope, intercept = 1.0, 0.0
    if rescaled:
        slope = _finite(tags, "RescaleSlope", "a finite non-zero number")
        intercept = _finite(tags, "RescaleIntercept", "a finite number")
        if slope == 0:
            raise tags.fault("RescaleSlope", "is not a finite non-zero number, got 0")
    kind = lookup.kind if lookup else tags.text("RescaleType")
    units, notes = _units(top, modality, kind, rescaled, lookup)
    inverted_about: float | None = None
    lowest, highest = (0, (1 << lookup.bits) - 1) if lookup else layout.limits
    if layout.photometric == "MONOCHROME1":
        if modality in _INVERTED_MODALITIES and (lookup is None or kind in _UNSPECIFIED):
            if layout.floating:
                raise top.fault(
                    "PhotometricInterpretation", "is 'MONOCHROME1', and floats have no range"
                )
            inverted_about = lowest + highest  # 2^BitsStored - 1 unsigned, -1 signed
            slope, intercept = inverted(slope, intercept, inverted_about)
        else:
            notes.append(
                f"MONOCHROME1 is only for display in {modality or 'this modality'}; "
                "the values are not inverted"
            )
    if not layout.floating and not fits(slope, intercept, lowest, highest):
        largest = _largest(slope, intercept, lowest, highest)
        raise tags.fault("RescaleSlope", f"and intercept exceed float32: up to {largest:g}")
    return Rescaling(slope, intercept, units, tuple(notes), inverted_about)


def inverted(slope: float, intercept: float, about: float) -> tuple[float, float]:
    """Return slope and intercept of stored values that are inverted about half of `about`."""
    return -slope, intercept + slope * about


def fits(slope: float, intercept: float, lowest: int, highest: int) -> bool:
    """Say whether all values from `lowest` to `highest` are float32 after the rescale."""
    return _largest(slope, intercept, lowest, highest) <= _MOST


def _largest(slope: float, intercept: float, lowest: int, highest: int) -> float:
    return max(abs(v * slope + intercept) for v in (lowest, highest))


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


def _units(
    top: Tags, modality: str, kind: str, rescaled: bool, lookup: Lookup | None
) -> tuple[str, list[str]]:
    if modality == "MR":
        return "a.u.", []
    if modality == "CT":
        if lookup is not None:
            if kind == "HU":
                return "HU", []
            why = f"ModalityLUTType (0028,3004) is {shown(kind)}"
        elif rescaled:
            if kind in ("", "HU"):
                return "HU", []
            why = f"{label('RescaleType')} is {shown(kind)}"
        else:
            why = "there is no rescale"
        return "stored", [f"a CT without Hounsfield units: {why}"]
    if modality == "PT" and lookup is None:
        measured = top.text("Units")
        if measured == "BQML":
            return "Bq/ml", []
        # The standard reads a GML without SUVType as body weight.
        if measured == "GML" and top.text("SUVType") in ("", "BW"):
            return "SUV", []
    return "stored", []
