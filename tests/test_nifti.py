"""NIfTI: nibabel's values, SimpleITK's places, and no place that is invented."""

from __future__ import annotations

import gzip
import warnings

import nibabel
import numpy as np
import pytest
from nifti_files import CODES, RIGID, nifti, save, write
from picture_files import noise

from fastmm.errors import GeometryError, NiftiError
from fastmm.read.nifti.volumes import nifti_volume, read_nifti, read_nifti_header

OBLIQUE = np.array(
    [[0.6, -0.5, 0.2, -31], [0.4, 0.7, -0.3, 12], [0.1, 0.5, 2.4, 55], [0, 0, 0, 1.0]]
)


def ras(path):
    return np.diag([-1, -1, 1, 1]) @ nibabel.load(path).affine


@pytest.mark.parametrize("dtype", list(CODES))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_values_are_those_of_nibabel(tmp_path, dtype, order, name):
    voxels = noise((5, 4, 3), dtype)
    content = nifti(voxels, order, scl_slope=0.25, scl_inter=-7)
    path = write(tmp_path, gzip.compress(content) if name.endswith("gz") else content, name)
    volume, expected = nifti_volume(path), nibabel.load(path).get_fdata()
    assert volume.array.shape == (3, 4, 5)
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, expected.T, rtol=1e-7)
    np.testing.assert_array_equal(volume.array, (voxels.T * 0.25 - 7).astype(np.float32))
    np.testing.assert_allclose(volume.affine, ras(path))
    assert volume.spacing == (4, 3, 2)
    assert (volume.units, volume.modality, volume.source) == ("stored", "", (path,))
    header = read_nifti_header(path)
    part = read_nifti(header)
    assert (header.frames, header.shape) == (3, (3, 4, 5))
    assert part.stored.dtype == dtype
    np.testing.assert_array_equal(part.stored, voxels.T)
    np.testing.assert_array_equal(part.values(), volume.array)
    assert part.n_bytes == voxels.nbytes


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("affine", [RIGID, OBLIQUE, np.diag([-1, 1, 1, 1.0])])
def test_affine_is_that_of_simpleitk(tmp_path, kind, affine):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is the oracle")
    path = save(tmp_path, noise((5, 4, 3), "i2"), affine, kind=kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the sheared one
        volume = nifti_volume(path)
    np.testing.assert_allclose(volume.affine, ras(path), atol=1e-6)
    np.testing.assert_allclose(volume.affine_ras, affine, atol=1e-5)
    norms = np.linalg.norm(affine[:3, :3], axis=0)
    np.testing.assert_allclose(volume.spacing, norms[::-1], rtol=1e-6)
    if affine is OBLIQUE or kind is nibabel.Nifti2Image:
        return  # SimpleITK refuses axes that are not at right angles, and knows no NIfTI-2
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
    np.testing.assert_allclose(volume.spacing, image.GetSpacing()[::-1], rtol=1e-6)
    for index in ((0, 0, 0), (4, 3, 2), (1, 0, 2)):
        place = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((volume.affine @ [*index, 1])[:3], place, atol=1e-4)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_pairs(tmp_path, kind, ending):
    voxels = noise((5, 4, 3), "i2")
    save(tmp_path, voxels, RIGID, name="a.img" + ending, kind=kind)
    for name in ("a.hdr", "a.img"):
        volume = nifti_volume(tmp_path / (name + ending))
        np.testing.assert_array_equal(volume.array, voxels.T)
        np.testing.assert_allclose(volume.affine_ras, RIGID, atol=1e-5)
    (tmp_path / ("a.img" + ending)).unlink()
    with pytest.raises(FileNotFoundError):
        nifti_volume(tmp_path / ("a.hdr" + ending))


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_no_scaling(tmp_path, slope):
    voxels = noise((5, 4, 3), "i2")
    path = write(tmp_path, nifti(voxels, scl_slope=slope, scl_inter=5))
    np.testing.assert_array_equal(nifti_volume(path).array, voxels.T)
    np.testing.assert_array_equal(nibabel.load(path).get_fdata(), voxels)


@pytest.mark.parametrize(("units", "scale"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (10, 1)])
def test_units_of_length(tmp_path, units, scale):
    voxels = noise((5, 4, 3), "i2")
    for fields in ({}, {"sform_code": 0, "qform_code": 1}):
        volume = nifti_volume(write(tmp_path, nifti(voxels, xyzt_units=units, **fields)))
        np.testing.assert_allclose(volume.spacing, [4 * scale, 3 * scale, 2 * scale])
        if not fields:
            np.testing.assert_allclose(
                volume.affine[:3, 3], np.array([-10, -20, 30]) * scale, rtol=1e-6
            )


def test_sform_before_qform(tmp_path):
    voxels = noise((5, 4, 3), "i2")
    image = nibabel.Nifti1Image(voxels, RIGID)
    image.set_qform(RIGID, 1)
    image.set_sform(RIGID, 1)
    image.to_filename(tmp_path / "a.nii")
    nifti_volume(tmp_path / "a.nii")  # no warning
    moved = RIGID.copy()
    moved[0, 3] += 7
    image.set_sform(moved, 2)
    image.to_filename(tmp_path / "a.nii")
    with pytest.warns(UserWarning, match=r"differ by up to 7 mm; the sform is used") as caught:
        volume = nifti_volume(tmp_path / "a.nii")
    assert caught[0].filename == __file__
    np.testing.assert_allclose(volume.affine_ras, moved, atol=1e-5)
    image.set_sform(None, 0)
    image.to_filename(tmp_path / "a.nii")
    np.testing.assert_allclose(nifti_volume(tmp_path / "a.nii").affine_ras, RIGID, atol=1e-5)


def test_qfac(tmp_path):
    mirrored = RIGID @ np.diag([1, 1, -1, 1])
    image = nibabel.Nifti1Image(noise((5, 4, 3), "i2"), None)
    image.set_qform(mirrored, 1)
    image.set_sform(None, 0)
    image.to_filename(tmp_path / "a.nii")
    np.testing.assert_allclose(nifti_volume(tmp_path / "a.nii").affine_ras, mirrored, atol=1e-5)
    fields = {"sform_code": 0, "qform_code": 1, "quatern": [0.1, 0.2, 0.3]}
    voxels = noise((5, 4, 3), "i2")
    zero, one = (
        nifti_volume(write(tmp_path, nifti(voxels, pixdim=[q, 2, 3, 4, 1, 1, 1, 1], **fields)))
        for q in (0, 1)
    )
    np.testing.assert_array_equal(zero.affine, one.affine)


def test_a_place_is_never_invented(tmp_path):
    path = write(tmp_path, nifti(noise((5, 4, 3), "i2"), sform_code=0))
    volume = nifti_volume(path)
    assert volume.spacing == (4, 3, 2)
    assert np.isnan(volume.affine[:3]).all()
    np.testing.assert_array_equal(volume.affine[3], [0, 0, 0, 1])


def test_shear_is_told(tmp_path):
    path = write(tmp_path, nifti(noise((5, 4, 3), "i2"), srow_x=[2, 0, 0.5, 10]))
    with pytest.warns(UserWarning, match="right angles"):
        volume = nifti_volume(path)
    np.testing.assert_allclose(volume.affine_ras, nibabel.load(path).affine)


@pytest.mark.parametrize(
    "fields",
    [
        {"srow_x": [0, 0, 0, 10]},
        {"srow_y": [2, 3, 0, 10], "srow_x": [2, 3, 0, 10], "srow_z": [0, 0, 4, 0]},
        {"srow_z": [0, 0, np.nan, 0]},
        {"srow_z": [0, 0, 4, np.inf]},
        {"sform_code": 0, "qform_code": 1, "quatern": [1, 1, 1]},
        {"sform_code": 0, "qform_code": 1, "quatern": [np.nan, 0, 0]},
        {"sform_code": 0, "qform_code": 1, "pixdim": [1, 2, 0, 4, 1, 1, 1, 1]},
        {"sform_code": 0, "qform_code": 1, "pixdim": [1, 2, -3, 4, 1, 1, 1, 1]},
        {"sform_code": 0, "qform_code": 1, "pixdim": [5, 2, 3, 4, 1, 1, 1, 1]},
        {"sform_code": 0, "pixdim": [1, 2, np.nan, 4, 1, 1, 1, 1]},
        {"sform_code": 0, "pixdim": [1, 0, 3, 4, 1, 1, 1, 1]},
        {"sform_code": 0, "pixdim": [1, np.inf, 3, 4, 1, 1, 1, 1]},
    ],
)
def test_impossible_geometry(tmp_path, fields):
    with pytest.raises(GeometryError):
        read_nifti_header(write(tmp_path, nifti(noise((5, 4, 3), "i2"), **fields)))


def test_axes_that_are_not_there(tmp_path):
    flat = noise((5, 4), "i2")
    for fields in (
        {"srow_z": [0, 0, 0, 30]},
        {"sform_code": 0, "pixdim": [1, 2, 3, 0, 0, 0, 0, 0]},
        {"sform_code": 0, "qform_code": 1, "pixdim": [1, 2, 3, 0, 0, 0, 0, 0]},
    ):
        volume = nifti_volume(write(tmp_path, nifti(flat, **fields)))
        np.testing.assert_array_equal(volume.array, flat.T[None])
        assert np.isnan(volume.spacing[0])
        assert volume.spacing[1:] == (3, 2)
        assert np.isnan(volume.affine[:3, 2]).all()
    path = write(tmp_path, nifti(noise((5, 4, 3, 1, 1), "i2")))
    assert nifti_volume(path).array.shape == (3, 4, 5)


def test_time(tmp_path):
    voxels = noise((5, 4, 3, 2), "i2")
    for name in ("a.nii", "a.nii.gz"):
        path = save(tmp_path, voxels, name=name)
        for call in (nifti_volume, read_nifti_header):
            with pytest.raises(NiftiError, match=r"2 time points.*time="):
                call(path)
            for wrong in (2, -1, "first"):
                with pytest.raises(ValueError, match="time"):
                    call(path, time=wrong)
        stack = nifti_volume(path, time="stack")
        np.testing.assert_array_equal(stack.array, voxels.transpose(3, 2, 1, 0))
        for t in range(2):
            volume = nifti_volume(path, time=t)
            np.testing.assert_array_equal(volume.array, voxels[..., t].T)
        part = read_nifti(read_nifti_header(path, time="stack"))
        assert part.stored.shape == (6, 4, 5)
    still = save(tmp_path, voxels[..., 0])
    assert nifti_volume(still, time="stack").array.shape == (1, 3, 4, 5)
    assert nifti_volume(still, time=0).array.shape == (3, 4, 5)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("slope", [1, -0.3])
def test_values_that_are_not_finite(tmp_path, dtype, slope):
    voxels = noise((5, 4, 3), dtype)
    voxels[1, 2, 0], voxels[0, 0, 2], voxels[3, 3, 1] = np.nan, np.inf, -np.inf
    if dtype == "f4":  # a signalling NaN, of which a cast would warn
        voxels.view("u4")[1, 2, 0] = 0x7FA00000
    path = write(tmp_path, nifti(voxels, scl_slope=slope, scl_inter=0.1))
    with pytest.raises(NiftiError, match="3 of 60 values are NaN or infinite"):
        nifti_volume(path)
    bad = ~np.isfinite(voxels.T)
    for fill in (0, -1000.5):
        array = nifti_volume(path, nonfinite=fill).array
        assert (array[bad] == np.float32(fill)).all()
        scale = float(np.float32(slope)), float(np.float32(0.1))
        expected = (voxels.T[~bad] * np.float64(scale[0]) + scale[1]).astype(np.float32)
        np.testing.assert_array_equal(array[~bad], expected)
    for wrong in (np.nan, np.inf, "zero", 1e39):
        with pytest.raises(ValueError, match="nonfinite"):
            nifti_volume(path, nonfinite=wrong)


def test_values_beyond_float32(tmp_path):
    for voxels, slope in ((np.full((2, 2, 2), 1e200), 1), (noise((5, 4, 3), "i2"), 1e36)):
        with pytest.raises(NiftiError, match="beyond"):
            nifti_volume(write(tmp_path, nifti(voxels, scl_slope=slope)))


def test_real_masks(real_data):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is the oracle")
    for path in sorted((real_data / "sts").glob("STS_00[1-3]/*.nii.gz"))[:4]:
        volume, image = nifti_volume(path), sitk.ReadImage(str(path))
        np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
        np.testing.assert_allclose(volume.spacing, image.GetSpacing()[::-1], rtol=1e-5)
        last = [n - 1 for n in image.GetSize()]
        place = image.TransformIndexToPhysicalPoint(last)
        np.testing.assert_allclose((volume.affine @ [*last, 1])[:3], place, atol=1e-2)
