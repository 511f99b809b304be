"""The Modality LUT: applied as it is written, and never beside a rescale."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from dicom_files import image, write
from lut_files import NO_RESCALE, lut
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from fastmm.errors import DicomError
from fastmm.read.dicom.slices import read_header, read_slice


def table(n, seed=0, top=65536, order="<"):
    values = np.random.default_rng(seed).integers(0, top, n).astype(np.uint16)
    return values, values.astype(order + "u2").tobytes()


@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_values_are_looked_up_and_clamped(tmp_path, vr, syntax):
    big = syntax == ExplicitVRBigEndian
    values, data = table(100, order=">" if big else "<")
    pixels = image(low=-20, high=200)
    written = pixels.astype(">i2").tobytes() if big else pixels.tobytes()
    path = write(tmp_path / "a.dcm", pixels, syntax=syntax, Modality="MR", PixelData=written,
                 **NO_RESCALE, **lut((100, 10, 16), data, vr=vr, big=big))  # fmt: skip
    expected = values[np.clip(pixels.astype(int) - 10, 0, 99)]
    np.testing.assert_array_equal(read_slice(path).values()[0], expected)


def test_a_signed_first_value_whatever_its_representation(tmp_path):
    values, data = table(64)
    pixels = image(low=-60, high=60)
    for vr, first in (("SS", -30), ("US", 65536 - 30)):
        path = write(tmp_path / "a.dcm", pixels, Modality="MR", **NO_RESCALE,
                     **lut((64, first, 16), data, descriptor_vr=vr))  # fmt: skip
        expected = values[np.clip(pixels.astype(int) + 30, 0, 63)]
        np.testing.assert_array_equal(read_slice(path).values()[0], expected)


def test_zero_stands_for_65536_entries(tmp_path):
    values, data = table(65536)
    pixels = image(low=0, high=32767).astype(np.uint16) * 2
    path = write(tmp_path / "a.dcm", pixels, Modality="MR", **NO_RESCALE,
                 **lut((0, 0, 16), data, vr="OW"))  # fmt: skip
    np.testing.assert_array_equal(read_slice(path).values()[0], values[pixels])


def test_entries_of_8_bits_in_bytes(tmp_path):
    data = bytes(range(50, 100))
    pixels = image(low=0, high=50)
    path = write(tmp_path / "a.dcm", pixels, Modality="MR", **NO_RESCALE,
                 **lut((50, 0, 8), data, vr="OW"))  # fmt: skip
    np.testing.assert_array_equal(read_slice(path).values()[0], pixels + 50)


def test_that_of_pydicom_is_looked_up_as_pydicom_does():
    path = get_testdata_file("mlut_18.dcm", download=False)
    if path is None:
        pytest.skip("pydicom-data, which carries mlut_18.dcm, is not installed")
    from pydicom.pixels.processing import apply_modality_lut

    ds = pydicom.dcmread(path)
    expected = apply_modality_lut(ds.pixel_array, ds)
    np.testing.assert_array_equal(read_slice(path).values()[0], expected)
    assert read_header(path).units == "stored"


@pytest.mark.parametrize(
    ("modality", "kind", "units", "noted"),
    [("CT", "HU", "HU", False), ("CT", "US", "stored", True), ("MR", "US", "a.u.", False),
     ("PT", "US", "stored", False), ("CR", "OD", "stored", False)],
)  # fmt: skip
def test_units(tmp_path, modality, kind, units, noted):
    path = write(tmp_path / "a.dcm", Modality=modality, Units="BQML", **NO_RESCALE,
                 **lut((4, 0, 16), bytes(8), kind))  # fmt: skip
    header = read_header(path)
    assert header.units == units
    assert bool(header.notes) == noted


def test_monochrome1_is_inverted_within_the_table(tmp_path):
    values, data = table(64, top=4096)
    pixels = image(low=0, high=64).astype(np.uint16)
    tags = {"Modality": "CR", "PhotometricInterpretation": "MONOCHROME1", **NO_RESCALE}
    path = write(tmp_path / "a.dcm", pixels, **tags, **lut((64, 0, 12), data))
    np.testing.assert_array_equal(read_slice(path).values()[0], 4095.0 - values[pixels])
    path = write(tmp_path / "b.dcm", pixels, **tags, **lut((64, 0, 12), data, "OD"))
    np.testing.assert_array_equal(read_slice(path).values()[0], values[pixels])
    assert "MONOCHROME1" in read_header(path).notes[0]


def test_padding_is_found_before_the_table(tmp_path):
    pixels = image(low=0, high=4)
    pixels[0, 0] = -7
    path = write(tmp_path / "a.dcm", pixels, Modality="MR", PixelPaddingValue=-7, **NO_RESCALE,
                 **lut((4, 0, 16), bytes(8)))  # fmt: skip
    assert np.argwhere(~read_slice(path).valid).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"RescaleSlope": 1, "RescaleIntercept": 0, **lut((4, 0, 16), bytes(8))},
         r"ModalityLUTSequence .* exclude each other"),
        (lut((5, 0, 16), bytes(8)), r"LUTData \(0028,3006\) must have 5 entries, got 8 bytes"),
        (lut((4, 0, 17), bytes(8)), "LUTDescriptor .* got 17"),
        (lut((4, 0, 4), bytes(8)), "LUTDescriptor .* got 4"),
        (lut((4, 0), bytes(8)), "LUTDescriptor .* three"),
        (lut((4, 0, 12), b"\xff" * 8), "LUTData .* more than the 12 bits"),
        ({"ModalityLUTSequence": lut((4, 0, 16), bytes(8))["ModalityLUTSequence"] * 2},
         "must have one item, got 2"),
    ],
)  # fmt: skip
def test_what_contradicts_itself(tmp_path, tags, what):
    path = write(tmp_path / "a.dcm", **(NO_RESCALE | tags))
    with pytest.raises(DicomError, match=what):
        read_header(path)


def test_windows_never_touch_the_values(tmp_path):
    pixels = image()
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 16])
    item.add_new("LUTData", "US", [9, 9, 9, 9])
    path = write(tmp_path / "a.dcm", pixels, WindowCenter=[40, 400], WindowWidth=[0, 1],
                 VOILUTSequence=[item], VOILUTFunction="SIGMOID")  # fmt: skip
    np.testing.assert_array_equal(read_slice(path).values()[0], pixels)
