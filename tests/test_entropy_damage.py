"""Damaged JPEG data are refused, and the fault is named by every reader."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from codestreams import BASELINE, LOSSLESS, compressed, picture
from harness import run_python
from jpeg_streams import END, OPTIONS, SCAN, jpeg, lossless, refused
from PIL import Image

from fastmm.errors import DicomError, PictureError
from fastmm.read.codecs.codestream import CodestreamError
from fastmm.read.codecs.entropy import check_entropy
from fastmm.read.codecs.jpeg_codes import default_codes
from fastmm.read.dicom.slices import read_slice
from fastmm.read.pictures.volumes import read_picture, read_picture_header


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
