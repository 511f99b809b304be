"""resample against SimpleITK, SciPy and a plain loop: values on any grid, real scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resampling_by_definition import GRIDS, SOURCE, centred, indices_of, naive, rotation, volume_of
from scipy import ndimage

from fastmm import read_volume
from fastmm.image.resampling import resample


def itk(volume, like, interpolation, fill):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

    def image(v):
        made = sitk.GetImageFromArray(np.ascontiguousarray(v.array))
        lengths = np.linalg.norm(v.affine[:3, :3], axis=0)
        made.SetSpacing(lengths.tolist())
        made.SetOrigin(v.affine[:3, 3].tolist())
        made.SetDirection((v.affine[:3, :3] / lengths).ravel().tolist())
        return made

    mode = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}[interpolation]
    return sitk.GetArrayFromImage(
        sitk.Resample(image(volume), image(like), sitk.Transform(), mode, fill)
    )


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize("name", GRIDS)
def test_equals_simpleitk(name, interpolation):
    volume, like = centred(**SOURCE), GRIDS[name]
    got = resample(volume, like=like, interpolation=interpolation, fill=-77)
    expected = itk(volume, like, interpolation, -77.0)
    assert got.array.dtype == np.float32
    assert np.abs(got.array - expected).max() <= 1e-5 * np.abs(volume.array).max()


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("name", GRIDS)
def test_equals_the_plain_loop(name, interpolation):
    like = GRIDS[name]
    for dtype, share in (("float64", 1e-10), ("float32", 2e-6), ("int16", 2e-6)):
        volume = centred(**SOURCE, dtype=dtype)
        expected, _ = naive(volume, like, interpolation)
        got = resample(volume, like=like, interpolation=interpolation, fill=-77)
        inside = ~np.isnan(expected)
        valid = np.ones(inside.shape, bool) if got.valid is None else got.valid
        np.testing.assert_array_equal(valid, inside)
        assert got.array.dtype == (np.float64 if dtype == "float64" else np.float32)
        error = np.abs(got.array - np.where(inside, expected, -77))
        assert error.max() <= share * np.abs(volume.array).max()


@pytest.mark.parametrize("order", [0, 1])
def test_sheared_grids_equal_scipy(order):
    tilt = np.array([[1, 0, 0], [0, 1, 0.35], [0, 0, 1]])
    volume = volume_of((9, 14, 11), (3.0, 1.1, 1.3), dtype="float64", shear=tilt)
    like = volume_of((7, 15, 12), (2.5, 1.0, 1.1), origin=(1, 2, 3))
    matrix = np.linalg.inv(volume.affine) @ like.affine
    expected = ndimage.affine_transform(
        volume.array,
        matrix[2::-1, 2::-1],
        matrix[2::-1, 3],
        like.array.shape,
        order=order,
        mode="grid-constant" if order == 0 else "nearest",
    )
    got = resample(volume, like=like, interpolation=["nearest", "linear"][order])
    assert 0.3 < got.valid.mean() < 1
    np.testing.assert_allclose(got.array[got.valid], expected[got.valid], rtol=0, atol=1e-9)
    back = resample(like, like=volume)
    assert back.affine[1, 2] != 0
    expected, _ = naive(like, volume, "linear")
    np.testing.assert_array_equal(back.valid, ~np.isnan(expected))
    assert np.nanmax(np.abs(np.where(back.valid, back.array, np.nan) - expected)) <= 1e-3


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.5, 3)] * 3),
    st.tuples(*[st.floats(-4, 4)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
)
def test_a_slope_in_the_patient_stays_where_it_is(degrees, spacing, centre, shape):
    """Linear interpolation is exact on linear functions of the place, away from the edge."""
    volume = centred((12, 11, 10), (2.0, 1.5, 1.25), rotation(10, 20, 30), dtype="float64")

    def slope(v):
        index = np.stack(np.meshgrid(*map(np.arange, v.array.shape), indexing="ij"), -1)
        return (index[..., ::-1] @ v.affine[:3, :3].T + v.affine[:3, 3]) @ [3.0, -5.0, 7.0]

    volume = replace(volume, array=slope(volume))
    got = resample(volume, like=centred(shape, spacing, rotation(*degrees), centre))
    places = indices_of(volume, got)
    between = ((places >= 0) & (places <= np.array(volume.array.shape) - 1)).all(-1)
    np.testing.assert_allclose(got.array[between], slope(got)[between], rtol=0, atol=1e-3)
    assert got.valid is None or got.valid[between].all()


def test_bad_voxels_spoil_only_what_they_touch():
    volume = volume_of((5, 6, 7))
    volume.array[2, 3, 4] = np.nan
    # Half a voxel along x, and a shear of whole voxels: nothing of weight touches y or z.
    shear = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1.0]])
    like = volume_of((5, 6, 7), origin=(0.5, 0, 0), shear=shear)
    expected, _ = naive(volume, like, "linear")
    got = resample(volume, like=like)
    touched = np.isnan(got.array)
    assert touched.sum() == 2
    assert touched[2, 3, 0]
    assert touched[2, 3, 1]
    np.testing.assert_allclose(
        got.array[got.valid & ~touched], expected[got.valid & ~touched], rtol=0, atol=1e-4
    )


@settings(max_examples=30, deadline=None)
@given(st.floats(-1e6, 1e6, width=32), st.floats(1, 89))
def test_a_constant_stays_constant_exactly(value, angle):
    volume = centred((9, 8, 10), (2.0, 1.0, 1.0))
    volume = replace(volume, array=np.full_like(volume.array, value))
    for like in (
        centred((5, 5, 5), (1.5, 1.1, 0.9), rotation(angle, 0, angle)),
        centred((15, 15, 15), (1.1, 0.3, 0.3)),
    ):
        np.testing.assert_array_equal(resample(volume, like=like).array, np.float32(value))


def test_large_volumes_take_the_parallel_build():
    volume = centred((40, 60, 50), (2.0, 1.0, 1.0))
    for turn in (np.eye(3), rotation(10, 20, 20)):
        like = centred((45, 70, 60), (1.9, 0.9, 0.9), turn)
        got = resample(volume, like=like, fill=0)
        expected = itk(volume, like, "linear", 0.0)
        assert np.abs(got.array - expected).max() <= 1e-5 * np.abs(volume.array).max()


@pytest.mark.parametrize("patient", ["STS_001", "STS_002"])
def test_masks_of_one_patient_meet_on_the_ct_grid(real_data, patient):
    folder = real_data / "sts" / patient
    ct = read_volume(folder / "ct")
    on_ct = read_volume(folder / "ct_tumour_mask.nii.gz")
    drawn = resample(on_ct, like=ct, interpolation="nearest", fill=0).array > 0
    assert drawn.any()
    for name in ("pet", "mr_t1"):
        mask = read_volume(folder / f"{name}_tumour_mask.nii.gz")
        moved = resample(mask, like=ct, interpolation="nearest", fill=0).array > 0
        dice = 2 * (moved & drawn).sum() / (moved.sum() + drawn.sum())
        assert dice > 0.85, name


@pytest.mark.parametrize("modality", ["pet", "mr_t1"])
def test_real_scans_equal_simpleitk_on_the_ct_grid(real_data, modality):
    folder = real_data / "sts" / "STS_001"
    ct, other = read_volume(folder / "ct"), read_volume(folder / modality)
    got = resample(other, like=ct, fill=0)
    expected = itk(other, ct, "linear", 0.0)
    assert np.abs(got.array - expected).max() <= 1e-5 * np.abs(other.array).max()


def test_an_oblique_scan_stands_upright(real_data):
    oblique = read_volume(real_data / "dicom_mr_oblique")
    assert np.count_nonzero(np.abs(oblique.affine[:3, :3]) > 1e-3) > 3
    centre = oblique.affine[:3] @ [*(np.array(oblique.array.shape[::-1]) - 1) / 2, 1]
    upright = centred((20, 30, 30), (6.0, 4.0, 4.0), centre=centre)
    got = resample(oblique, like=upright, fill=0)
    expected = itk(oblique, upright, "linear", 0.0)
    assert got.valid is None or got.valid.mean() > 0.2
    assert np.abs(got.array - expected).max() <= 1e-5 * np.abs(oblique.array).max()
