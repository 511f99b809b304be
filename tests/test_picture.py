"""Pictures of any format: volumes, limits, threads, real ones and mutated ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from damaged_bytes import mutated
from harness import run_python
from picture_files import noise, png
from picture_reading import encoded, read, wedge, write
from PIL import Image

from fastmm.errors import FastmmError, LimitError, PictureError
from fastmm.read import limits
from fastmm.read.pictures.volumes import picture_volume, read_picture_header


def test_values_that_are_not_finite(tmp_path, tifffile):
    pixels = noise((2, 4, 5), np.float32)
    pixels[0, 1, 1], pixels[1, 2, 2] = np.nan, -np.inf
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack")
    with pytest.raises(PictureError, match="2 of 40 values are NaN or infinite"):
        read(path)
    expected = np.where(np.isfinite(pixels), pixels, np.float32(-1.5))
    np.testing.assert_array_equal(read(path, nonfinite=-1.5), expected)
    np.testing.assert_array_equal(picture_volume(path, nonfinite=-1.5).array, expected)
    tifffile.imwrite(path, np.full((2, 2), 1e39), photometric="minisblack")
    with pytest.raises(PictureError, match=r"reach 1e\+39"):
        read(path)
    for wrong in (np.nan, 1e39, "fill"):
        with pytest.raises(ValueError, match="nonfinite"):
            read(path, nonfinite=wrong)


def test_volumes(tmp_path):
    stack = noise((3, 6, 5), np.uint8)
    files = [write(tmp_path, encoded(image, "PNG"), f"{z}.png") for z, image in enumerate(stack)]
    volume = picture_volume(files)
    np.testing.assert_array_equal(volume.array, stack)
    assert volume.array.dtype == np.float32
    assert volume.units == "stored"
    assert np.isnan(volume.spacing).all()
    assert np.isnan(volume.affine[:3]).all()
    assert volume.source == tuple(files)
    np.testing.assert_array_equal(picture_volume(files[1]).array, stack[1:2])
    files.append(write(tmp_path, encoded(stack[0].T.copy(), "PNG"), "3.png"))
    with pytest.raises(PictureError, match=r"6 x 5 pixels but .*3\.png has 5 x 6"):
        picture_volume(files)
    with pytest.raises(ValueError, match="at least one"):
        picture_volume([])


def test_the_limit_counts_the_volume(tmp_path, monkeypatch):
    path = write(tmp_path, encoded(wedge(4, 5), "PNG"))
    monkeypatch.setattr(limits, "MAX_BYTES", 3 * 80)
    picture_volume([path] * 3)
    with pytest.raises(LimitError, match="4 images"):
        picture_volume([path] * 4)


def test_what_is_no_picture(tmp_path):
    for content in (b"", b"GIF89a" + bytes(50), bytes(100), b"PK\3\4" + bytes(50)):
        with pytest.raises(PictureError, match=r"is (empty|no PNG, JPEG or TIFF)"):
            read(write(tmp_path, content))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.png")
    with pytest.raises(PictureError, match="is a folder"):
        read(tmp_path)


def test_headers_need_no_pillow(tmp_path):
    path = write(tmp_path, encoded(wedge(), "PNG"))
    code = (
        "import sys\nfrom fastmm.read.pictures.volumes import read_picture_header\n"
        f"read_picture_header({str(path)!r})\nprint('PIL' in sys.modules)"
    )
    assert run_python(code).split()[-1] == "False"


def test_threads(tmp_path):
    pixels = noise((64, 64, 3), np.uint16)
    path = write(tmp_path, png(pixels[:16], 2, 16))
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda c: read(path, channel=c % 3), range(48)):
            assert found.shape == (1, 16, 64)
    np.testing.assert_array_equal(read(path, channel=1)[0], pixels[:16, :, 1])


def test_real_pictures(real_data):
    for folder, count in (("covid_ct", 40), ("cxr_hannover", 20), ("lgg", 40)):
        files = sorted((real_data / folder / "images").rglob("*.png"))[::7][:count]
        assert files
        for path in files:
            expected = np.asarray(Image.open(path))
            header = read_picture_header(path)
            assert header.shape == expected.shape[:2]
            if expected.ndim == 2:
                np.testing.assert_array_equal(read(path)[0], expected)
            else:
                np.testing.assert_array_equal(read(path, channel=1)[0], expected[..., 1])


def seeds():
    grey, color = noise((40, 44), np.uint8), noise((20, 20, 3), np.uint8)
    smooth = wedge(40, 44)
    return {
        "PNG": encoded(smooth, "PNG"),
        "PNG16": png(noise((8, 9, 3), np.uint16), 2, 16, interlaced=True),
        "JPEG": encoded(color, "JPEG", progressive=True),
        "TIFF": encoded(grey, "TIFF", compression="tiff_lzw"),
        "TIFF2": encoded(color, "TIFF", compression="tiff_adobe_deflate"),
    }


@pytest.mark.parametrize("kind", ["PNG", "PNG16", "JPEG", "TIFF", "TIFF2"])
def test_mutated_files_raise_errors_of_fastmm_only(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(limits, "MAX_BYTES", 64 << 20)
    whole, rng = seeds()[kind], np.random.default_rng(7)
    failed = 0
    for _ in range(200):
        path = write(tmp_path, mutated(whole, rng))
        try:
            read(path, channel=0)
        except FastmmError:
            failed += 1
    assert failed > 50
