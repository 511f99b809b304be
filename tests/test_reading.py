"""Volumes from folders: order, spacing, affine, and an error wherever slices do not fit.

Affines are compared with SimpleITK's where it has the notion (no shear, no gaps), with
nibabel's for NIfTI, and with places computed from pydicom's values of each file otherwise.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import PATIENT, PATIENT_ID, SERIES, dataset, image, write, write_series
from pydicom.data import get_testdata_file

from fastmm.errors import DicomError, FastmmError, GeometryError, LimitError
from fastmm.read import limits
from fastmm.read.dicom.series import group_headers
from fastmm.read.dicom.slices import read_header
from fastmm.read.reading import read_volume
from fastmm.read.volume import Volume


def _itk() -> Any:
    return pytest.importorskip("SimpleITK", reason="the oracle SimpleITK is not installed")


def _simpleitk(folder: Path) -> Any:
    reader = _itk().ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def _affine(found: Any) -> np.ndarray:
    affine = np.eye(4)
    direction = np.array(found.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(found.GetSpacing())
    affine[:3, 3] = found.GetOrigin()
    return affine


def test_slices_by_position_not_by_name(tmp_path):
    stack = write_series(tmp_path, 7)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, stack)
    assert volume.array.dtype == np.float32
    assert volume.units == "HU"
    assert volume.modality == "CT"
    assert volume.valid is None
    assert volume.spacing == (2.5, 0.5, 0.75)
    assert len(volume.source) == 7
    np.testing.assert_allclose(volume.affine @ [0, 0, 1, 1], [-10, -20, 32.5, 1])
    np.testing.assert_allclose(volume.affine @ [1, 0, 0, 1], [-9.25, -20, 30, 1])
    np.testing.assert_allclose(volume.affine @ [0, 1, 0, 1], [-10, -19.5, 30, 1])
    np.testing.assert_allclose(volume.affine_ras @ [0, 0, 0, 1], [10, 20, 30, 1])


_COS, _SIN = np.cos(0.3), np.sin(0.3)


@pytest.mark.parametrize(
    "orientation",
    [
        [1, 0, 0, 0, 1, 0],
        [0, 1, 0, 0, 0, -1],  # sagittal
        [1, 0, 0, 0, 0, -1],  # coronal
        [_COS, _SIN, 0, -_SIN * _COS, _COS * _COS, -_SIN],  # oblique
        [-1, 0, 0, 0, -1, 0],
    ],
)
def test_geometry_is_that_of_simpleitk(tmp_path, orientation):
    normal = np.cross(orientation[:3], orientation[3:])
    order = np.random.default_rng(0).permutation(6)
    for z in range(6):
        position = [f"{v:.12g}" for v in np.array([3.0, -4, 5]) + 1.7 * z * normal]
        write(tmp_path / f"{order[z]}.dcm", image(z), ImagePositionPatient=position,
              ImageOrientationPatient=[f"{v:.12g}" for v in orientation],
              SOPInstanceUID=f"{SERIES}.5.{z}", RescaleSlope=2, RescaleIntercept=-3)  # fmt: skip
    expected = _simpleitk(tmp_path)
    volume = read_volume(tmp_path)
    np.testing.assert_allclose(volume.array, _itk().GetArrayFromImage(expected))
    np.testing.assert_allclose(volume.affine, _affine(expected), atol=1e-5)
    np.testing.assert_allclose(volume.spacing, expected.GetSpacing()[::-1], atol=1e-6)


def test_real_series_are_those_of_simpleitk(real_data):
    for name, units in (("ct", "HU"), ("pet", "SUV"), ("mr_t1", "a.u.")):
        for patient in ("STS_001", "STS_026"):
            folder = real_data / "sts" / patient / name
            volume, expected = read_volume(folder), _simpleitk(folder)
            assert volume.units == units
            np.testing.assert_allclose(
                volume.array, _itk().GetArrayFromImage(expected), rtol=1e-5, atol=1e-5
            )
            np.testing.assert_allclose(volume.affine, _affine(expected), atol=1e-3)


def test_gantry_tilt(real_data):
    with pytest.raises(GeometryError, match=r"18\.5 degrees.*tilted gantry"):
        read_volume(real_data / "dicom_ct_gantry_tilt")


def test_even_steps_beat_the_slice_thickness(real_data):
    # Every 8th slice was kept, so that the steps are even but not the SliceThickness.
    folder = real_data / "dicom_mr_oblique"
    volume, expected = read_volume(folder), _simpleitk(folder)
    np.testing.assert_allclose(volume.spacing[0], 5.333333, rtol=1e-6)
    np.testing.assert_array_equal(volume.array, _itk().GetArrayFromImage(expected))
    np.testing.assert_allclose(volume.affine, _affine(expected), atol=1e-4)


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


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm"])
def test_one_file_is_that_of_simpleitk(name):
    path = get_testdata_file(name, download=False)
    volume, expected = read_volume(path), _itk().ReadImage(path)
    np.testing.assert_allclose(volume.array, _itk().GetArrayFromImage(expected), rtol=1e-6)
    np.testing.assert_allclose(volume.spacing[1:], expected.GetSpacing()[1::-1])
    np.testing.assert_allclose(volume.affine[:, [0, 1, 3]], _affine(expected)[:, [0, 1, 3]])
    assert volume.source == (Path(path),)


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


@pytest.mark.parametrize("missing", [1, 2, 5, 8])
def test_a_missing_slice(tmp_path, missing):
    for z in range(10):
        if z != missing:
            write(tmp_path / f"s{z}.dcm", image(z), ImagePositionPatient=[0, 0, 2 * z])
    names = rf"4 mm between s{missing - 1}\.dcm and s{missing + 1}\.dcm"
    with pytest.raises(GeometryError, match=names):
        read_volume(tmp_path)
    volume = read_volume(tmp_path, gaps="accept")
    assert volume.array.shape[0] == 9
    assert np.isnan(volume.spacing[0])
    with pytest.raises(GeometryError, match="spacing"):
        volume.physical_spacing()


def test_steps_that_drift(tmp_path):
    for z in range(12):
        where = z * 1.0 if z < 6 else 5 + (z - 5) * 1.3
        write(tmp_path / f"{z}.dcm", image(z), ImagePositionPatient=[0, 0, where])
    with pytest.raises(GeometryError, match="uneven"):
        read_volume(tmp_path)


def test_jitter_and_rounding_are_no_gaps(tmp_path):
    rng = np.random.default_rng(0)
    for z in range(20):
        where = [0, 0, f"{1.25 * z + rng.uniform(-2e-6, 2e-6):.9f}"]
        write(tmp_path / "a" / f"{z}.dcm", image(z), ImagePositionPatient=where)
        write(tmp_path / "b" / f"{z}.dcm", image(z), ImagePositionPatient=[0, 0, f"{1.25 * z:.1f}"])
    assert read_volume(tmp_path / "a").spacing[0] == pytest.approx(1.25, abs=1e-6)
    assert read_volume(tmp_path / "b").spacing[0] == pytest.approx(1.25, rel=0.005)


@pytest.mark.parametrize("degrees", [2, 18.5])
def test_tilt(tmp_path, degrees):
    n, step = 5, 3.0
    for z in range(n):
        y = np.tan(np.radians(degrees)) * step * z
        write(tmp_path / f"{z}.dcm", image(z), ImagePositionPatient=[0, f"{y:.8f}", step * z])
    for gaps in ("raise", "accept"):
        with pytest.raises(GeometryError, match=rf'{degrees:.1f} degrees.*tilt="shear"'):
            read_volume(tmp_path, gaps=gaps)
    volume = read_volume(tmp_path, tilt="shear")
    np.testing.assert_array_equal(volume.array, [image(z) for z in range(n)])
    # SimpleITK has no sheared images; the formula of DICOM PS3.3 C.7.6.2.1.1 decides.
    _check_places(volume)
    np.testing.assert_allclose(
        volume.affine[:3, 2], [0, np.tan(np.radians(degrees)) * step, step], atol=1e-7
    )
    assert volume.spacing[0] == pytest.approx(step)


def _check_places(volume: Volume) -> None:
    """Compare with positions and affine computed from pydicom's values of each file."""
    for z, path in enumerate(volume.source):
        ds = pydicom.dcmread(path)
        position = np.array(ds.ImagePositionPatient, float)
        np.testing.assert_allclose(volume.positions[z], position, atol=1e-9)
        orientation = np.array(ds.ImageOrientationPatient, float)
        dy, dx = ds.PixelSpacing
        for x, y in ((0, 0), (ds.Columns - 1, 0), (3, 2)):
            place = position + orientation[:3] * dx * x + orientation[3:] * dy * y
            if np.isfinite(volume.affine).all():
                np.testing.assert_allclose(volume.affine @ [x, y, z, 1], [*place, 1], atol=1e-6)


