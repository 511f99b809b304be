"""NIfTI: nibabel's values, SimpleITK's places, and an error where a header lies."""

from __future__ import annotations

import gzip
import os
import struct
import warnings

import nibabel
import numpy as np
import pytest
from picture_files import noise
from test_picture import mutated

from fastmm.errors import FastmmError, GeometryError, LimitError, NiftiError
from fastmm.read import limits
from fastmm.read.nifti.volumes import nifti_volume, read_nifti, read_nifti_header

OBLIQUE = np.array(
    [[0.6, -0.5, 0.2, -31], [0.4, 0.7, -0.3, 12], [0.1, 0.5, 2.4, 55], [0, 0, 0, 1.0]]
)
RIGID = nibabel.affines.from_matvec(
    nibabel.eulerangles.euler2mat(0.3, -0.2, 0.5) @ np.diag([0.7, 0.9, 2.5]), [-20, 30, 4]
)
CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768,
         "i8": 1024, "u8": 1280}  # fmt: skip
# Byte offset and format of the fields of a NIfTI-1 header.
FIELDS = {
    "sizeof_hdr": (0, "i"), "dim": (40, "8h"), "datatype": (70, "h"), "bitpix": (72, "h"),
    "pixdim": (76, "8f"), "vox_offset": (108, "f"), "scl_slope": (112, "f"),
    "scl_inter": (116, "f"), "xyzt_units": (123, "B"), "qform_code": (252, "h"),
    "sform_code": (254, "h"), "quatern": (256, "3f"), "qoffset": (268, "3f"),
    "srow_x": (280, "4f"), "srow_y": (296, "4f"), "srow_z": (312, "4f"), "magic": (344, "4s"),
}  # fmt: skip


def nifti(voxels, order="<", **fields):
    """Make a NIfTI-1 file of voxels (x, y, z, ...) byte by byte."""
    dim = [voxels.ndim, *voxels.shape] + [1] * (7 - voxels.ndim)
    values = {
        "sizeof_hdr": 348, "dim": dim, "datatype": CODES.get(voxels.dtype.str[1:], 0),
        "bitpix": 8 * voxels.itemsize, "pixdim": [1, 2, 3, 4, 1, 1, 1, 1], "vox_offset": 352,
        "sform_code": 1, "srow_x": [2, 0, 0, 10], "srow_y": [0, 3, 0, 20],
        "srow_z": [0, 0, 4, 30], "magic": b"n+1\0", "xyzt_units": 2, **fields,
    }  # fmt: skip
    head = bytearray(352)
    for name, value in values.items():
        offset, kind = FIELDS[name]
        value = value if isinstance(value, list) else [value]
        struct.pack_into(order + kind, head, offset, *value)
    raw = voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")
    return bytes(head) + raw


def write(folder, content, name="a.nii"):
    path = folder / name
    path.write_bytes(content)
    return path


