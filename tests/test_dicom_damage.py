"""Cut, damaged, mutated and lying DICOM files never give pixels."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BIRTH, PATIENT, PATIENT_ID, carried_file, image, write
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from fastmm.errors import DicomError, FastmmError, LimitError
from fastmm.read import limits
from fastmm.read.dicom.slices import read_slice


def test_cut_files_never_give_pixels(tmp_path):
    whole = write(tmp_path / "a.dcm").read_bytes()
    cut = tmp_path / "cut.dcm"
    for size in range(len(whole)):
        cut.write_bytes(whole[:size])
        with pytest.raises(DicomError, match=r"cut\.dcm"):
            read_slice(cut)


def test_mutated_files_give_values_or_our_errors(tmp_path):
    whole = bytearray(write(tmp_path / "a.dcm", image(shape=(2, 2))).read_bytes())
    rng = np.random.default_rng(0)
    path = tmp_path / "mutated.dcm"
    errors = 0
    for _ in range(1500):
        data = bytearray(whole)
        for place in rng.integers(128, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        message = ""
        try:
            assert np.isfinite(read_slice(path).values()).all()
        except FastmmError as error:
            message = str(error)
        errors += bool(message)
        assert not any(secret in message for secret in (PATIENT, PATIENT_ID, BIRTH))
    assert errors > 100


def test_limit_before_allocating(tmp_path):
    for tags in (
        {"Rows": 65535, "Columns": 65535},
        {"NumberOfFrames": 2_000_000_000},
        {"NumberOfFrames": 100_000_000, "Rows": 1, "Columns": 1},
        {"Rows": 65535, "Columns": 65535, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
    ):
        with pytest.raises(LimitError, match="MAX_BYTES"):
            read_slice(write(tmp_path / "a.dcm", **tags))


def test_limit_is_a_setting(tmp_path, monkeypatch):
    path = write(tmp_path / "a.dcm")
    monkeypatch.setattr(limits, "MAX_BYTES", 6 * 5 * 4)
    read_slice(path)
    monkeypatch.setattr(limits, "MAX_BYTES", 6 * 5 * 4 - 1)
    with pytest.raises(LimitError):
        read_slice(path)


def _deflated(path: Path, data_set: bytes) -> Path:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    plain = write(path, syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    start = 144 + struct.unpack("<I", plain[140:144])[0]
    path.write_bytes(plain[:start] + deflater.compress(data_set) + deflater.flush())
    return path


def test_deflate_bomb(tmp_path):
    huge = b"\x09\x00\x01\x00OB\0\0" + struct.pack("<I", 1 << 30) + bytes(200 << 20)
    path = _deflated(tmp_path / "bomb.dcm", huge)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(LimitError, match="deflated"):
        read_slice(path)


def test_damaged_deflate(tmp_path):
    path = write(tmp_path / "a.dcm", syntax=DeflatedExplicitVRLittleEndian)
    data = path.read_bytes()
    path.write_bytes(data[:400] + bytes(100) + data[500:])
    with pytest.raises(DicomError):
        read_slice(path)


def test_rle_that_cannot_hold_its_pixels(tmp_path):
    ds = pydicom.dcmread(carried_file("MR_small_RLE.dcm"))
    ds.Rows = ds.Columns = 20000
    ds.save_as(tmp_path / "a.dcm")
    with pytest.raises(DicomError, match="is cut"):
        read_slice(tmp_path / "a.dcm")


def test_damaged_rle(tmp_path):
    data = bytearray(Path(carried_file("MR_small_RLE.dcm")).read_bytes())
    rng = np.random.default_rng(0)
    path = tmp_path / "a.dcm"
    for _ in range(30):
        mutated = bytearray(data)
        for place in rng.integers(len(data) - 4000, len(data), 20):
            mutated[place] = rng.integers(256)
        path.write_bytes(mutated)
        with contextlib.suppress(DicomError):
            assert read_slice(path).stored.shape == (1, 64, 64)


@pytest.mark.parametrize("syntax", ["1.2.3.4", "1.2.840.113619.5.2", "1.2.840.10008.1.2.4.999"])
def test_unknown_transfer_syntax(tmp_path, syntax):
    path = write(tmp_path / "a.dcm")
    data = path.read_bytes()
    old = b"1.2.840.10008.1.2.1\0"
    new = syntax.encode().ljust(len(old), b"\0")
    extra = len(new) - len(old)
    data = data.replace(
        b"UI" + struct.pack("<H", len(old)) + old, b"UI" + struct.pack("<H", len(new)) + new
    )
    length = struct.unpack("<I", data[140:144])[0] + extra
    path.write_bytes(data[:140] + struct.pack("<I", length) + data[144:])
    with pytest.raises(DicomError, match="ransfer"):
        read_slice(path)


@pytest.mark.parametrize(
    ("true", "told"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ExplicitVRBigEndian, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, ExplicitVRBigEndian),
        (ExplicitVRLittleEndian, RLELossless),
        (RLELossless, ExplicitVRLittleEndian),
    ],
)
def test_transfer_syntax_that_lies(tmp_path, true, told):
    if true == RLELossless:
        data = Path(carried_file("MR_small_RLE.dcm")).read_bytes()
    else:
        data = write(tmp_path / "a.dcm", syntax=true).read_bytes()
    size = struct.unpack("<I", data[140:144])[0]
    meta, rest = data[144 : 144 + size], data[144 + size :]
    pad = lambda uid: uid.encode() + b"\0" * (len(uid) % 2)  # noqa: E731
    field = lambda uid: b"UI" + struct.pack("<H", len(pad(uid))) + pad(uid)  # noqa: E731
    assert meta.count(field(true)) == 1
    meta = meta.replace(field(true), field(told))
    path = tmp_path / "lie.dcm"
    path.write_bytes(data[:140] + struct.pack("<I", len(meta)) + meta + rest)
    with pytest.raises(DicomError):
        read_slice(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (bytes(5000), "no DICOM file"),
        (b"hello world\n" * 50, "no DICOM file"),
        (b"PK\x03\x04" + bytes(500), "zip"),
        (b"\x89PNG\r\n" + bytes(500), "PNG"),
        (bytes(128) + b"DICM", "missing"),
        (bytes(128) + b"DICM" + bytes(range(256)), "a.dcm"),
    ],
)
def test_files_that_are_no_dicom(tmp_path, content, what):
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    with pytest.raises(DicomError, match=what):
        read_slice(path)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_slice(tmp_path / "none.dcm")
    with pytest.raises(DicomError, match="a folder"):
        read_slice(tmp_path)
    loop = tmp_path / "loop.dcm"
    loop.symlink_to(loop)
    with pytest.raises(DicomError, match="cannot be read"):
        read_slice(loop)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a.dcm")
    with pytest.raises(DicomError, match="not a regular file"):
        read_slice(tmp_path / "a.dcm")
