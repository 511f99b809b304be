"""Small enhanced multi-frame files for tests, right by default and wrong where asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_files import image, write
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

AXIAL = [1, 0, 0, 0, 1, 0]


def macro(name: str, **tags) -> dict[str, list[Dataset]]:
    item = Dataset()
    for key, value in tags.items():
        setattr(item, key, value)
    return {name: [item]}


def group(*macros: dict[str, list[Dataset]]) -> Dataset:
    item = Dataset()
    for each in macros:
        for name, value in each.items():
            setattr(item, name, value)
    return item


def place(z, x=-10, y=-20):
    return macro("PlanePositionSequence", ImagePositionPatient=[x, y, z])


def turned(orientation=AXIAL):
    return macro("PlaneOrientationSequence", ImageOrientationPatient=orientation)


def measures(spacing=(0.5, 0.75), **tags):
    return macro("PixelMeasuresSequence", PixelSpacing=list(spacing), **tags)


def rescale(slope, intercept=0, kind="HU"):
    return macro(
        "PixelValueTransformationSequence",
        RescaleSlope=slope, RescaleIntercept=intercept, RescaleType=kind,
    )  # fmt: skip


def content(**tags):
    return macro("FrameContentSequence", **tags)


def enhanced(path: Path, each, shared=(), *, stack=None, syntax=ExplicitVRLittleEndian, **tags):
    """Write an enhanced CT without any of the tags that only classic objects have."""
    stack = np.stack([image(i) for i in range(len(each))]) if stack is None else stack
    left_out = dict.fromkeys(
        ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
         "RescaleSlope", "RescaleIntercept"]
    )  # fmt: skip
    if syntax == ExplicitVRBigEndian:
        tags["PixelData"] = stack.astype(">i2").tobytes()
    write(
        path, stack, syntax=syntax, NumberOfFrames=len(stack),
        SharedFunctionalGroupsSequence=[group(*shared)],
        PerFrameFunctionalGroupsSequence=list(each), **(left_out | tags),
    )  # fmt: skip
    return path, stack
