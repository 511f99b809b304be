"""Damaged codestreams, bombs and threads: pixels that are right, or a clear error."""

from __future__ import annotations

import io
import threading

import numpy as np
import pydicom
import pytest
from codestreams import BASELINE, J2K, JLS, LOSSLESS, STEM, carried, compressed, encode, picture
from dicom_files import BIRTH, PATIENT, PATIENT_ID, write
from harness import run_python
from pydicom.uid import RLELossless

from fastmm.errors import DicomError, FastmmError, LimitError
from fastmm.read import limits
from fastmm.read.codecs import decoding
from fastmm.read.codecs.codestream import CodestreamError, read_codestream
from fastmm.read.dicom.slices import read_slice

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_bombs_are_refused_before_they_are_decoded(tmp_path):
    utils = pytest.importorskip("openjpeg.utils")
    empty = np.zeros((6000, 6000), np.uint8)
    data = bytes(utils.encode_array(empty, photometric_interpretation=2))
    path = compressed(tmp_path / "a.dcm", J2K, data, empty, 8)
    assert path.stat().st_size < 36000
    with pytest.raises(LimitError, match="MAX_EXPANSION"):
        read_slice(path)


def test_the_limit_of_expansion_is_a_setting(tmp_path, monkeypatch):
    empty = np.zeros((64, 64), np.uint16)
    path = compressed(tmp_path / "a.dcm", JLS, encode(JLS, empty, 16), empty, 16)
    read_slice(path)
    monkeypatch.setattr(decoding, "_SMALL", 0)
    monkeypatch.setattr(limits, "MAX_EXPANSION", 2)
    with pytest.raises(LimitError, match="than 2 times"):
        read_slice(path)


@pytest.mark.parametrize("syntax", [RLELossless, J2K, JLS, LOSSLESS, STEM + "201", BASELINE])
def test_corrupt_codestreams_give_pixels_or_our_error(tmp_path, syntax):
    pixels = picture(9, 8)
    if syntax == RLELossless:
        path = write(tmp_path / "a.dcm", pixels)
        ds = pydicom.dcmread(path)
        ds.compress(RLELossless)
        ds.save_as(path)
    elif syntax == BASELINE:
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG")
        path = compressed(tmp_path / "a.dcm", syntax, out.getvalue(), pixels, 8)
    else:
        path = compressed(tmp_path / "a.dcm", syntax, encode(syntax, pixels, 8), pixels, 8)
    whole = path.read_bytes()
    start = whole.rindex(b"\xe0\x7f\x10\0")
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(30):
        data = bytearray(whole)
        for place in rng.integers(start + 12, len(data), 4):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            assert read_slice(path).stored.shape == (1, 40, 36)
        except FastmmError as error:
            messages.append(str(error))
    assert not any(s in message for message in messages for s in (PATIENT, PATIENT_ID, BIRTH))
    assert len(messages) >= (30 if syntax == JLS else 1)


@pytest.mark.parametrize("syntax", [RLELossless, J2K, JLS, LOSSLESS, BASELINE])
def test_cut_codestreams_never_give_pixels(tmp_path, syntax):
    from PIL import Image

    pixels = picture(10, 8)
    if syntax == RLELossless:
        path = write(tmp_path / "a.dcm", pixels)
        ds = pydicom.dcmread(path)
        ds.compress(RLELossless)
        frame = next(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1)).rstrip(b"\0")
    elif syntax == BASELINE:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG")
        frame = out.getvalue()
    else:
        frame = encode(syntax, pixels, 8)
    for size in np.linspace(4, len(frame) - 3, 12).astype(int):
        path = compressed(tmp_path / "a.dcm", syntax, frame[:size], pixels, 8)
        with pytest.raises(DicomError):
            read_slice(path)


def test_codestreams_that_are_damaged_are_named():
    for data, what in (
        (b"", "known marker"),
        (b"\xff\xd8\xff", "cut"),
        (b"\xff\xd8\xff\xd9", "no frame header"),
        (b"\xff\x4f\xff\x51" + bytes(20), "cut"),
        (b"\xff\x4f\xff\x51" + bytes(60), "damaged"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(30), "boxes"),
    ):
        with pytest.raises(CodestreamError, match=what):
            read_codestream(data)


def test_eight_threads_at_once(tmp_path):
    stacks, paths = [], []
    for i, syntax in enumerate([J2K, JLS, LOSSLESS] * 4):
        stack = np.stack([picture(10 * i + k, 12) for k in range(3)])
        frames = [encode(syntax, frame, 12) for frame in stack]
        stacks.append(stack)
        paths.append(compressed(tmp_path / f"{i}.dcm", syntax, frames, stack[0], 12))
    found: dict[int, np.ndarray] = {}

    def work(start: int) -> None:
        for i in range(start, len(paths), 8):
            found[i] = read_slice(paths[i]).stored

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert all(np.array_equal(found[i], stacks[i]) for i in range(len(paths)))


def test_readers_import_no_decoder():
    (path,) = carried("SC_rgb_jpeg_dcmtk.dcm")
    code = f"""
    import sys
    from fastmm.read.dicom.slices import read_slice
    read_slice({str(path)!r}, channel=0)
    heavy = ("PIL", "openjpeg", "jpeg_ls", "imagecodecs", "sklearn")
    print("loaded", *(name for name in heavy if name in sys.modules))
    """
    assert run_python(code).splitlines()[-1] == "loaded"
