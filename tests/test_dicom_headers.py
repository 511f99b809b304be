"""Tags that are missing, impossible or contradict the pixels are named."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_files import image, write

from fastmm.errors import DicomError, GeometryError
from fastmm.read.dicom.slices import read_header, read_slice


@pytest.mark.parametrize(
    "name",
    ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
     "PhotometricInterpretation", "SamplesPerPixel", "PixelData"],
)  # fmt: skip
def test_missing_tag_is_named(tmp_path, name):
    with pytest.raises(DicomError, match=rf"{name} \([0-9A-F]{{4}},[0-9A-F]{{4}}\) is missing"):
        read_slice(write(tmp_path / "a.dcm", **{name: None}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Rows", 0),
        ("Columns", 0),
        ("BitsAllocated", 12),
        ("BitsAllocated", 1),
        ("BitsAllocated", 24),
        ("BitsAllocated", 64),
        ("BitsStored", 0),
        ("BitsStored", 17),
        ("HighBit", 200),
        ("HighBit", 3),
        ("PixelRepresentation", 2),
        ("NumberOfFrames", 0),
        ("NumberOfFrames", -1),
        ("PhotometricInterpretation", "PALETTE COLOR"),
        ("PhotometricInterpretation", "YBR_PARTIAL_420"),
        ("SamplesPerPixel", 3),
    ],
)
def test_impossible_tag_is_named(tmp_path, name, value):
    with pytest.raises(DicomError, match=rf"{name} \("):
        read_slice(write(tmp_path / "a.dcm", **{name: value}))


@pytest.mark.parametrize("value", [[0, 1], [-1, 1], [1, 0]])
def test_spacing_must_be_positive(tmp_path, value):
    with pytest.raises(GeometryError, match="PixelSpacing"):
        read_header(write(tmp_path / "a.dcm", PixelSpacing=value))


@pytest.mark.parametrize("value", [[0] * 6, [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0]])
def test_orientation_must_be_orthonormal(tmp_path, value):
    with pytest.raises(GeometryError, match="ImageOrientationPatient"):
        read_header(write(tmp_path / "a.dcm", ImageOrientationPatient=value))


def test_lengths_of_the_buffer(tmp_path):
    pixels = image()
    data = pixels.tobytes()
    for short in (b"", data[:-2]):
        with pytest.raises(DicomError, match=f"expected {len(data)} bytes, got {len(short)}"):
            read_slice(write(tmp_path / "a.dcm", pixels, PixelData=short))
    slightly = read_slice(write(tmp_path / "a.dcm", pixels, PixelData=data + bytes(10)))
    np.testing.assert_array_equal(slightly.stored[0], pixels)
    assert "10 bytes after" in slightly.header.notes[0]
    with pytest.raises(DicomError, match="more frames"):
        read_slice(write(tmp_path / "a.dcm", pixels, PixelData=data * 2))
    two = read_slice(write(tmp_path / "a.dcm", pixels, PixelData=data * 2, NumberOfFrames=2))
    np.testing.assert_array_equal(two.stored, np.stack([pixels, pixels]))
