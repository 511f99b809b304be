"""One way to every format: by content, lazily, and never past a pipe."""

from __future__ import annotations

import gzip
import os
import shutil
import zipfile

import nibabel
import numpy as np
import pytest
from harness import run_python
from picture_files import noise
from PIL import Image
from pydicom.data import get_testdata_file

from fastmm.errors import DicomError, FastmmError, NiftiError, PictureError
from fastmm.read.dicom.header import Header
from fastmm.read.nifti.volumes import NiftiHeader
from fastmm.read.pictures.volumes import PictureHeader
from fastmm.read.source import Slice
from fastmm.read.sources import (
    find_pictures,
    natural_order,
    picture_files,
    read_source,
    read_stored,
)

GREY = noise((6, 5), np.uint8)


def picture(path, kind, image=GREY):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path, kind)
    return path


@pytest.mark.parametrize("name", ["a.dcm", "a.png", "a.nii", "a", "a.txt"])
@pytest.mark.parametrize("kind", ["DICOM", "NIfTI", "PNG", "JPEG", "TIFF"])
def test_the_content_tells_the_format(tmp_path, kind, name):
    path = tmp_path / name
    if kind == "DICOM":
        shutil.copy(get_testdata_file("CT_small.dcm", download=False), path)
        expected, shape = Header, (1, 128, 128)
    elif kind == "NIfTI":
        nibabel.Nifti1Image(noise((5, 4, 3), "i2"), np.eye(4)).to_filename(tmp_path / "b.nii")
        (tmp_path / "b.nii").rename(path)
        expected, shape = NiftiHeader, (3, 4, 5)
    else:
        picture(path, kind)
        expected, shape = PictureHeader, (1, 6, 5)
    source = read_source(path)
    assert isinstance(source, expected)
    assert source.path == path
    assert source.frames == shape[0] == len(source.slope) == len(source.intercept)
    assert isinstance(source.units + source.modality, str)
    assert isinstance(source.notes, tuple)
    part = read_stored(source)
    assert isinstance(part, Slice)
    assert part.header is source
    assert part.stored.shape == shape
    assert part.values().dtype == np.float32


def test_gzipped_and_paired_nifti(tmp_path):
    voxels = noise((5, 4, 3), "i2")
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    nibabel.Nifti1Pair(voxels, np.eye(4)).to_filename(tmp_path / "b.img")
    for name in ("a.nii.gz", "b.img", "b.hdr"):
        np.testing.assert_array_equal(read_stored(read_source(tmp_path / name)).stored, voxels.T)


def test_color_needs_a_channel(tmp_path):
    color = noise((6, 5, 3), np.uint8)
    source = read_source(picture(tmp_path / "a.dcm", "PNG", color))
    with pytest.raises(PictureError, match="channel="):
        read_stored(source)
    np.testing.assert_array_equal(read_stored(source, 2).stored[0], color[..., 2])
    with pytest.raises(TypeError, match="source"):
        read_stored(tmp_path)


def test_what_is_no_image(tmp_path):
    path = tmp_path / "a.dcm"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "text")
    with pytest.raises(DicomError, match="zip"):
        read_source(path)
    kinds = {".dcm": DicomError, "": DicomError, ".txt": DicomError, ".png": PictureError,
             ".tif": PictureError, ".JPG": PictureError, ".nii": NiftiError,
             ".nii.gz": NiftiError, ".img": NiftiError}  # fmt: skip
    for suffix, error in kinds.items():
        (tmp_path / "x.hdr").write_bytes(b"none")
        for content in (b"", bytes(1000), b"some text", gzip.compress(b"text")):
            path = tmp_path / f"x{suffix}"
            path.write_bytes(content)
            with pytest.raises(error, match="x"):
                read_source(path)
    for suffix in kinds:
        with pytest.raises(FileNotFoundError):
            read_source(tmp_path / f"none{suffix}")
    with pytest.raises(FastmmError, match="folder"):
        read_source(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_circles(tmp_path):
    for suffix in (".dcm", ".png", ".nii", ""):
        path = tmp_path / f"pipe{suffix}"
        os.mkfifo(path)
        with pytest.raises(FastmmError, match="not a regular file"):
            read_source(path)
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    with pytest.raises(FastmmError, match="cannot be read"):
        read_source(loop)
    assert [path.name for path in picture_files(tmp_path)] == ["loop.png", "pipe.png"]


def test_nothing_is_imported_before_it_is_needed():
    ct = get_testdata_file("CT_small.dcm", download=False)
    code = (
        "import sys\nfrom fastmm.read.sources import read_source, read_stored\n"
        f"read_stored(read_source({ct!r}))\n"
        "print('loaded', *({'PIL', 'nibabel', 'tifffile', 'sklearn'} & set(sys.modules)))"
    )
    assert run_python(code).splitlines()[-1] == "loaded"


def test_natural_order(tmp_path):
    names = ["10.png", "2.png", "IMG10.png", "img2.png", "img1b.png", "img1a10.png", "img1a9.png",
             "Img01.png", "x², 3.png", "a" + "9" * 200 + ".png"]  # fmt: skip
    ordered = sorted(names, key=lambda n: natural_order(tmp_path / n))
    assert ordered[:2] == ["2.png", "10.png"]
    expected = ["Img01.png", "img1a9.png", "img1a10.png", "img1b.png", "img2.png", "IMG10.png"]
    assert [n for n in ordered if n.lower().startswith("img")] == expected
    names.reverse()
    assert ordered == sorted(names, key=lambda n: natural_order(tmp_path / n))


def test_pictures_of_a_folder(tmp_path):
    for name in ("s10.png", "s9.png"):
        picture(tmp_path / name, "PNG")
    picture(tmp_path / "s11", "JPEG")
    picture(tmp_path / "s12.dat", "PNG", noise((3, 3), np.uint8))
    picture(tmp_path / "deeper" / "s1.png", "PNG")
    for name in ("notes.txt", "cohort.csv", "Thumbs.db", ".DS_Store", ".hidden.png", "s13.png"):
        (tmp_path / name).write_bytes(b"none")
    shutil.copy(get_testdata_file("CT_small.dcm", download=False), tmp_path / "ct")
    pictures, others = find_pictures(tmp_path)
    assert [p.name for p in pictures] == ["s9.png", "s10.png", "s11", "s12.dat", "s13.png"]
    assert [p.name for p in others] == ["cohort.csv", "ct", "notes.txt", "Thumbs.db"]
    # What calls itself a picture and is none is never left out.
    with pytest.raises(PictureError, match=r"s13\.png"):
        [read_source(path) for path in pictures]
    with pytest.raises(FileNotFoundError):
        picture_files(tmp_path / "none")


def test_real_slices_are_in_order(real_data):
    folder = sorted((real_data / "lgg" / "images").iterdir())[0]
    files = picture_files(folder)
    assert len(files) == 5
    assert [int(p.stem) for p in files] == sorted(int(p.stem) for p in files)
    for path in files:
        source = read_source(path)
        assert (source.shape, source.samples) == ((256, 256), 3)
        flair = read_stored(source, 1).stored[0]
        np.testing.assert_array_equal(flair, np.asarray(Image.open(path))[..., 1])
