"""JPEG: the samples of Pillow and OpenCV, turned as told, or an error."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from picture_files import chunk, noise
from picture_reading import encoded, read, wedge, write
from PIL import Image, ImageFile, ImageOps

from fastmm.errors import PictureError
from fastmm.read.pictures.volumes import read_picture_header


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_that_of_pillow_and_opencv(tmp_path, cv2, channels, options):
    pixels = wedge()
    if channels == 3:
        pixels = np.stack([pixels, pixels[::-1], pixels[:, ::-1]], -1)
    path = write(tmp_path, encoded(pixels, "JPEG", quality=92, **options))
    expected = np.asarray(Image.open(path)).reshape(*pixels.shape[:2], channels)
    theirs = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).reshape(expected.shape)[..., ::-1]
    for channel in range(channels):
        found = read(path, channel=channel)[0]
        np.testing.assert_array_equal(found, expected[..., channel])
        np.testing.assert_allclose(found.astype(int), theirs[..., channel], atol=4)
    assert read_picture_header(path).samples == channels


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif}
    path = write(tmp_path, encoded(wedge(), kind, **options))
    image = Image.fromarray(wedge()) if kind == "TIFF" else Image.open(path)
    image.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    found = read(path)
    assert read_picture_header(path).shape == expected.shape
    np.testing.assert_array_equal(found[0], expected)
    assert found.flags.c_contiguous


def test_exif_orientation_after_the_pixels(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    whole = encoded(wedge(), "PNG")
    late = whole[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + whole[-12:]
    np.testing.assert_array_equal(read(write(tmp_path, late))[0], np.rot90(wedge(), -1))


def test_jpegs_that_hold_no_intensities(tmp_path):
    cmyk = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(cmyk, "JPEG")
    with pytest.raises(PictureError, match="4 samples"):
        read(write(tmp_path, cmyk.getvalue()))
    whole = encoded(wedge(), "JPEG")
    frame = whole.index(b"\xff\xc0")
    for marker, bits, what in (
        (0xC3, 8, "lossless"),
        (0xC9, 8, "rare kind"),
        (0xC1, 12, "12 bits"),
    ):
        changed = bytearray(whole)
        changed[frame + 1], changed[frame + 4] = marker, bits
        with pytest.raises(PictureError, match=what):
            read(write(tmp_path, bytes(changed)))


@pytest.mark.parametrize("truncated_allowed", [False, True])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_jpeg_is_an_error(tmp_path, monkeypatch, truncated_allowed, progressive):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", truncated_allowed)
    whole = encoded(noise((64, 64), np.uint8), "JPEG", progressive=progressive)
    for size in (2, 3, 10, 200, len(whole) // 2, len(whole) - 40):
        with pytest.raises(PictureError):
            read(write(tmp_path, whole[:size]))
    frame = whole.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    huge = bytearray(whole)
    huge[frame + 5 : frame + 9] = struct.pack(">HH", 20000, 20000)
    with pytest.raises(PictureError, match="cannot hold 20000 x 20000"):
        read(write(tmp_path, bytes(huge)))