def test_real_gantry_tilt_with_uneven_steps(real_data):
    folder = real_data / "dicom_ct_gantry_tilt"
    with pytest.raises(GeometryError, match="uneven"):
        read_volume(folder, tilt="shear")
    with pytest.raises(GeometryError, match="tilt"):
        read_volume(folder, gaps="accept")
    volume = read_volume(folder, gaps="accept", tilt="shear")
    assert volume.array.shape == (28, 512, 512)
    assert math.isnan(volume.spacing[0])
    assert np.isnan(volume.affine[:3, 2]).all()
    assert np.isfinite(volume.affine[:3, [0, 1, 3]]).all()
    _check_places(volume)
    steps = np.linalg.norm(np.diff(volume.positions, axis=0), axis=1)
    np.testing.assert_allclose(np.unique(steps.round(6)), [1.14, 4.22, 7.38], atol=1e-6)


def test_the_even_part_of_a_real_tilt_has_a_sheared_affine(real_data, tmp_path):
    files = sorted((real_data / "dicom_ct_gantry_tilt").rglob("*.dcm"))
    files.sort(key=lambda f: float(pydicom.dcmread(f, stop_before_pixels=True).SliceLocation))
    for file in files[:6]:
        shutil.copy(file, tmp_path)
    volume = read_volume(tmp_path, tilt="shear")
    _check_places(volume)
    p = volume.positions
    np.testing.assert_allclose(volume.affine[:3, 2], (p[-1] - p[0]) / (len(p) - 1), atol=1e-9)
    np.testing.assert_allclose(volume.spacing[0], 4.22 * np.cos(np.radians(18.5)), atol=1e-4)


