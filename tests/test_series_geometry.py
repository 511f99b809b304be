"""Slices go by position; steps, gaps, tilt and affine are right, or an error says so.

Affines are compared with SimpleITK's where it has the notion (no shear, no gaps), and with
places computed from pydicom's values of each file otherwise.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import SERIES, image, write, write_series
from pydicom.data import get_testdata_file

from fastmm.errors import GeometryError
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


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm"])
def test_one_file_is_that_of_simpleitk(name):
    path = get_testdata_file(name, download=False)
    volume, expected = read_volume(path), _itk().ReadImage(path)
    np.testing.assert_allclose(volume.array, _itk().GetArrayFromImage(expected), rtol=1e-6)
    np.testing.assert_allclose(volume.spacing[1:], expected.GetSpacing()[1::-1])
    np.testing.assert_allclose(volume.affine[:, [0, 1, 3]], _affine(expected)[:, [0, 1, 3]])
    assert volume.source == (Path(path),)


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
