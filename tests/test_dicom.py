"""One DICOM file: stored pixels bit by bit, in every syntax and type, nothing of the patient."""

from __future__ import annotations

import logging
import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BIRTH, PATIENT, PATIENT_ID, carried_file, dataset, image, write
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from fastmm.errors import DicomError, FastmmError
from fastmm.read.dicom.encoding import ENCAPSULATED
from fastmm.read.dicom.slices import read_header, read_slice


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_RLE.dcm",
        "rtdose_1frame.dcm",
        "rtdose_rle_1frame.dcm",
        "rtdose.dcm",
        "rtdose_expb.dcm",
        "rtdose_rle.dcm",
    ],
)
def test_stored_pixels_are_those_of_pydicom(name):
    path = carried_file(name)
    expected = pydicom.dcmread(path).pixel_array
    found = read_slice(path).stored
    assert found.dtype == expected.dtype.newbyteorder("=")
    assert found.dtype.isnative
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_no_file_of_pydicom_is_read_otherwise():
    read = 0
    for path in sorted(Path(pydicom.__file__).parent.glob("data/test_files/**/*.dcm")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = read_slice(path, channel=0)
            except FastmmError:
                continue
            header = found.header
            coded = header.syntax in ENCAPSULATED and header.syntax != RLELossless
            if coded or header.layout.photometric.startswith("YBR") or header.lookup:
                continue  # tested where the decoders, colour and lookup tables are
            expected = pydicom.dcmread(path).pixel_array
        if header.layout.samples == 3:
            expected = expected[..., 0]
        if header.order is not None:
            expected = expected[header.order]
        np.testing.assert_array_equal(found.stored.reshape(expected.shape), expected, path.name)
        read += 1
    assert read >= 15


def _nested(depth: int) -> bytes:
    sequence = b"\x08\x00\x40\x11SQ\0\0" + b"\xff" * 4
    item = b"\xfe\xff\x00\xe0" + b"\xff" * 4
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return (sequence + item) * depth + ends * depth


@pytest.mark.parametrize("depth", [1, 5, 5000])
def test_nested_sequences(tmp_path, depth):
    plain = write(tmp_path / "a.dcm").read_bytes()
    start = 144 + struct.unpack("<I", plain[140:144])[0]
    path = tmp_path / "b.dcm"
    path.write_bytes(plain[:start] + _nested(depth) + plain[start:])
    if depth < 32:
        np.testing.assert_array_equal(read_slice(path).stored[0], image())
    else:
        with pytest.raises(DicomError, match="nest too deeply"):
            read_slice(path)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless,
     DeflatedExplicitVRLittleEndian],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["i2", "u2", "u1", "i1", "u4", "i4"])
def test_bit_exact_in_every_syntax_and_type(tmp_path, syntax, kind):
    limits = np.iinfo(kind)
    pixels = np.random.default_rng(1).integers(limits.min, limits.max, (3, 5), kind, endpoint=True)
    path = tmp_path / "a.dcm"
    if syntax == RLELossless:
        if pixels.itemsize == 4:
            pytest.skip("the standard has no RLE of 32 bits; pydicom refuses to write it")
        ds = dataset(pixels)
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless)
        ds.save_as(path, enforce_file_format=True)
    elif syntax == ExplicitVRBigEndian:
        data = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
        write(path, pixels, syntax=syntax, PixelData=data + b"\0" * (len(data) % 2))
    else:
        write(path, pixels, syntax=syntax)
    found = read_slice(path)
    assert found.stored.dtype == np.dtype(kind)
    np.testing.assert_array_equal(found.stored, pixels[None])


def test_8_bits_in_big_endian_words_are_swapped_back(tmp_path):
    pixels = np.arange(15, dtype=np.uint8).reshape(3, 5)
    swapped = np.frombuffer(pixels.tobytes() + b"\0", "u1").reshape(-1, 2)[:, ::-1].tobytes()
    path = write(tmp_path / "a.dcm", pixels, syntax=ExplicitVRBigEndian)
    ds = pydicom.dcmread(path)
    ds["PixelData"].VR = "OW"
    ds.PixelData = swapped
    ds.save_as(path)
    np.testing.assert_array_equal(read_slice(path).stored[0], pixels)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("stored_bits", "high"), [(12, 11), (12, 15), (12, 13), (16, 15), (1, 0)])
def test_garbage_around_the_stored_bits_is_masked(tmp_path, signed, stored_bits, high):
    rng = np.random.default_rng(2)
    half = 1 << (stored_bits - 1)
    true = rng.integers(-half, half, (7, 9)) if signed else rng.integers(0, 2 * half, (7, 9))
    shift = high - stored_bits + 1
    mask = ((1 << stored_bits) - 1) << shift
    garbage = rng.integers(0, 1 << 16, (7, 9)) & ~mask & 0xFFFF
    container = ((true << shift) & mask | garbage).astype(np.uint16)
    path = write(tmp_path / "a.dcm", container, BitsStored=stored_bits, HighBit=high,
                 PixelRepresentation=int(signed))  # fmt: skip
    np.testing.assert_array_equal(read_slice(path).stored[0], true)


def test_no_patient_data_and_no_chatter(tmp_path, caplog, recwarn):
    header = read_header(write(tmp_path / "a.dcm", RescaleType="US"))
    shown = repr(header) + str(read_slice(tmp_path / "a.dcm"))
    assert not any(secret in shown for secret in (PATIENT, PATIENT_ID, BIRTH))
    same = read_header(write(tmp_path / "b.dcm"))
    other = read_header(write(tmp_path / "c.dcm", PatientID="other"))
    assert header.patient == same.patient != other.patient
    bad = write(tmp_path / "d.dcm", raw={"SOPInstanceUID": ("UI", b"not a uid!")})
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        read_slice(bad)
    assert not caplog.records
    assert not recwarn.list


def test_pydicom_may_warn_elsewhere(tmp_path, caplog):
    read_slice(write(tmp_path / "a.dcm"))
    logging.getLogger("pydicom").warning("not ours to silence")
    assert "not ours to silence" in caplog.text


def test_threads_at_once(tmp_path):
    paths = [write(tmp_path / f"{i}.dcm", image(i)) for i in range(24)]
    found: dict[int, np.ndarray] = {}
    filters = list(warnings.filters)

    def read(start: int) -> None:
        for i in range(start, 24, 8):
            found[i] = read_slice(paths[i]).stored[0]

    threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(found) == 24
    assert all(np.array_equal(found[i], image(i)) for i in range(24))
    assert warnings.filters == filters