def test_slices_shifted_without_a_tilt(tmp_path):
    for z, x in enumerate((0, 5, 0, -5, 0)):
        write(tmp_path / f"{z}.dcm", image(z), ImagePositionPatient=[x, 0, 2 * z])
    for tilt in ("raise", "shear"):
        with pytest.raises(GeometryError, match="irregularly"):
            read_volume(tmp_path, tilt=tilt)


def test_uneven_steps_keep_their_positions(tmp_path):
    places = [0, 1, 2, 4, 5.5]
    for z, where in enumerate(places):
        write(tmp_path / f"{z}.dcm", image(z), ImagePositionPatient=[1, 2, where])
    volume = read_volume(tmp_path, gaps="accept")
    np.testing.assert_array_equal(volume.positions, [[1, 2, where] for where in places])
    assert np.isnan(volume.affine[:3, 2]).all()


def test_copies(tmp_path):
    stack = write_series(tmp_path)
    same = sorted(tmp_path.iterdir())[1]
    shutil.copy(same, tmp_path / "zz.dcm")
    with pytest.warns(UserWarning, match="1 slices are copies"):
        np.testing.assert_array_equal(read_volume(tmp_path).array, stack)
    position = pydicom.dcmread(same).ImagePositionPatient
    write(tmp_path / "zz.dcm", image(99), ImagePositionPatient=position)
    with pytest.raises(GeometryError, match=rf"{same.name} and .*zz\.dcm lie at the same place"):
        read_volume(tmp_path)


def test_copies_with_another_slope_are_none(tmp_path):
    write_series(tmp_path)
    write(tmp_path / "zz.dcm", image(0), RescaleSlope=2)
    with pytest.raises(GeometryError, match="same place"):
        read_volume(tmp_path)


def test_time_points(tmp_path):
    write_series(tmp_path / "a")
    for path in list((tmp_path / "a").iterdir()):
        ds = pydicom.dcmread(path)
        ds.PixelData = bytes(len(ds.PixelData))
        ds.save_as(tmp_path / "a" / f"t1_{path.name}")
    with pytest.raises(GeometryError, match="All 4 places hold 2 images each: time points"):
        read_volume(tmp_path)
    # Nothing but their pixels differs.
    with pytest.raises(GeometryError, match="no tag tells their time points apart"):
        read_volume(tmp_path, time="stack")


