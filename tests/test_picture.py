"""PNG, JPEG and TIFF: every sample as it is stored, or an error."""

from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from harness import run_python
from picture_files import SIGNATURE, chunk, grey_tags, noise, png, tiff
from PIL import Image, ImageFile, ImageOps

from fastmm.errors import FastmmError, LimitError, PictureError
from fastmm.read import limits
from fastmm.read.pictures.volumes import picture_volume, read_picture, read_picture_header


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2", reason="opencv is the oracle")


@pytest.fixture
def tifffile():
    return pytest.importorskip("tifffile", reason="tifffile is the oracle")


def write(folder, content, name="picture"):
    path = folder / name
    path.write_bytes(content)
    return path


def read(path, **options):
    return read_picture(read_picture_header(path), **options).stored


def encoded(image, kind, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def wedge(rows=24, columns=40):
    """A picture no two turns of which are alike."""
    y, x = np.mgrid[:rows, :columns]
    return (3 * x + 5 * y).astype(np.uint8)


# -- PNG ---------------------------------------------------------------------------------


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


# -- JPEG --------------------------------------------------------------------------------


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


# -- TIFF --------------------------------------------------------------------------------

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


# -- volumes and others ------------------------------------------------------------------


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


def mutated(whole, rng):
    data = bytearray(whole)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(len(data)))
        how = rng.integers(4)
        if how == 0:
            data[place] = int(rng.integers(256))
        elif how == 1:
            data[place : place + 4] = rng.bytes(4)
        elif how == 2:
            data[place : place + 4] = b"\xff\xff\xff\xff"
        else:
            del data[place : place + int(rng.integers(1, 50))]
        data = data or bytearray(1)
    return bytes(data)


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