def save(folder, voxels, affine=None, name="a.nii", kind=nibabel.Nifti1Image, **changes):
    image = kind(voxels, np.eye(4) if affine is None else affine)
    for key, value in changes.items():
        image.header[key] = value
    path = folder / name
    image.to_filename(path)
    return path


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


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"dim": [0, 5, 4, 3, 1, 1, 1, 1]}, r"dim\[0\]"),
        ({"dim": [8, 5, 4, 3, 1, 1, 1, 1]}, r"dim\[0\]"),
        ({"dim": [3, 5, -4, 3, 1, 1, 1, 1]}, r"dim\[2\] must be at least 1, got -4"),
        ({"dim": [3, 5, 0, 3, 1, 1, 1, 1]}, r"dim\[2\]"),
        ({"dim": [5, 5, 4, 1, 1, 3, 1, 1]}, "5 axes"),
        ({"dim": [3, 5, 4, 4, 1, 1, 1, 1]}, "expected 160 bytes of voxels, got 120"),
        ({"dim": [3, 5, 4, 1, 1, 1, 1, 1]}, "more than its header says"),
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, "MAX_BYTES"),
        ({"dim": [7] + [32767] * 7}, "7 axes"),
        ({"datatype": 32, "bitpix": 64}, "complex"),
        ({"datatype": 128, "bitpix": 24}, "RGB"),
        ({"datatype": 1536, "bitpix": 128}, "128-bit"),
        ({"datatype": 1}, "bits"),
        ({"datatype": 999}, "datatype 999"),
        ({"bitpix": 32}, "bitpix must be 16"),
        ({"vox_offset": 0}, "vox_offset"),
        ({"vox_offset": -352}, "vox_offset"),
        ({"vox_offset": np.nan}, "vox_offset"),
        ({"vox_offset": 352.5}, "vox_offset"),
        ({"vox_offset": 460}, "expected 120 bytes of voxels, got 12"),
        ({"vox_offset": 4000}, "got 0"),
        ({"vox_offset": 2e9}, "vox_offset"),
        ({"vox_offset": np.inf}, "vox_offset"),
        ({"scl_slope": np.inf}, "scl_slope"),
        ({"scl_slope": 1, "scl_inter": np.nan}, "scl_slope"),
        ({"magic": b"\0\0\0\0"}, "Analyze"),
        ({"magic": b"ni1\0"}, "file of their own"),
        ({"sizeof_hdr": 347}, "no NIfTI"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_headers_that_lie(tmp_path, fields, what, order):
    content = nifti(noise((5, 4, 3), "i2"), order, **fields)
    with pytest.raises(FastmmError, match=what):
        nifti_volume(write(tmp_path, content))
    if "MAX" not in what:
        with pytest.raises(FastmmError):
            nifti_volume(write(tmp_path, gzip.compress(content), "a.nii.gz"))


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(nifti(noise((20, 20, 10), "i2")))
    for cut in (1, 4, 8, 100, len(whole) - 30):
        with pytest.raises(NiftiError, match="cut"):
            nifti_volume(write(tmp_path, whole[:-cut], "a.nii.gz"))
    for place in (3000, len(whole) - 6):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        with pytest.raises(NiftiError):
            nifti_volume(write(tmp_path, bytes(damaged), "a.nii.gz"))
    expected = noise((20, 20, 10), "i2").T
    for tail in (b"trailing garbage", bytes(100)):
        volume = nifti_volume(write(tmp_path, whole + tail, "a.nii.gz"))
        np.testing.assert_array_equal(volume.array, expected)
    plain = nifti(noise((20, 20, 10), "i2"))
    members = b"".join(gzip.compress(plain[i : i + 999]) for i in range(0, len(plain), 999))
    np.testing.assert_array_equal(
        nifti_volume(write(tmp_path, members, "a.nii.gz")).array, expected
    )
    # The content tells that it is gzipped, or not.
    np.testing.assert_array_equal(nifti_volume(write(tmp_path, whole)).array, expected)
    np.testing.assert_array_equal(nifti_volume(write(tmp_path, plain, "a.nii.gz")).array, expected)


def test_a_gzip_bomb_is_not_inflated(tmp_path):
    small = nifti(noise((5, 4, 3), "i2"))
    path = write(tmp_path, gzip.compress(small + bytes(200 << 20), 1), "a.nii.gz")
    with pytest.raises(NiftiError, match="more than its header says"):
        nifti_volume(path)
    huge = nifti(noise((5, 4, 3), "i2"), dim=[3, 2000, 2000, 2000, 1, 1, 1, 1])
    with pytest.raises(LimitError, match="2000 slices of 2000 x 2000"):
        nifti_volume(write(tmp_path, gzip.compress(huge), "a.nii.gz"))
    # What is promised, and within the limit, is still not allocated before it is there.
    lying = nifti(noise((5, 4, 3), "i2"), dim=[3, 1000, 1000, 1000, 1, 1, 1, 1])
    with pytest.raises(NiftiError, match=r"expected 2000000000 bytes of voxels.*cannot hold"):
        nifti_volume(write(tmp_path, gzip.compress(lying), "a.nii.gz"))
    lying = nifti(noise((5, 4, 3), "i2"), dim=[3, 50, 40, 30, 1, 1, 1, 1])
    with pytest.raises(NiftiError, match="expected 120000 bytes of voxels, got 120"):
        nifti_volume(write(tmp_path, gzip.compress(lying), "a.nii.gz"))


def test_limit(tmp_path, monkeypatch):
    path = save(tmp_path, noise((5, 4, 3, 2), "u1"))
    monkeypatch.setattr(limits, "MAX_BYTES", 5 * 4 * 3 * 4)
    nifti_volume(path, time=1)
    with pytest.raises(LimitError, match="6 slices of 4 x 5"):
        nifti_volume(path, time="stack")


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


def test_extensions_are_skipped(tmp_path):
    image = nibabel.Nifti1Image(noise((5, 4, 3), "i2"), RIGID)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 5000))
    image.to_filename(tmp_path / "a.nii.gz")
    volume = nifti_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.array, image.get_fdata().T)
    content = bytearray(nifti(noise((5, 4, 3), "i2")))
    content[348] = 1  # says that extensions follow, where the voxels are
    nifti_volume(write(tmp_path, bytes(content)))