_MARKS = {
    "TemporalPositionIdentifier": (1, 2, 3),
    "TriggerTime": ("0", "33.5", "102"),
    "EchoTime": ("2.3", "4.6", "10"),
    "DiffusionBValue": (0.0, 50.0, 1000.0),
    "AcquisitionNumber": (9, 10, 11),
    "AcquisitionTime": ("095959.9", "100000", "100001.5"),
    "ContentTime": ("095959.9", "100000", "100001.5"),
    "InstanceNumber": (2, 10, 100),
}


def _write_times(folder: Path, keyword: str, values, n: int = 3, **tags) -> np.ndarray:
    """Write a dynamic series whose file names follow neither time nor place."""
    stack = np.stack([[image(10 * t + z) for z in range(n)] for t in range(len(values))])
    for t, z in itertools.product(range(len(values)), range(n)):
        write(folder / f"{(7 * t + 5 * z) % 11}_{t}{z}.dcm", stack[t, z],
              ImagePositionPatient=[0, 0, 2 * z], **{keyword: values[t]}, **tags)  # fmt: skip
    return stack


@pytest.mark.parametrize("keyword", _MARKS)
def test_time_points_are_stacked_in_order(tmp_path, keyword):
    stack = _write_times(tmp_path, keyword, _MARKS[keyword])
    with pytest.raises(GeometryError, match=f'3 places hold 3 images.*{keyword}.*time="stack"'):
        read_volume(tmp_path)
    volume = read_volume(tmp_path, time="stack")
    np.testing.assert_array_equal(volume.array, stack)
    assert volume.time_axis == keyword
    assert volume.positions.shape == (3, 3)
    assert volume.spacing == (2, 0.5, 0.75)
    assert [p.name[-6:-4] for p in volume.source] == [f"{t}{z}" for t in range(3) for z in range(3)]
    for t in range(3):
        one = read_volume(tmp_path, time=t)
        np.testing.assert_array_equal(one.array, stack[t])
        assert len(one.source) == 3
    with pytest.raises(ValueError, match="`time` must lie in 0 to 2"):
        read_volume(tmp_path, time=3)


def test_time_across_midnight(tmp_path):
    for t, (date, clock) in enumerate((("20200101", "235959"), ("20200102", "000001"))):
        for z in range(2):
            write(tmp_path / f"{9 - t}{z}.dcm", image(10 * t + z), AcquisitionDate=date,
                  AcquisitionTime=clock, ImagePositionPatient=[0, 0, z])  # fmt: skip
    volume = read_volume(tmp_path, time="stack")
    np.testing.assert_array_equal(volume.array[0, 0], image(0))
    assert volume.time_axis == "AcquisitionTime"


def test_time_points_without_contrast_are_no_copies(tmp_path):
    blank = np.zeros((6, 5), np.int16)
    for t, z in itertools.product(range(2), range(3)):
        pixels = blank if z == 0 else image(10 * t + z)
        write(tmp_path / f"{t}{z}.dcm", pixels, ImagePositionPatient=[0, 0, z],
              TemporalPositionIdentifier=t + 1, InstanceNumber=t * 3 + z)  # fmt: skip
    volume = read_volume(tmp_path, time="stack")
    assert volume.array.shape == (2, 3, 6, 5)
    assert not volume.array[:, 0].any()


def test_copies_among_time_points(tmp_path):
    stack = _write_times(tmp_path, "EchoTime", ("1", "2"))
    shutil.copy(sorted(tmp_path.iterdir())[0], tmp_path / "zz.dcm")
    with pytest.warns(UserWarning, match="1 slices are copies"):
        np.testing.assert_array_equal(read_volume(tmp_path, time="stack").array, stack)


def test_incomplete_time_points(tmp_path):
    _write_times(tmp_path, "TemporalPositionIdentifier", (1, 2, 3))
    sorted(tmp_path.iterdir())[0].unlink()
    with pytest.raises(GeometryError, match=r"incomplete.*from 2 to 3"):
        read_volume(tmp_path, time="stack")


