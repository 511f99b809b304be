"""JPEG data that are right pass, and nothing of which libjpeg would warn."""

from __future__ import annotations

import os
import tempfile
from itertools import product

import numpy as np
import pytest
from codestreams import picture
from jpeg_streams import OPTIONS, SCAN, jpeg, lossless, refused
from picture_files import noise

from fastmm.read.codecs.codestream import CodestreamError
from fastmm.read.codecs.entropy import check_entropy


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
