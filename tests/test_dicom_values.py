"""Stored values to values: rescale, units, inversion and padding."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from dicom_files import carried_file, image, write

from fastmm.errors import DicomError
from fastmm.read.dicom.slices import read_header, read_pixels, read_slice


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "693_UNCI.dcm"])
def test_values_are_those_of_simpleitk(name):
    SimpleITK = pytest.importorskip("SimpleITK")
    path = carried_file(name)
    expected = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    np.testing.assert_allclose(read_slice(path).values(), expected, rtol=1e-6)


def test_rescale_is_in_float64_and_rounded_once(tmp_path):
    pixels = image()
    path = write(
        tmp_path / "a.dcm", pixels, RescaleSlope="0.1234567890123", RescaleIntercept="-7.1"
    )
    found = read_slice(path)
    assert found.header.units == "HU"
    expected = (pixels.astype(np.float64) * 0.12345678901 - 7.1).astype(np.float32)
    np.testing.assert_array_equal(found.values()[0], expected)


@pytest.mark.parametrize(
    "slope", b"0 |NaN |text|1,5 |1e400 ||inf |1_0 |1\\2 |0x10|1 2 |\xb2 ".split(b"|")
)
def test_bad_slope(tmp_path, slope):
    path = write(tmp_path / "a.dcm", raw={"RescaleSlope": ("DS", slope)})
    with pytest.raises(DicomError, match=r"RescaleSlope \(0028,1053\) is not a finite non-zero"):
        read_header(path)


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
def test_half_a_rescale_is_an_error(tmp_path, name):
    with pytest.raises(DicomError, match=f"{name}.*missing"):
        read_header(write(tmp_path / "a.dcm", **{name: None}))


def test_slope_beyond_float32(tmp_path):
    with pytest.raises(DicomError, match="exceed float32"):
        read_header(write(tmp_path / "a.dcm", RescaleSlope="1e37"))


@pytest.mark.parametrize(
    ("tags", "units", "noted"),
    [
        ({"Modality": "CT"}, "HU", False),
        ({"Modality": "CT", "RescaleType": "HU"}, "HU", False),
        ({"Modality": "CT", "RescaleType": "US"}, "stored", True),
        ({"Modality": "CT", "RescaleSlope": None, "RescaleIntercept": None}, "stored", True),
        ({"Modality": "MR", "RescaleSlope": None, "RescaleIntercept": None}, "a.u.", False),
        ({"Modality": "PT", "Units": "BQML"}, "Bq/ml", False),
        ({"Modality": "PT", "Units": "GML", "SUVType": "BW"}, "SUV", False),
        ({"Modality": "PT", "Units": "GML"}, "SUV", False),
        ({"Modality": "PT", "Units": "GML", "SUVType": "LBM"}, "stored", False),
        ({"Modality": "PT", "Units": "CNTS"}, "stored", False),
        ({"Modality": "PT"}, "stored", False),
        ({"Modality": "CR"}, "stored", False),
    ],
)
def test_units(tmp_path, tags, units, noted):
    header = read_header(write(tmp_path / "a.dcm", **tags))
    assert header.units == units
    assert bool(header.notes) == noted


@pytest.mark.parametrize("modality", ["CR", "DX", "MG", "XA", "RF", "OT"])
@pytest.mark.parametrize("signed", [False, True])
def test_monochrome1_of_x_rays_is_inverted(tmp_path, modality, signed):
    pixels = image(3, low=-2048 if signed else 0, high=2048 if signed else 4096)
    pixels = pixels.astype(np.int16 if signed else np.uint16)
    tags = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": 2, "RescaleIntercept": 5}
    path = write(tmp_path / "a.dcm", pixels, Modality=modality,
                 PhotometricInterpretation="MONOCHROME1", **tags)  # fmt: skip
    top = -1 if signed else 4095
    np.testing.assert_array_equal(read_slice(path).values()[0], (top - pixels.astype(int)) * 2 + 5)
    header = read_header(path)
    assert not header.notes
    raw = read_pixels(header.uninverted())
    np.testing.assert_array_equal(raw.values()[0], pixels.astype(int) * 2 + 5)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "NM"])
def test_monochrome1_elsewhere_is_not(tmp_path, modality):
    pixels = image()
    path = write(
        tmp_path / "a.dcm", pixels, Modality=modality, PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_array_equal(read_slice(path).values()[0], pixels)
    header = read_header(path)
    assert "MONOCHROME1" in header.notes[0]
    assert header.uninverted() is header


@pytest.mark.parametrize("vr", ["SS", "US"])
def test_padding_whatever_its_vr(tmp_path, vr):
    pixels = image()
    pixels[0, :3] = -2000
    path = write(
        tmp_path / "a.dcm", pixels, raw={"PixelPaddingValue": (vr, struct.pack("<h", -2000))}
    )
    np.testing.assert_array_equal(read_slice(path).valid[0], pixels != -2000)


@pytest.mark.parametrize("ends", [(-2000, -1500), (-1500, -2000)])
def test_padding_range(tmp_path, ends):
    pixels = image()
    pixels[0] = [-2001, -2000, -1700, -1500, -1499]
    pad = [("SS", struct.pack("<h", end)) for end in ends]
    path = write(tmp_path / "a.dcm", pixels,
                 raw={"PixelPaddingValue": pad[0], "PixelPaddingRangeLimit": pad[1]})  # fmt: skip
    assert read_slice(path).valid[0, 0].tolist() == [True, False, False, False, True]
    assert read_slice(path).valid[0, 1:].all()


def test_padding_outside_of_the_stored_bits(tmp_path):
    pixels = image(low=0, high=4096).astype(np.uint16)
    pixels[1, 1] = 63536  # masks to 2096, which is a legal pixel
    pixels[1, 2] = 2096
    path = write(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11,
                 raw={"PixelPaddingValue": ("US", struct.pack("<H", 63536))})  # fmt: skip
    found = read_slice(path)
    assert not found.valid[0, 1, 1]
    assert found.valid.sum() == pixels.size - 1
    assert found.stored[0, 1, 2] == 2096


def test_no_padding_met_is_none(tmp_path):
    path = write(tmp_path / "a.dcm", PixelPaddingValue=-30000)
    assert read_slice(path).valid is None


def test_padding_no_8_bit_pixel_can_hold(tmp_path):
    pixels = np.full((4, 4), 0x30, np.uint8)
    path = write(
        tmp_path / "a.dcm", pixels, raw={"PixelPaddingValue": ("SS", struct.pack("<h", -2000))}
    )
    assert read_slice(path).valid is None