def test_time_points_of_other_marks_are_never_paired(tmp_path):
    # Each place holds two echoes, but not the same two.
    for z, echoes in enumerate((("1", "2"), ("1", "3"))):
        for t, echo in enumerate(echoes):
            write(tmp_path / f"{t}{z}.dcm", image(10 * t + z), EchoTime=echo,
                  ImagePositionPatient=[0, 0, z], InstanceNumber=t + 1)  # fmt: skip
    with pytest.raises(GeometryError, match="differ in EchoTime"):
        read_volume(tmp_path, time="stack")


def test_one_plane_but_two_places_are_no_time_points(tmp_path):
    for t, z in itertools.product(range(2), range(2)):
        write(tmp_path / f"{t}{z}.dcm", image(10 * t + z), AcquisitionNumber=t,
              ImagePositionPatient=[40 * t, 0, z])  # fmt: skip
    with pytest.raises(GeometryError, match="40 mm apart"):
        read_volume(tmp_path, time="stack")


def test_one_time_point(tmp_path):
    stack = write_series(tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path, time="stack").array, stack[None])
    np.testing.assert_array_equal(read_volume(tmp_path, time=0).array, stack)
    with pytest.raises(ValueError, match="1 time point"):
        read_volume(tmp_path, time=1)


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


def test_padding_holds_the_lowest_valid_value(tmp_path):
    stack = np.stack([image(z, low=-900) for z in range(3)])
    stack[:, 0] = -2000
    stack[1] = -2000  # a slice of nothing but padding
    for z in range(3):
        write(tmp_path / f"{z}.dcm", stack[z], ImagePositionPatient=[0, 0, z],
              PixelPaddingValue=-2000, RescaleIntercept=-24)  # fmt: skip
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.valid, stack != -2000)
    assert volume.array.min() == stack[stack != -2000].min() - 24
    assert (volume.array[stack == -2000] == volume.array.min()).all()
    np.testing.assert_array_equal(volume.array[volume.valid], stack[stack != -2000] - 24)


def test_nothing_but_padding(tmp_path):
    path = write(tmp_path / "a.dcm", np.full((4, 4), -2000, np.int16), PixelPaddingValue=-2000)
    with pytest.raises(DicomError, match="every pixel is padding"):
        read_volume(path)


def test_spacing_that_is_not_known(tmp_path):
    volume = read_volume(write(tmp_path / "a.dcm", PixelSpacing=None, SliceThickness=None))
    assert np.isnan(volume.spacing).all()
    assert np.isnan(volume.affine[:3, :3]).all()
    with pytest.raises(GeometryError, match="not known"):
        volume.physical_spacing()
    bare = read_volume(write(tmp_path / "b.dcm", ImagePositionPatient=None))
    assert bare.spacing == (2, 0.5, 0.75)
    assert np.isnan(bare.affine[:3, 3]).all()


def test_thickness_zero_is_not_known(tmp_path):
    assert np.isnan(read_volume(write(tmp_path / "a.dcm", SliceThickness=0)).spacing[0])


def test_frames_of_one_file(tmp_path):
    stack = np.stack([image(z) for z in range(4)])
    path = write(tmp_path / "a.dcm", stack, NumberOfFrames=4, ImagePositionPatient=None)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, stack)
    assert np.isnan(volume.spacing[0])