def test_what_is_no_nifti(tmp_path):
    cut = nifti(noise((2,), "i2"))[:300]
    for content in (b"", b"text", bytes(1000), gzip.compress(b"text"), cut):
        with pytest.raises(NiftiError):
            nifti_volume(write(tmp_path, content))
    with pytest.raises(FileNotFoundError):
        nifti_volume(tmp_path / "none.nii")
    with pytest.raises(NiftiError, match="folder"):
        nifti_volume(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.nii")
        with pytest.raises(NiftiError, match="not a regular file"):
            nifti_volume(tmp_path / "pipe.nii")


def test_nothing_of_the_header_leaks(tmp_path, caplog, capfd):
    content = bytearray(nifti(noise((5, 4, 3), "i2"), pixdim=[7, -2, 0, 4, 1, 1, 1, 1]))
    content[148:160] = b"DOE^JOHN^123"
    nifti_volume(write(tmp_path, bytes(content)))
    with pytest.raises(FastmmError) as caught:
        nifti_volume(write(tmp_path, bytes(content[:400])))
    assert "DOE" not in str(caught.value)
    assert not caplog.records
    assert "".join(capfd.readouterr()) == ""


def test_real_masks(real_data):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is the oracle")
    for path in sorted((real_data / "sts").glob("STS_00[1-3]/*.nii.gz"))[:4]:
        volume, image = nifti_volume(path), sitk.ReadImage(str(path))
        np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
        np.testing.assert_allclose(volume.spacing, image.GetSpacing()[::-1], rtol=1e-5)
        last = [n - 1 for n in image.GetSize()]
        place = image.TransformIndexToPhysicalPoint(last)
        np.testing.assert_allclose((volume.affine @ [*last, 1])[:3], place, atol=1e-2)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.filterwarnings("ignore:.*(sform|right angles)")
def test_mutated_files_raise_errors_of_fastmm_only(tmp_path, monkeypatch, name):
    monkeypatch.setattr(limits, "MAX_BYTES", 64 << 20)
    whole, rng = nifti(noise((12, 10, 4), "f4")), np.random.default_rng(3)
    whole = gzip.compress(whole) if name.endswith("gz") else whole
    failed = 0
    for round_ in range(200):
        # Half of the damage falls on the header.
        changed = mutated(whole[:352], rng) + whole[352:] if round_ % 2 else mutated(whole, rng)
        try:
            nifti_volume(write(tmp_path, changed, name))
        except FastmmError:
            failed += 1
    assert failed > 50
