"""TIFF: every sample as it is stored, or an error."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from picture_files import grey_tags, noise, tiff
from picture_reading import encoded, read, wedge, write
from PIL import Image, ImageFile

from fastmm.errors import FastmmError, PictureError
from fastmm.read.pictures.volumes import read_picture, read_picture_header

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "zlib"}, {"rowsperstrip": 7}, {"tile": (16, 32)}, {"byteorder": ">"},
     {"bigtiff": True}],
)  # fmt: skip
def test_grey_tiff_is_that_of_tifffile(tmp_path, tifffile, dtype, options):
    pixels = noise((3, 37, 45), dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", **options)
    header = read_picture_header(path)
    assert (header.frames, header.shape, header.bits) == (3, (37, 45), 8 * pixels.itemsize)
    found = read_picture(header)
    assert found.stored.dtype == dtype
    assert found.stored.dtype.isnative
    np.testing.assert_array_equal(found.stored, pixels)
    np.testing.assert_array_equal(found.stored, tifffile.imread(path))
    np.testing.assert_array_equal(found.values(), pixels.astype(np.float32))


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "rowsperstrip": 5}, {"tile": (16, 16)}]
)
def test_color_tiff_keeps_all_bits(tmp_path, tifffile, dtype, planar, options):
    pixels = noise((21, 34, 3), dtype)
    path = tmp_path / "a.tif"
    stored = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, **options)
    for channel in range(3):
        np.testing.assert_array_equal(read(path, channel=channel)[0], pixels[..., channel])
    with pytest.raises(PictureError, match="channel="):
        read(path)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773, 32946])
def test_compressed_tiff_is_that_of_opencv(tmp_path, cv2, dtype, channels, compression):
    pixels = noise((60, 50, channels), dtype)
    pixels[10:30] = 1
    path = tmp_path / "a.tif"
    code = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
    assert cv2.imwrite(str(path), pixels[..., ::-1] if channels == 3 else pixels, code)
    theirs = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).reshape(pixels.shape)[..., ::-1]
    for channel in range(channels):
        found = read(path, channel=channel)[0]
        np.testing.assert_array_equal(found, pixels[..., channel])
        np.testing.assert_array_equal(found, theirs[..., channel])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4"])
def test_differences_of_samples(tmp_path, order, dtype):
    pixels = noise((6, 9, 3), dtype)
    steps = pixels.copy()
    with np.errstate(over="ignore"):
        steps[:, 1:] -= pixels[:, :-1]
    kind = 2 if dtype[0] == "i" else 1
    tags = grey_tags(6, 9, t258=(3, [8 * pixels.itemsize] * 3), t259=(3, 8), t262=(3, 2),
                     t277=(3, 3), t317=(3, 2), t339=(3, kind))  # fmt: skip
    block = zlib.compress(steps.astype(steps.dtype.newbyteorder(order)).tobytes())
    path = write(tmp_path, tiff([(tags, [block])], order))
    for channel in range(3):
        np.testing.assert_array_equal(read(path, channel=channel)[0], pixels[..., channel])


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("order", ["<", ">"])
def test_differences_of_floats(tmp_path, order, size):
    pixels = noise((5, 8), f"f{size}")
    rows = []
    for row in pixels:  # technical note 3: byte planes of a row, then differences
        planes = np.frombuffer(row.astype(f">f{size}").tobytes(), np.uint8).reshape(8, size)
        line = planes.T.reshape(-1)
        rows.append(np.diff(line, prepend=np.uint8(0)).astype(np.uint8).tobytes())
    tags = grey_tags(5, 8, 8 * size, t259=(3, 8), t317=(3, 3), t339=(3, 3))
    path = write(tmp_path, tiff([(tags, [zlib.compress(b"".join(rows))])], order))
    np.testing.assert_array_equal(read(path)[0], pixels)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits(tmp_path, bits):
    pixels = np.random.default_rng(0).integers(0, 1 << bits, (5, 13))
    lines = b""
    for row in pixels:
        text = "".join(f"{v:0{bits}b}" for v in row)
        text += "0" * (-len(text) % 8)
        lines += bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    path = write(tmp_path, tiff([(grey_tags(5, 13, bits), [lines])]))
    np.testing.assert_array_equal(read(path)[0], pixels)
    white = write(tmp_path, tiff([(grey_tags(5, 13, bits, t262=(3, 0)), [lines])]))
    np.testing.assert_array_equal(read(white)[0], (1 << bits) - 1 - pixels)
    colors = noise((3, 1 << bits), np.uint16)
    tags = grey_tags(5, 13, bits, t262=(3, 3), t320=(3, colors.reshape(-1).tolist()))
    path = write(tmp_path, tiff([(tags, [lines])]))
    assert read_picture_header(path).bits == 16
    for channel in range(3):
        np.testing.assert_array_equal(read(path, channel=channel)[0], colors[channel][pixels])


def test_white_is_zero(tmp_path):
    for dtype in ("u1", "u2"):
        pixels = noise((4, 5), dtype)
        tags = grey_tags(4, 5, 8 * pixels.itemsize, t262=(3, 0))
        path = write(tmp_path, tiff([(tags, [pixels.tobytes()])]))
        np.testing.assert_array_equal(read(path)[0], np.iinfo(dtype).max - pixels)
        if dtype == "u1":
            np.testing.assert_array_equal(read(path)[0], np.asarray(Image.open(path)))
    tags = grey_tags(4, 5, 32, t262=(3, 0), t339=(3, 3))
    with pytest.raises(PictureError, match="white is zero"):
        read(write(tmp_path, tiff([(tags, [bytes(80)])])))


def test_a_palette_of_8_bits(tmp_path):
    image = Image.fromarray(wedge()).convert("P", palette=Image.Palette.ADAPTIVE, colors=20)
    image.save(tmp_path / "a.tif")
    expected = np.asarray(image.convert("RGB"))
    for channel in range(3):
        found = read(tmp_path / "a.tif", channel=channel)[0]
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected[..., channel])


def test_tiff_alpha(tmp_path):
    pixels = noise((4, 5, 4), np.uint16)
    for alpha in (65535, 65534):
        pixels[..., 3] = alpha
        tags = grey_tags(4, 5, t258=(3, [16] * 4), t262=(3, 2), t277=(3, 4), t338=(3, 2))
        path = write(tmp_path, tiff([(tags, [pixels.tobytes()])]))
        if alpha == 65535:
            np.testing.assert_array_equal(read(path, channel=1)[0], pixels[..., 1])
        else:
            with pytest.raises(PictureError, match="20 pixels are transparent"):
                read(path, channel=1)


@pytest.mark.parametrize("truncated_allowed", [False, True])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_a_cut_tiff_is_an_error(tmp_path, monkeypatch, compression, truncated_allowed):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", truncated_allowed)
    whole = encoded(noise((30, 30), np.uint8), "TIFF", compression=compression)
    for size in (2, 9, 100, len(whole) // 2, len(whole) - 20):
        with pytest.raises(PictureError):
            read(write(tmp_path, whole[:size]))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"t262": (3, 5)}, "PhotometricInterpretation is 5"),
        ({"t262": (3, 6)}, "PhotometricInterpretation is 6"),
        ({"t262": None}, "PhotometricInterpretation"),
        ({"t259": (3, 7)}, "compression 7"),
        ({"t266": (3, 2)}, "compression"),
        ({"t258": (3, 12)}, "u12"),
        ({"t258": (3, [8, 16])}, "BitsPerSample"),
        ({"t339": (3, 6)}, "SampleFormat"),
        ({"t317": (3, 9), "t259": (3, 5)}, "predictor 9"),
        ({"t277": (3, 3)}, "3 samples"),
        ({"t277": (3, 5), "t262": (3, 2)}, "5 samples"),
        ({"t256": (4, 0)}, "0 pixels"),
        ({"t256": None}, "ImageWidth"),
        ({"t257": (4, 7), "t278": (4, 7)}, "a strip or tile is cut"),
        ({"t278": (4, 2)}, "expected 3 strips"),
        ({"t278": (4, 0)}, "damaged"),
        ({"t262": (3, 3)}, "palette"),
        ({"t256": (4, 100_000), "t257": (4, 100_000), "t278": (4, 100_000)}, "100000 x 100000"),
    ],
)
def test_odd_tiff_headers(tmp_path, change, what):
    path = write(tmp_path, tiff([(grey_tags(6, 5, **change), [bytes(30)])]))
    with pytest.raises(FastmmError, match=what):
        read(path)


def test_pages(tmp_path, tifffile):
    page = (grey_tags(2, 3), [bytes(range(6))])
    assert read(write(tmp_path, tiff([page] * 5))).shape == (5, 2, 3)
    other = (grey_tags(3, 2), [bytes(range(6))])
    with pytest.raises(PictureError, match="page 2 differs"):
        read(write(tmp_path, tiff([page, page, other])))
    circle = bytearray(tiff([page]))
    link = 8 + 2 + 12 * struct.unpack_from("<H", circle, 8)[0]
    circle[link : link + 4] = struct.pack("<I", 8)
    with pytest.raises(PictureError, match="circle"):
        read(write(tmp_path, bytes(circle)))
    comment = b"ImageJ=1.54\nimages=7\nslices=7\n"
    tags = grey_tags(2, 3, t270=(2, list(comment)))
    with pytest.raises(PictureError, match="7 images with directories for 1"):
        read(write(tmp_path, tiff([(tags, [bytes(6)])])))
    tifffile.imwrite(tmp_path / "j.tif", noise((4, 5, 6), np.uint16), imagej=True)
    np.testing.assert_array_equal(read(tmp_path / "j.tif"), noise((4, 5, 6), np.uint16))