def test_warnings_come_once(tmp_path):
    write_series(tmp_path, RescaleSlope=None, RescaleIntercept=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_volume(tmp_path).units == "stored"
    assert len(caught) == 1
    assert "Hounsfield" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_limit_counts_the_volume(tmp_path, monkeypatch):
    write_series(tmp_path, 4)
    monkeypatch.setattr(limits, "MAX_BYTES", 6 * 5 * 4 * 4)
    read_volume(tmp_path)
    monkeypatch.setattr(limits, "MAX_BYTES", 6 * 5 * 4 * 4 - 1)
    with pytest.raises(LimitError, match="4 slices"):
        read_volume(tmp_path)


def test_paths_and_arguments(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_volume(tmp_path / "none")
    with pytest.raises(FastmmError, match="no DICOM images"):
        read_volume(tmp_path)
    path = write(tmp_path / "a.dcm")
    with pytest.raises(ValueError, match="gaps"):
        read_volume(path, gaps="ignore")
    with pytest.raises(ValueError, match="nonfinite"):
        read_volume(path, nonfinite="ignore")
    with pytest.raises(TypeError, match="series"):
        read_volume(path, series=1.5)
    assert isinstance(read_volume(str(path), nonfinite=0.0), Volume)


def test_enhanced_frames_are_those_of_pydicom(real_data):
    path = next((real_data / "dicom_enhanced").rglob("6_1.dcm"))
    ds = pydicom.dcmread(path)
    groups = ds.PerFrameFunctionalGroupsSequence
    positions = np.array([g.PlanePositionSequence[0].ImagePositionPatient for g in groups], float)
    shared = ds.SharedFunctionalGroupsSequence[0]
    plane = (shared if "PlaneOrientationSequence" in shared else groups[0]).PlaneOrientationSequence
    orientation = np.array(plane[0].ImageOrientationPatient, float)
    order = np.argsort(positions @ np.cross(orientation[:3], orientation[3:]))
    volume = read_volume(path)
    np.testing.assert_allclose(volume.positions, positions[order])
    np.testing.assert_allclose(
        volume.affine[:3, 2], (positions[order][-1] - positions[order][0]) / 5, atol=1e-4
    )
    rescale = [groups[i].PixelValueTransformationSequence[0] for i in order]
    slope, intercept = (
        np.array([float(getattr(r, name)) for r in rescale])[:, None, None]
        for name in ("RescaleSlope", "RescaleIntercept")
    )
    np.testing.assert_allclose(volume.array, ds.pixel_array[order] * slope + intercept, rtol=1e-6)
    with pytest.raises(DicomError, match="4 groups of images"):
        read_volume(path.parent)
    assert read_volume(path.parent, series=2).source[0].name == "6_3.dcm"


def test_enhanced_time_points(real_data):
    path = next((real_data / "dicom_enhanced").rglob("IM_0027_fMAP.dcm"))
    with pytest.raises(GeometryError, match="32 places hold 2 images each"):
        read_volume(path)
    both = read_volume(path, time="stack")
    assert both.array.shape == (2, 32, 64, 64)
    assert both.time_axis == "FrameContentSequence"
    for t in range(2):
        one = read_volume(path, time=t)
        np.testing.assert_array_equal(one.array, both.array[t])
        np.testing.assert_array_equal(one.positions, both.positions)


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


def test_pictures_and_nifti(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    nibabel = pytest.importorskip("nibabel")
    stack = np.random.default_rng(0).integers(0, 255, (11, 4, 3)).astype(np.uint8)
    (tmp_path / "a").mkdir()
    for z, picture in enumerate(stack):
        pil.fromarray(picture).save(tmp_path / "a" / f"s{z}.png")
    volume = read_volume(tmp_path / "a")
    np.testing.assert_array_equal(volume.array, stack)  # s10 after s9
    assert np.isnan(volume.spacing).all()
    np.testing.assert_array_equal(read_volume(tmp_path / "a" / "s3.png").array, stack[3:4])
    np.testing.assert_array_equal(read_volume(tmp_path / "a", time="stack").array, stack[None])
    affine = np.array([[-2 * _COS, 0, 3 * _SIN, 3], [0, -2, 0, 4], [2 * _SIN, 0, 3 * _COS, 5],
                       [0, 0, 0, 1]])  # fmt: skip
    (tmp_path / "b").mkdir()
    nibabel.Nifti1Image(stack.T, affine).to_filename(tmp_path / "b" / "n.nii.gz")
    volume = read_volume(tmp_path / "b")
    np.testing.assert_array_equal(volume.array, stack)
    np.testing.assert_allclose(volume.affine_ras, affine, atol=1e-6)
    np.testing.assert_allclose(volume.positions[2], (volume.affine @ [0, 0, 2, 1])[:3])
    with pytest.raises(FastmmError, match="suv"):
        read_volume(tmp_path / "b", suv=True)
    with pytest.raises(FastmmError, match=r"1 NIfTI file\(s\) and 11 picture\(s\)"):
        read_volume(tmp_path)
    shutil.copy(tmp_path / "b" / "n.nii.gz", tmp_path / "b" / "m.nii.gz")
    with pytest.raises(FastmmError, match=r"2 NIfTI files \(m\.nii\.gz, n\.nii\.gz\)"):
        read_volume(tmp_path / "b")
    dicoms = write_series(tmp_path / "b")
    with pytest.raises(DicomError, match=r"one series of images and 2 NIfTI file\(s\)"):
        read_volume(tmp_path / "b")
    np.testing.assert_array_equal(read_volume(tmp_path / "b", series=0).array, dicoms)


def test_hidden_files_are_no_slices(tmp_path, recwarn):
    stack = write_series(tmp_path)
    for name in (".DS_Store", "._a.dcm", ".hidden.dcm"):
        (tmp_path / name).write_bytes(bytes(200))
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    np.testing.assert_array_equal(read_volume(tmp_path).array, stack)
    assert not recwarn.list


def _float_pixels(path: Path, pixels: np.ndarray, **tags) -> Path:
    ds = dataset(np.zeros(pixels.shape, np.int16), **tags)
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, name)
    ds.BitsAllocated = 32
    ds.add_new("FloatPixelData", "OF", pixels.astype("<f4").tobytes())
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.30"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


def test_nonfinite_voxels(tmp_path):
    stack = np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)
    stack[0, 1, 2], stack[1, 0, 0], stack[2, 5, 4] = np.nan, np.inf, -np.inf
    for z in range(3):
        _float_pixels(tmp_path / f"{z}.dcm", stack[z], ImagePositionPatient=[0, 0, z])
    with pytest.raises(FastmmError, match="3 of 90 voxels of the volume are NaN or infinite"):
        read_volume(tmp_path)
    filled = read_volume(tmp_path, nonfinite=-7).array
    np.testing.assert_array_equal(filled, np.where(np.isfinite(stack), stack, -7))


def test_colour_needs_a_channel(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (6, 5, 3)).astype(np.uint8)
    for z in range(2):
        write(tmp_path / f"{z}.dcm", rgb[..., 0], SamplesPerPixel=3, PlanarConfiguration=0,
              PhotometricInterpretation="RGB", ImagePositionPatient=[0, 0, z],
              PixelData=rgb.tobytes(), RescaleSlope=None, RescaleIntercept=None,
              Modality="OT")  # fmt: skip
    with pytest.raises(DicomError, match="channel="):
        read_volume(tmp_path)
    for channel in range(3):
        found = read_volume(tmp_path, channel=channel).array
        np.testing.assert_array_equal(found, np.stack([rgb[..., channel]] * 2))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"tilt": "ignore"}, ValueError, "tilt"),
        ({"time": "all"}, ValueError, "time"),
        ({"time": -1}, ValueError, "time"),
        ({"time": 1.0}, TypeError, "time"),
        ({"channel": 3}, ValueError, "channel"),
        ({"suv": 1}, TypeError, "suv"),
        ({"nonfinite": 1e300}, ValueError, "nonfinite"),
        ({"suv": True}, FastmmError, "P"),
    ],
)
def test_options_are_checked(tmp_path, arguments, kind, message):
    write_series(tmp_path)
    with pytest.raises(kind, match=message):
        read_volume(tmp_path, **arguments)


def test_suv_of_each_slice(tmp_path):
    dose = pydicom.Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = 3.7e8, 6586.2
    dose.RadiopharmaceuticalStartTime = "100000"
    for z, slope in enumerate((0.5, 2)):
        write(tmp_path / f"{z}.dcm", image(z), Modality="PT", Units="BQML", RescaleSlope=slope,
              ImagePositionPatient=[0, 0, z], PatientWeight=70, DecayCorrection="ADMIN",
              CorrectedImage=["ATTN", "DECY"], SeriesDate="20200101", SeriesTime="110000",
              AcquisitionDate="20200101", AcquisitionTime="110000",
              RadiopharmaceuticalInformationSequence=[dose])  # fmt: skip
    assert read_volume(tmp_path).units == "Bq/ml"
    volume = read_volume(tmp_path, suv=True)
    assert volume.units == "SUV"
    stack = np.stack([image(0) * 0.5, image(1) * 2.0])
    np.testing.assert_allclose(volume.array, stack * 70_000 / 3.7e8, rtol=1e-6)
