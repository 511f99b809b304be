"""Volumes of plain files by compiled code: the values, marks and bits of the other way."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_files import image, write

from fastmm.errors import DicomError
from fastmm.read.dicom import plain
from fastmm.read.dicom.slices import read_header
from fastmm.read.reading import read_volume

PADDING = {"PixelPaddingValue": 40, "PixelPaddingRangeLimit": 90}


def write_slices(folder, kind="i2", low=-1000, high=1000, n=20, **tags):
    for z in range(n):
        pixels = image(z, (9, 7), low, high).astype(kind)
        slopes = {"RescaleSlope": f"{0.1 + 0.37 * z:.6g}", "RescaleIntercept": f"{-z / 3:.6g}"}
        write(folder / f"{z:02}.dcm", pixels, ImagePositionPatient=[0, 0, 2 * z], **slopes | tags)


@pytest.mark.parametrize(
    ("kind", "low", "high", "tags"),
    [
        ("i2", -1000, 1000, {}),
        ("u2", 0, 30000, {}),
        ("u1", 0, 256, {}),
        ("i2", -1000, 1000, {"BitsStored": 9, "HighBit": 8}),
        ("u2", 0, 30000, {"BitsStored": 12, "HighBit": 13}),
        ("i2", -100, 100, PADDING),
        ("u2", 0, 100, PADDING),
        ("i2", -100, 100, {**PADDING, "BitsStored": 6, "HighBit": 5}),
        ("i2", -100, 100, {**PADDING, "RescaleSlope": -2}),
        ("u1", 0, 256, {"PhotometricInterpretation": "MONOCHROME1", "Modality": "CR"}),
    ],
)
def test_the_compiled_way_gives_the_same_bits(tmp_path, monkeypatch, kind, low, high, tags):
    write_slices(tmp_path, kind, low, high, **tags)
    taken = []
    original = plain.plain_series
    monkeypatch.setattr(
        "fastmm.read.dicom.volumes.plain_series",
        lambda headers: taken.append(original(headers)) or taken[-1],
    )
    compiled = read_volume(tmp_path)
    assert taken[0] is not None
    monkeypatch.setattr("fastmm.read.dicom.volumes.plain_series", lambda headers: None)
    decoded = read_volume(tmp_path)
    np.testing.assert_array_equal(compiled.array, decoded.array)
    assert (compiled.valid is None) == (decoded.valid is None) == ("PixelPaddingValue" not in tags)
    if decoded.valid is not None:
        np.testing.assert_array_equal(compiled.valid, decoded.valid)


def test_nothing_but_padding(tmp_path):
    write_slices(tmp_path, low=40, high=91, **PADDING)
    with pytest.raises(DicomError, match="every pixel is padding"):
        read_volume(tmp_path)


def test_few_slices_do_without_compiled_code(tmp_path):
    write_slices(tmp_path, n=7)
    headers = [read_header(path) for path in sorted(tmp_path.iterdir())]
    assert plain.plain_series(headers) is None


def test_a_slice_that_is_cut_after_its_header_was_read(tmp_path):
    write_slices(tmp_path)
    paths = sorted(tmp_path.iterdir())
    headers = [read_header(path) for path in paths]
    paths[4].write_bytes(paths[4].read_bytes()[:-1])
    assert plain.plain_series(headers) is None
