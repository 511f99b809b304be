"""Which files make one series, and an error wherever one does not belong."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from dicom_files import PATIENT, PATIENT_ID, SERIES, image, write, write_series
from pydicom.data import get_testdata_file

from fastmm.errors import DicomError, GeometryError
from fastmm.read.dicom.series import group_headers
from fastmm.read.dicom.slices import read_header
from fastmm.read.reading import read_volume


def test_several_series_in_a_folder(real_data):
    folder = real_data / "sts" / "STS_001"
    with pytest.raises(DicomError, match=r"(?s)3 groups.*CT.*MR.*PT"):
        read_volume(folder)
    for number, modality in enumerate(("CT", "MR", "PT")):
        assert read_volume(folder, series=number).modality == modality
    uid = pydicom.dcmread(next((folder / "pet").iterdir())).SeriesInstanceUID
    assert read_volume(folder, series=uid).modality == "PT"
    for wrong in ("1.2.3", 3):
        with pytest.raises(ValueError, match="series"):
            read_volume(folder, series=wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"SeriesInstanceUID": SERIES + ".2"},
        {"PixelSpacing": [0.5, 0.8]},
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        {"FrameOfReferenceUID": "1.2.3"},
        {"Modality": "PT"},
    ],
)
def test_slices_that_do_not_belong_are_never_interleaved(tmp_path, change):
    stack = write_series(tmp_path)
    write(tmp_path / "zz.dcm", ImagePositionPatient=[-10, -20, 31], **change)
    with pytest.raises(DicomError, match=r"2 groups of images"):
        read_volume(tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path, series=0).array, stack)


def test_mixed_sizes(tmp_path):
    write_series(tmp_path)
    write(tmp_path / "zz.dcm", image(shape=(7, 5)), ImagePositionPatient=[-10, -20, 40])
    with pytest.raises(DicomError, match=r"(?s)2 groups.*6 x 5.*7 x 5"):
        read_volume(tmp_path)
    with pytest.raises(DicomError, match=r"2 groups"):
        read_volume(tmp_path, series=SERIES)


def test_positions_missing_or_equal(tmp_path):
    write_series(tmp_path / "a", ImagePositionPatient=[0, 0, 0])
    with pytest.raises(GeometryError, match="same place"):
        read_volume(tmp_path / "a")
    write_series(tmp_path / "b")
    write(tmp_path / "b" / "zz.dcm", ImagePositionPatient=None)
    with pytest.raises(GeometryError, match=r"zz\.dcm.*ImagePositionPatient.*missing"):
        read_volume(tmp_path / "b")
    write_series(tmp_path / "c", ImageOrientationPatient=None)
    with pytest.raises(GeometryError, match=r"ImageOrientationPatient.*missing"):
        read_volume(tmp_path / "c")


def test_an_unreadable_member_is_never_left_out(tmp_path):
    write_series(tmp_path)
    last = sorted(tmp_path.iterdir())[-1]
    whole = last.read_bytes()
    for size in (200, 600, len(whole) - 2):
        last.write_bytes(whole[:size])
        with pytest.raises(DicomError, match=last.name):
            read_volume(tmp_path)


def test_other_files_are_skipped(tmp_path, recwarn):
    stack = write_series(tmp_path / "deep" / "er")
    (tmp_path / "LICENSE").write_text("free")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").touch()
    for name in ("test-SR.dcm", "reportsi.dcm", "rtplan.dcm"):
        shutil.copy(get_testdata_file(name, download=False), tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path).array, stack)
    assert not recwarn.list
    (tmp_path / "zeros.dcm").write_bytes(bytes(1000))
    (tmp_path / "archive.dcm").write_bytes(b"PK\x03\x04" + bytes(500))
    (tmp_path / "loop.dcm").symlink_to(tmp_path / "loop.dcm")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.dcm")
    with pytest.warns(UserWarning, match=r"[34] files are no DICOM despite their suffix"):
        np.testing.assert_array_equal(read_volume(tmp_path).array, stack)


def test_two_patients_in_one_series(tmp_path):
    write_series(tmp_path)
    write(tmp_path / "zz.dcm", ImagePositionPatient=[-10, -20, 40], PatientID="456OTHER")
    with pytest.raises(DicomError, match="differ in patients") as caught:
        read_volume(tmp_path)
    message = str(caught.value)
    assert not any(secret in message for secret in (PATIENT, PATIENT_ID, "456OTHER"))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, "PhotometricInterpretation"),
        ({"RescaleType": "US"}, "units"),
    ],
)
def test_slices_of_different_meaning(tmp_path, change, what):
    write_series(tmp_path)
    write(tmp_path / "zz.dcm", ImagePositionPatient=[-10, -20, 40], **change)
    with pytest.raises(DicomError, match=what):
        read_volume(tmp_path)


def test_each_slice_has_its_own_slope(tmp_path):
    for z, slope in enumerate((0.5, 0.25, 4)):
        write(tmp_path / f"{z}.dcm", image(z), ImagePositionPatient=[0, 0, z], Modality="PT",
              Units="BQML", RescaleSlope=slope)  # fmt: skip
    volume = read_volume(tmp_path)
    assert volume.units == "Bq/ml"
    for z, slope in enumerate((0.5, 0.25, 4)):
        np.testing.assert_array_equal(volume.array[z], image(z) * np.float32(slope))


def test_series_are_grouped_whatever_their_number(tmp_path):
    base = read_header(write(tmp_path / "a.dcm"))
    rng = np.random.default_rng(0)
    headers = []
    for i in range(600):  # slices of 200 geometries, each with its rounding
        angle = (i % 200) * 0.01
        noise = rng.uniform(-1e-5, 1e-5)
        turned = (math.cos(angle) + noise, math.sin(angle), 0, -math.sin(angle), math.cos(angle), 0)
        headers.append(replace(base, orientation=turned))
    groups = group_headers(headers)
    assert [len(group) for group in groups] == [3] * 200
    assert all(groups[i % 200][i // 200] is header for i, header in enumerate(headers))
    unknown = [replace(base, spacing=(math.nan, math.nan)) for _ in range(3)]
    assert [len(group) for group in group_headers([base, *unknown, base])] == [2, 3]


def test_hidden_files_are_no_slices(tmp_path, recwarn):
    stack = write_series(tmp_path)
    for name in (".DS_Store", "._a.dcm", ".hidden.dcm"):
        (tmp_path / name).write_bytes(bytes(200))
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    np.testing.assert_array_equal(read_volume(tmp_path).array, stack)
    assert not recwarn.list
