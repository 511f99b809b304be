"""Colour, float pixels, segmentations and other objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import carried_file, write
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from fastmm.errors import DicomError
from fastmm.read.dicom.slices import read_slice


@pytest.mark.parametrize("planar", [0, 1])
def test_colour(tmp_path, planar):
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    lie = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": planar}
    data = (np.moveaxis(rgb, -1, 0) if planar else rgb).tobytes()
    path = write(tmp_path / "a.dcm", rgb[..., 0], PixelData=data, Modality="OT", **lie)
    with pytest.raises(DicomError, match="channel"):
        read_slice(path)
    for channel in range(3):
        found = read_slice(path, channel=channel)
        np.testing.assert_array_equal(found.stored[0], rgb[..., channel])
    grey = np.repeat(rgb[..., :1], 3, -1)
    data = (np.moveaxis(grey, -1, 0) if planar else grey).tobytes()
    write(path, rgb[..., 0], PixelData=data, Modality="OT", **lie)
    np.testing.assert_array_equal(read_slice(path).stored[0], grey[..., 0])


def test_colour_in_rle_is_that_of_pydicom():
    path = carried_file("SC_rgb_rle.dcm")
    expected = pydicom.dcmread(path).pixel_array
    for channel in range(3):
        found = read_slice(path, channel=channel).stored[0]
        np.testing.assert_array_equal(found, expected[..., channel])


@pytest.mark.parametrize(
    "name", ["examples_palette.dcm", "rtplan.dcm", "test-SR.dcm", "rtstruct.dcm"]
)
def test_other_objects_are_refused(name):
    with pytest.raises(DicomError):
        read_slice(carried_file(name))


def test_segmentations_of_one_bit_are_refused():
    with pytest.raises(DicomError, match=r"BitsAllocated \(0028,0100\) must be 8, 16 or 32, got 1"):
        read_slice(carried_file("liver_1frame.dcm"))


def _floats(path: Path, values: np.ndarray, **tags) -> Path:
    """Write floats; they have neither BitsStored, HighBit nor PixelRepresentation."""
    double = values.dtype == np.float64
    name, vr = ("DoubleFloatPixelData", "OD") if double else ("FloatPixelData", "OF")
    little = tags.get("syntax") != ExplicitVRBigEndian
    data = values.astype(values.dtype.newbyteorder("<" if little else ">")).tobytes()
    gone = dict.fromkeys(["PixelData", "BitsStored", "HighBit", "PixelRepresentation"])
    shape = np.zeros(values.shape, np.int64 if double else np.int32)
    return write(path, shape, **({"raw": {name: (vr, data)}} | gone | tags))


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_float_pixels(tmp_path, syntax, kind):
    values = np.random.default_rng(0).normal(0, 1e3, (5, 6)).astype(kind)
    path = _floats(tmp_path / "a.dcm", values, syntax=syntax, Modality="MR", RescaleSlope=2)
    found = read_slice(path)
    assert found.stored.dtype == kind
    np.testing.assert_array_equal(found.stored[0], values)
    np.testing.assert_array_equal(found.values()[0], (values * 2.0).astype(np.float32))


def test_float_pixels_stay_as_they_are_even_where_they_are_no_numbers(tmp_path):
    values = np.array([[1, np.nan, -np.inf], [0, 1e30, -1e-30]], np.float32)
    path = _floats(tmp_path / "a.dcm", values, Modality="MR")
    np.testing.assert_array_equal(read_slice(path).stored[0], values)


@pytest.mark.parametrize("pad", [-5.0, np.nan])
def test_padding_of_float_pixels(tmp_path, pad):
    values = np.array([[1, -5, np.nan], [-6, 0, 2]])
    path = _floats(tmp_path / "a.dcm", values, Modality="MR", DoubleFloatPixelPaddingValue=pad)
    expected = ~np.isnan(values) if np.isnan(pad) else values != pad
    np.testing.assert_array_equal(read_slice(path).valid[0], expected)
    path = _floats(tmp_path / "a.dcm", values, Modality="MR", DoubleFloatPixelPaddingValue=-5.5,
                   DoubleFloatPixelPaddingRangeLimit=-10)  # fmt: skip
    np.testing.assert_array_equal(read_slice(path).valid[0], values != -6)


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"BitsAllocated": 32}, "BitsAllocated .* must be 64 for DoubleFloatPixelData"),
        ({"PhotometricInterpretation": "MONOCHROME1", "Modality": "DX"}, "floats have no range"),
        ({"NumberOfFrames": 2}, r"DoubleFloatPixelData \(7FE0,0009\) is cut: expected 480"),
    ],
)
def test_float_pixels_that_contradict_their_header(tmp_path, tags, what):
    path = _floats(tmp_path / "a.dcm", np.zeros((5, 6)), **tags)
    with pytest.raises(DicomError, match=what):
        read_slice(path)
