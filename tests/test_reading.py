"""Volumes from folders: order, spacing, affine, and an error wherever slices do not fit."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import PATIENT, PATIENT_ID, SERIES, dataset, image, write, write_series
from pydicom.data import get_testdata_file

from fastmm.errors import DicomError, FastmmError, GeometryError, LimitError
from fastmm.read import dicom
from fastmm.read.reading import read_volume
from fastmm.read.volume import Volume


def _simpleitk(folder: Path) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def _affine(found: SimpleITK.Image) -> np.ndarray:
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
    np.testing.assert_allclose(volume.array, SimpleITK.GetArrayFromImage(expected))
    np.testing.assert_allclose(volume.affine, _affine(expected), atol=1e-5)
    np.testing.assert_allclose(volume.spacing, expected.GetSpacing()[::-1], atol=1e-6)


def test_real_series_are_those_of_simpleitk(real_data):
    for name, units in (("ct", "HU"), ("pet", "SUV"), ("mr_t1", "a.u.")):
        for patient in ("STS_001", "STS_026"):
            folder = real_data / "sts" / patient / name
            volume, expected = read_volume(folder), _simpleitk(folder)
            assert volume.units == units
            np.testing.assert_allclose(
                volume.array, SimpleITK.GetArrayFromImage(expected), rtol=1e-5, atol=1e-5
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
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(expected))
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
    volume, expected = read_volume(path), SimpleITK.ReadImage(path)
    np.testing.assert_allclose(volume.array, SimpleITK.GetArrayFromImage(expected), rtol=1e-6)
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
    for z in range(5):
        y = np.tan(np.radians(degrees)) * 3 * z
        write(tmp_path / f"{z}.dcm", image(z), ImagePositionPatient=[0, f"{y:.8f}", 3 * z])
    for gaps in ("raise", "accept"):
        with pytest.raises(GeometryError, match=rf"{degrees:.1f} degrees"):
            read_volume(tmp_path, gaps=gaps)


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


def test_a_dicomdir_leads_nowhere(tmp_path):
    stack = write_series(tmp_path / "a")
    ds = dataset(SOPClassUID="1.2.840.10008.1.3.10")
    for name in ("PixelData", "Rows", "SOPClassUID"):
        delattr(ds, name)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    pydicom.dcmwrite(tmp_path / "DICOMDIR", ds, enforce_file_format=True)
    np.testing.assert_array_equal(read_volume(tmp_path).array, stack)
    with pytest.raises(DicomError, match="no image"):
        read_volume(tmp_path / "DICOMDIR")


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
    monkeypatch.setattr(dicom, "MAX_BYTES", 6 * 5 * 4 * 4)
    read_volume(tmp_path)
    monkeypatch.setattr(dicom, "MAX_BYTES", 6 * 5 * 4 * 4 - 1)
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
