"""PNG: every sample as it is stored, or an error."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from picture_files import SIGNATURE, chunk, noise, png
from picture_reading import encoded, read, wedge, write
from PIL import Image, ImageFile

from fastmm.errors import FastmmError, LimitError, PictureError
from fastmm.read import limits
from fastmm.read.pictures.volumes import read_picture_header


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("color_type", "channels", "depth"),
    [(0, 1, 1), (0, 1, 2), (0, 1, 4), (0, 1, 8), (0, 1, 16), (2, 3, 8), (2, 3, 16), (4, 2, 8),
     (4, 2, 16), (6, 4, 8), (6, 4, 16)],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(13, 11), (1, 1), (2, 5), (9, 3)])
def test_png_of_every_kind(tmp_path, color_type, channels, depth, interlaced, shape):
    top = (1 << depth) - 1
    pixels = np.random.default_rng(depth).integers(0, top, (*shape, channels), endpoint=True)
    if channels in (2, 4):
        pixels[..., -1] = top
    path = write(tmp_path, png(pixels, color_type, depth, interlaced=interlaced))
    header = read_picture_header(path)
    colors = 3 if channels >= 3 else 1
    assert (header.shape, header.samples, header.bits) == (shape, colors, depth)
    for channel in range(colors):
        found = read(path, channel=channel)
        assert found.dtype == (np.uint16 if depth == 16 else np.uint8)
        np.testing.assert_array_equal(found[0], pixels[..., channel])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_that_of_opencv(tmp_path, cv2, dtype, channels):
    pixels = noise((60, 37, channels), dtype)
    pixels[20:] = np.cumsum(pixels[20:] % 3, axis=1)  # smooth rows, for the other filters
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), pixels[..., ::-1] if channels == 3 else pixels)
    expected = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).reshape(60, 37, channels)
    for channel in range(channels):
        found = read(path, channel=channel)[0]
        np.testing.assert_array_equal(found, pixels[..., channel])
        np.testing.assert_array_equal(found, expected[..., ::-1][..., channel])


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_palette_index_is_never_an_intensity(tmp_path, interlaced):
    palette = noise((16, 3), np.uint8)
    indices = np.random.default_rng(0).integers(0, 16, (9, 7, 1))
    plte = (b"PLTE", palette.tobytes())
    path = write(tmp_path, png(indices, 3, 4, interlaced=interlaced, extra=[plte]))
    header = read_picture_header(path)
    assert (header.samples, header.bits) == (3, 8)
    expected = np.asarray(Image.open(path).convert("RGB"))
    for channel in range(3):
        found = read(path, channel=channel)[0]
        np.testing.assert_array_equal(found, palette[indices[..., 0], channel])
        np.testing.assert_array_equal(found, expected[..., channel])
    with pytest.raises(PictureError, match="in colour"):
        read(path)
    grey = (b"PLTE", np.repeat(palette[:, :1], 3, axis=1).tobytes())
    path = write(tmp_path, png(indices, 3, 4, extra=[grey]))
    np.testing.assert_array_equal(read(path)[0], palette[indices[..., 0], 0])
    short = (b"PLTE", palette[: int(indices.max())].tobytes())
    with pytest.raises(PictureError, match="palette index"):
        read(write(tmp_path, png(indices, 3, 4, extra=[short])), channel=0)
    with pytest.raises(PictureError, match="without a palette"):
        read(write(tmp_path, png(indices, 3, 4)))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("color_type", "channels"), [(4, 2), (6, 4)])
def test_alpha_is_dropped_only_if_opaque(tmp_path, color_type, channels, depth):
    pixels = np.full((4, 5, channels), (1 << depth) - 1)
    pixels[..., 0] = 3
    pixels[2, 3, -1] -= 1
    pixels[1, 1, -1] = 0
    path = write(tmp_path, png(pixels, color_type, depth))
    with pytest.raises(PictureError, match="2 pixels are transparent"):
        read(path, channel=0)


def test_transparent_colors(tmp_path):
    grey = np.arange(12).reshape(3, 4, 1)
    key = [(b"tRNS", struct.pack(">H", 5))]
    with pytest.raises(PictureError, match="1 pixels are transparent"):
        read(write(tmp_path, png(grey, 0, 8, extra=key)))
    np.testing.assert_array_equal(
        read(write(tmp_path, png(grey + 6, 0, 8, extra=key)))[0], grey[..., 0] + 6
    )
    color = np.zeros((2, 2, 3), int)
    color[0, 0] = 1, 2, 3
    for key, hits in (((1, 2, 3), 1), ((1, 2, 4), 0)):
        extra = [(b"tRNS", struct.pack(">3H", *key))]
        path = write(tmp_path, png(color, 2, 16, extra=extra))
        if hits:
            with pytest.raises(PictureError, match="transparent"):
                read(path, channel=0)
        else:
            assert read(path, channel=2).max() == 3
    palette = [(b"PLTE", bytes(range(12)) * 2), (b"tRNS", b"\xff\x80")]
    with pytest.raises(PictureError, match="transparent"):
        read(write(tmp_path, png(grey % 8, 3, 4, extra=palette)), channel=0)
    np.testing.assert_array_equal(
        read(write(tmp_path, png(np.full((2, 2, 1), 2), 3, 4, extra=palette)), channel=1), 7
    )


def test_grey_in_color_needs_no_channel(tmp_path):
    grey = wedge()
    path = write(tmp_path, encoded(np.stack([grey] * 3, -1), "PNG"))
    np.testing.assert_array_equal(read(path)[0], grey)
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match="channel"):
            read(path, channel=wrong)


@pytest.mark.parametrize("truncated_allowed", [False, True])
def test_a_damaged_png_is_an_error(tmp_path, monkeypatch, truncated_allowed):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", truncated_allowed)
    whole = encoded(noise((40, 40), np.uint8), "PNG")
    for cut in (1, 4, 12, 13, 40, 800, len(whole) - 30):
        with pytest.raises(PictureError):
            read(write(tmp_path, whole[:-cut]))
    for place in range(8, len(whole), 29):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        with pytest.raises(FastmmError):
            read(write(tmp_path, bytes(damaged)))
    # Pillow takes a stream that ends too early for a whole image.
    half = zlib.compress(bytes(41 * 20))
    header = struct.pack(">IIBBBBB", 40, 40, 8, 0, 0, 0, 0)
    for idat, what in ((half, "got 820"), (zlib.compress(bytes(41 * 41)), "more than")):
        lying = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", idat) + chunk(b"IEND", b"")
        with pytest.raises(PictureError, match=f"expected 1640 bytes, {what}|{what} 1640"):
            read(write(tmp_path, lying))
    with pytest.raises(PictureError, match="damaged"):
        read(write(tmp_path, png(np.ones((4, 4, 1), int), 0, 8, filters=(5 - 5, 1, 4, 3))[:-30]))


def test_odd_png_headers(tmp_path):
    one = np.ones((2, 2, 1), int)
    for kind, depth in ((0, 3), (2, 4), (3, 16), (5, 8)):
        header = struct.pack(">IIBBBBB", 2, 2, depth, kind, 0, 0, 0)
        with pytest.raises(PictureError, match="no PNG"):
            read(write(tmp_path, SIGNATURE + chunk(b"IHDR", header) + chunk(b"IEND", b"")))
    for columns, rows in ((0, 5), (5, 0), (1 << 31, 1)):
        header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
        with pytest.raises(PictureError, match="damaged"):
            read(write(tmp_path, SIGNATURE + chunk(b"IHDR", header) + chunk(b"IEND", b"")))
    animated = (b"acTL", struct.pack(">II", 3, 0))
    with pytest.raises(PictureError, match="animation of 3"):
        read(write(tmp_path, png(one, 0, 8, extra=[animated])))
    with pytest.raises(PictureError, match="critical chunk"):
        read(write(tmp_path, png(one, 0, 8, extra=[(b"IDAU", b"")])))
    text = (b"tEXt", b"comment\0" + b"x" * (3 << 20))
    assert read(write(tmp_path, png(one, 0, 8, extra=[text]))).sum() == 4


def test_a_bomb_is_a_limit_error(tmp_path, monkeypatch):
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    bomb = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    with pytest.raises(LimitError, match="60000 x 60000"):
        read(write(tmp_path, bomb))
    # Pillow's own limit, which belongs to the whole process, has no say.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = write(tmp_path, encoded(wedge(40, 40), "PNG"))
    assert read(path).shape == (1, 40, 40)
    for kind, options in (("JPEG", {}), ("TIFF", {"compression": "tiff_lzw"})):
        other = write(tmp_path, encoded(wedge(40, 40), kind, **options), kind)
        assert read(other).shape == (1, 40, 40)
    monkeypatch.setattr(limits, "MAX_BYTES", 40 * 40 * 4)
    read(path)
    monkeypatch.setattr(limits, "MAX_BYTES", 40 * 40 * 4 - 1)
    with pytest.raises(LimitError, match="6400 bytes"):
        read(path)
