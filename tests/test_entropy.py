"""Damaged JPEG data never pass where libjpeg itself would warn; what is right always does."""

from __future__ import annotations

import io
import os
import struct
import tempfile
from itertools import product

import numpy as np
import pytest
from harness import run_python
from picture_files import noise
from PIL import Image
from test_codecs import BASELINE, LOSSLESS, compressed, picture

from fastmm.errors import DicomError, PictureError
from fastmm.read.codecs.codestream import CodestreamError
from fastmm.read.codecs.entropy import check_entropy
from fastmm.read.codecs.jpeg_codes import default_codes
from fastmm.read.dicom.slices import read_slice
from fastmm.read.pictures.volumes import read_picture, read_picture_header

END = b"\xff\xd9"
SCAN = b"\xff\xda"


def jpeg(pixels: np.ndarray, **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def refused(data: bytes) -> bool:
    try:
        check_entropy(data)
    except CodestreamError:
        return True
    return False


# -- What is right ------------------------------------------------------------------------

OPTIONS = [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_blocks": 2},
           {"progressive": True, "restart_marker_rows": 1}]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_pillow_writes_passes(options, channels):
    rng = np.random.default_rng(channels)
    for quality, subsampling in product((1, 30, 75, 100), (0, 1, 2)):
        rows, columns = (int(n) for n in rng.integers(1, 50, 2))
        for low, high in ((0, 256), (0, 1), (255, 256), (120, 130)):
            shape = (rows, columns, 3)[: 2 + (channels == 3)]
            pixels = rng.integers(low, high, shape, np.uint8)
            data = jpeg(pixels, quality=quality, subsampling=subsampling, **options)
            check_entropy(data)
            check_entropy(data + b"what a camera adds")


@pytest.mark.parametrize("bits", [2, 5, 8, 12, 15, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_imagecodecs_writes_without_loss_passes(bits, channels):
    imagecodecs = pytest.importorskip("imagecodecs")
    rng = np.random.default_rng(bits)
    kind = "u1" if bits <= 8 else "u2"
    for predictor in range(1, 8):
        shape = (*rng.integers(1, 30, 2), 3)[: 2 + (channels == 3)]
        top = (1 << bits) - 1
        for pixels in (rng.integers(0, top + 1, shape), rng.integers(0, 2, shape) * top):
            check_entropy(
                imagecodecs.jpeg8_encode(
                    pixels.astype(kind), lossless=True, bitspersample=bits, predictor=predictor
                )
            )


def test_what_imagecodecs_writes_in_12_bits_passes():
    imagecodecs = pytest.importorskip("imagecodecs")
    for level in (1, 50, 90, 100):
        for pixels in (picture(3, 12), noise((21, 35), "u2") >> 4):
            check_entropy(imagecodecs.jpeg8_encode(pixels, level, bitspersample=12))


# -- Lossless JPEG by an encoder of our own -------------------------------------------------


class Bits:
    """Bits of entropy-coded data, FF stuffed; the codes are the numbers 0 to 16 of five bits."""

    def __init__(self):
        self.done, self.text = b"", ""

    def put(self, value: int, width: int) -> None:
        self.text += f"{value:0{width}b}" if width else ""

    def difference(self, value: int) -> None:
        size = 16 if value == 1 << 15 else abs(value).bit_length()
        self.put(size, 5)
        if 0 < size < 16:
            self.put(value if value > 0 else value + (1 << size) - 1, size)

    def close(self, filling: str = "1", marker: bytes = b"") -> None:
        text = self.text + filling * (-len(self.text) % 8)
        whole = bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
        self.done += whole.replace(b"\xff", b"\xff\0") + marker
        self.text = ""


def guess(predictor: int, row: int, column: int, plane: np.ndarray) -> int:
    """Predict a sample by the table of ITU-T T.81, H.1.2.1."""
    a, b = int(plane[row, column - 1]), int(plane[row - 1, column])
    c = int(plane[row - 1, column - 1])
    rules = [a, b, c, a + b - c, a + (b - c) // 2, b + (a - c) // 2, (a + b) // 2]
    return rules[predictor - 1]


def lossless(pixels, bits, predictor=1, shift=0, interval=0, filling="1"):
    """Encode (rows, columns, samples); `interval` counts rows."""
    pixels = pixels >> shift
    rows, columns, n = pixels.shape
    out = Bits()
    for row in range(rows):
        first = row == 0 or (interval and row % interval == 0)
        if row and first:
            out.close(filling, bytes([0xFF, 0xD0 + (row // interval - 1) % 8]))
        for column, i in product(range(columns), range(n)):
            plane = pixels[..., i]
            if column == 0:
                expected = 1 << (bits - shift - 1) if first else int(plane[row - 1, 0])
            elif first:
                expected = int(plane[row, column - 1])
            else:
                expected = guess(predictor, row, column, plane)
            step = (int(plane[row, column]) - expected) % 65536
            out.difference(step - 65536 if step > 32768 else step)
    out.close(filling)
    header = struct.pack(">BHHB", bits, rows, columns, n)
    header += b"".join(bytes([i + 1, 0x11, 0]) for i in range(n))
    parts = b"".join(bytes([i + 1, 0]) for i in range(n))
    scan = bytes([n]) + parts + bytes([predictor, 0, shift])
    codes = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    return (
        b"\xff\xd8"
        + segment(0xC4, codes)
        + segment(0xC3, header)
        + (segment(0xDD, struct.pack(">H", interval * columns)) if interval else b"")
        + segment(0xDA, scan)
        + out.done
        + END
    )


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize(("bits", "shift"), [(8, 0), (8, 3), (12, 0), (12, 2), (16, 0), (16, 4)])
def test_lossless_point_transforms_restarts_and_colours(predictor, bits, shift):
    imagecodecs = pytest.importorskip("imagecodecs")
    kind = np.uint8 if bits == 8 else np.uint16
    for n, interval, filling in ((1, 0, "1"), (1, 2, "0"), (3, 0, "0"), (3, 3, "1")):
        pixels = np.stack([picture(i, bits, shape=(9, 7)) for i in range(n)], -1).astype(kind)
        data = lossless(pixels, bits, predictor, shift, interval, filling)
        colours = {"colorspace": "RGB", "outcolorspace": "RGB"} if n == 3 else {}
        found = imagecodecs.jpeg8_decode(data, **colours).reshape(pixels.shape)
        np.testing.assert_array_equal(found, pixels >> shift << shift)
        check_entropy(data)


@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (12, True), (15, True)])
def test_lossless_samples_fit_their_precision(bits, signed):
    # Some writers extend the sign of their samples beyond the precision they name.
    pixels = picture(2, bits, signed, (9, 7)).astype(np.int64)[..., None] % 65536
    check_entropy(lossless(pixels, bits))
    for wrong in ({False: 1 << bits, True: 65536 - (1 << (bits - 1)) - 1}[signed],):
        beyond = pixels.copy()
        beyond[4, 3] = wrong
        with pytest.raises(CodestreamError, match="damaged at MCU 29 of 63"):
            check_entropy(lossless(beyond, bits))


# -- What is wrong ------------------------------------------------------------------------


def libjpeg_complains(data: bytes) -> bool:
    """Say whether libjpeg in OpenCV warns or fails; it writes to the error stream."""
    cv2 = pytest.importorskip("cv2")
    with tempfile.TemporaryFile() as stream:
        before = os.dup(2)
        os.dup2(stream.fileno(), 2)
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        finally:
            os.dup2(before, 2)
            os.close(before)
        stream.seek(0)
        return pixels is None or b"orrupt JPEG" in stream.read()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_passes_of_which_libjpeg_would_warn(options, channels):
    planes = [picture(i, 8, shape=(40, 36)) for i in range(channels)]
    whole = jpeg(np.stack(planes, -1) if channels == 3 else planes[0], **options)
    start = whole.index(SCAN)
    rng = np.random.default_rng(channels)
    assert not libjpeg_complains(whole)
    complaints = 0
    for _ in range(200):
        data = bytearray(whole)
        data[rng.integers(start, len(data) - 2)] = rng.integers(256)
        if libjpeg_complains(bytes(data)):
            complaints += 1
            assert refused(bytes(data))
    assert complaints > 30


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_mcus_that_are_lost_or_too_many(options):
    data = jpeg(picture(1, 8, shape=(48, 40)), **options)
    frame = next(i for i in range(len(data)) if data[i : i + 2] in (b"\xff\xc0", b"\xff\xc2"))
    for rows in (40, 56):  # one row of blocks less, or more, than there are
        wrong = data[: frame + 5] + struct.pack(">H", rows) + data[frame + 7 :]
        with pytest.raises(CodestreamError, match="damaged"):
            check_entropy(wrong)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_samples_that_are_lost_or_too_many(bits):
    pixels = picture(1, bits, shape=(9, 7)).astype(np.int64)[..., None]
    data = lossless(pixels, bits, interval=2)
    check_entropy(data)
    frame, start = data.index(b"\xff\xc3"), data.index(SCAN) + 10
    for rows in (8, 10):
        assert refused(data[: frame + 5] + struct.pack(">H", rows) + data[frame + 7 :])
    found = [refused(data[:i] + data[i + 1 :]) for i in range(start, len(data) - 2)]
    assert np.mean(found) > 0.7  # the others make up as many samples


def test_the_end_of_a_scan():
    data = lossless(picture(1, 8, shape=(5, 7))[..., None], 8)
    for more in (b"\0", b"\xff\0\xff\0\xff\0", b"\x5a", b"\xff\xd0\x12"):
        assert refused(data[:-2] + more + END)
    check_entropy(data[:-2] + b"\xff\xff" + END)  # fill bytes before a marker
    check_entropy(data[:-2] + b"\xff\xd0" + END)  # a restart with nothing after it
    assert refused(data[:-1])
    assert refused(data[:-2])


@pytest.mark.parametrize("size", range(1, 9))
def test_what_fills_the_last_byte(size):
    # Each difference is the code 00000, so that all bits of the last byte are known.
    pixels = np.full((1, size, 1), 128, np.int64)
    for filling in "10":
        check_entropy(lossless(pixels, 8, filling=filling))
    data = lossless(pixels, 8)
    check_entropy(data[:-2] + b"\xff\0" + END)  # some encoders add a byte of ones
    assert refused(data[:-2] + b"\0" + END)
    free = -5 * size % 8
    if free > 1:
        assert refused(data[:-3] + bytes([data[-3] ^ 1]) + END)


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=str)
def test_restart_markers_have_an_order(options):
    data = jpeg(picture(1, 8, shape=(48, 40)), restart_marker_blocks=3, **options)
    first, second = data.index(b"\xff\xd0"), data.index(b"\xff\xd1")
    check_entropy(data)
    for place, marker in ((first, 0xD1), (second, 0xD0), (second, 0xD9), (first, 0x00)):
        wrong = bytearray(data)
        wrong[place + 1] = marker
        with pytest.raises(CodestreamError):
            check_entropy(bytes(wrong))


def test_scans_that_are_missing_or_come_twice():
    data = jpeg(picture(1, 8), progressive=True)
    places = [i for i in range(len(data)) if data[i : i + 2] == SCAN]
    for place in places[1:]:
        with pytest.raises(CodestreamError, match="scans do not make up"):
            check_entropy(data[:place] + END)
    with pytest.raises(CodestreamError, match="scans do not make up"):
        check_entropy(data[:-2] + data[places[-1] :])
    data = jpeg(picture(1, 8))
    with pytest.raises(CodestreamError, match="scans do not make up"):
        check_entropy(data[:-2] + data[data.index(SCAN) :])


def test_dc_coefficients_beyond_black():
    size = 64
    black = jpeg(np.zeros((size, size), np.uint8), quality=95)
    start = black.index(SCAN) + 10
    # The first difference leads from grey to black; one bit less of it is brighter, and all
    # that is darker than black is damage.
    found = [refused(black[:start] + bytes([b]) + black[start + 1 :]) for b in range(256)]
    assert not found[black[start]]
    assert sum(found) > 200


def without_codes(data: bytes) -> bytes:
    out, place = data[:2], 2
    while data[place : place + 2] != SCAN:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        out += b"" if data[place + 1] == 0xC4 else data[place:end]
        place = end
    return out + data[place:]


def test_frames_of_motion_jpeg_have_the_default_codes():
    pixels = np.stack([picture(i, 8) for i in range(3)], -1)
    data = jpeg(pixels)
    bare = without_codes(data)
    assert len(bare) < len(data) - 400
    with Image.open(io.BytesIO(data)) as a, Image.open(io.BytesIO(bare)) as b:
        np.testing.assert_array_equal(a, b)
    check_entropy(bare)
    assert refused(without_codes(jpeg(pixels, optimize=True)))
    assert default_codes().sum(1).astype(bool).tolist() == 2 * [True, True, False, False]


def test_headers_that_are_damaged():
    data = jpeg(picture(1, 8))
    codes, frame, scan = (data.index(m) for m in (b"\xff\xc4", b"\xff\xc0", SCAN))
    for place, value, what in (
        (codes + 4, 0x20, "tables are damaged"),
        (codes + 5, 3, "tables are damaged"),  # three codes of one bit
        (frame + 1, 0xC9, "another kind"),
        (frame + 11, 0x51, "frame header is damaged"),
        (frame + 9, 2, "wrong length"),
        (scan + 5, 7, "names no component"),
        (scan + 6, 0x50, "names a Huffman table"),
        (scan + 4, 0, "scan header is damaged"),
    ):
        wrong = bytearray(data)
        wrong[place] = value
        with pytest.raises(CodestreamError, match=what):
            check_entropy(bytes(wrong))
    for size in range(2, len(data) - 2, 7):
        assert refused(data[:size])
    assert refused(data[:2] + END)


@pytest.mark.parametrize("syntax", [BASELINE, LOSSLESS])
def test_damage_is_a_dicom_error(tmp_path, syntax):
    pytest.importorskip("imagecodecs")
    pixels = picture(1, 8)
    data = jpeg(pixels) if syntax == BASELINE else lossless(pixels[..., None], 8)
    place = data.index(SCAN) + 40
    wrong = data[:place] + b"\x12" + data[place:]
    read_slice(compressed(tmp_path / "a.dcm", syntax, data, pixels, 8))
    path = compressed(tmp_path / "b.dcm", syntax, [data, wrong], pixels, 8)
    with pytest.raises(DicomError, match=r"frame 1 are damaged: .* damaged at MCU \d+ of \d+"):
        read_slice(path)


@pytest.mark.parametrize("progressive", [False, True])
def test_damage_is_a_picture_error(tmp_path, progressive):
    data = jpeg(picture(1, 8), progressive=progressive)
    place = data.index(SCAN) + 14
    (tmp_path / "a.jpg").write_bytes(data)
    read_picture(read_picture_header(tmp_path / "a.jpg"))
    (tmp_path / "b.jpg").write_bytes(data[:place] + data[place + 30 :])
    with pytest.raises(PictureError, match=r"its JPEG data is damaged at MCU \d+ of \d+"):
        read_picture(read_picture_header(tmp_path / "b.jpg"))


def test_readers_import_numba_for_jpeg_only(tmp_path):
    Image.fromarray(picture(1, 8)).save(tmp_path / "a.png")
    code = f"""
    import sys
    import fastmm.read.codecs.decoding
    from fastmm.read.pictures.volumes import read_picture, read_picture_header
    read_picture(read_picture_header({str(tmp_path / "a.png")!r}))
    print("numba" in sys.modules)
    """
    assert run_python(code).split()[-1] == "False"
