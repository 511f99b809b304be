"""NIfTI headers that lie, damaged gzip, bombs and what is no NIfTI."""

from __future__ import annotations

import gzip
import os

import nibabel
import numpy as np
import pytest
from damaged_bytes import mutated
from nifti_files import RIGID, nifti, save, write
from picture_files import noise

from fastmm.errors import FastmmError, LimitError, NiftiError
from fastmm.read import limits
from fastmm.read.nifti.volumes import nifti_volume


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
