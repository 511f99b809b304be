"""One DICOM file: stored pixels bit by bit, values, and a clear error for each bad file."""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BIRTH, PATIENT, PATIENT_ID, dataset, image, write
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from fastmm.errors import DicomError, FastmmError, GeometryError, LimitError
from fastmm.read import limits
from fastmm.read.dicom.encoding import ENCAPSULATED
from fastmm.read.dicom.slices import read_header, read_pixels, read_slice


def _file(name: str) -> str:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom does not carry {name}")
    return path


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
    path = _file(name)
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


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "693_UNCI.dcm"])
def test_values_are_those_of_simpleitk(name):
    SimpleITK = pytest.importorskip("SimpleITK")
    path = _file(name)
    expected = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    np.testing.assert_allclose(read_slice(path).values(), expected, rtol=1e-6)


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


def test_rescale_is_in_float64_and_rounded_once(tmp_path):
    pixels = image()
    path = write(
        tmp_path / "a.dcm", pixels, RescaleSlope="0.1234567890123", RescaleIntercept="-7.1"
    )
    found = read_slice(path)
    assert found.header.units == "HU"
    expected = (pixels.astype(np.float64) * 0.12345678901 - 7.1).astype(np.float32)
    np.testing.assert_array_equal(found.values()[0], expected)


@pytest.mark.parametrize(
    "slope", b"0 |NaN |text|1,5 |1e400 ||inf |1_0 |1\\2 |0x10|1 2 |\xb2 ".split(b"|")
)
def test_bad_slope(tmp_path, slope):
    path = write(tmp_path / "a.dcm", raw={"RescaleSlope": ("DS", slope)})
    with pytest.raises(DicomError, match=r"RescaleSlope \(0028,1053\) is not a finite non-zero"):
        read_header(path)


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
def test_half_a_rescale_is_an_error(tmp_path, name):
    with pytest.raises(DicomError, match=f"{name}.*missing"):
        read_header(write(tmp_path / "a.dcm", **{name: None}))


def test_slope_beyond_float32(tmp_path):
    with pytest.raises(DicomError, match="exceed float32"):
        read_header(write(tmp_path / "a.dcm", RescaleSlope="1e37"))


@pytest.mark.parametrize(
    ("tags", "units", "noted"),
    [
        ({"Modality": "CT"}, "HU", False),
        ({"Modality": "CT", "RescaleType": "HU"}, "HU", False),
        ({"Modality": "CT", "RescaleType": "US"}, "stored", True),
        ({"Modality": "CT", "RescaleSlope": None, "RescaleIntercept": None}, "stored", True),
        ({"Modality": "MR", "RescaleSlope": None, "RescaleIntercept": None}, "a.u.", False),
        ({"Modality": "PT", "Units": "BQML"}, "Bq/ml", False),
        ({"Modality": "PT", "Units": "GML", "SUVType": "BW"}, "SUV", False),
        ({"Modality": "PT", "Units": "GML"}, "SUV", False),
        ({"Modality": "PT", "Units": "GML", "SUVType": "LBM"}, "stored", False),
        ({"Modality": "PT", "Units": "CNTS"}, "stored", False),
        ({"Modality": "PT"}, "stored", False),
        ({"Modality": "CR"}, "stored", False),
    ],
)
def test_units(tmp_path, tags, units, noted):
    header = read_header(write(tmp_path / "a.dcm", **tags))
    assert header.units == units
    assert bool(header.notes) == noted


@pytest.mark.parametrize("modality", ["CR", "DX", "MG", "XA", "RF", "OT"])
@pytest.mark.parametrize("signed", [False, True])
def test_monochrome1_of_x_rays_is_inverted(tmp_path, modality, signed):
    pixels = image(3, low=-2048 if signed else 0, high=2048 if signed else 4096)
    pixels = pixels.astype(np.int16 if signed else np.uint16)
    tags = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": 2, "RescaleIntercept": 5}
    path = write(tmp_path / "a.dcm", pixels, Modality=modality,
                 PhotometricInterpretation="MONOCHROME1", **tags)  # fmt: skip
    top = -1 if signed else 4095
    np.testing.assert_array_equal(read_slice(path).values()[0], (top - pixels.astype(int)) * 2 + 5)
    header = read_header(path)
    assert not header.notes
    raw = read_pixels(header.uninverted())
    np.testing.assert_array_equal(raw.values()[0], pixels.astype(int) * 2 + 5)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "NM"])
def test_monochrome1_elsewhere_is_not(tmp_path, modality):
    pixels = image()
    path = write(
        tmp_path / "a.dcm", pixels, Modality=modality, PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_array_equal(read_slice(path).values()[0], pixels)
    header = read_header(path)
    assert "MONOCHROME1" in header.notes[0]
    assert header.uninverted() is header


@pytest.mark.parametrize("vr", ["SS", "US"])
def test_padding_whatever_its_vr(tmp_path, vr):
    pixels = image()
    pixels[0, :3] = -2000
    path = write(
        tmp_path / "a.dcm", pixels, raw={"PixelPaddingValue": (vr, struct.pack("<h", -2000))}
    )
    np.testing.assert_array_equal(read_slice(path).valid[0], pixels != -2000)


@pytest.mark.parametrize("ends", [(-2000, -1500), (-1500, -2000)])
def test_padding_range(tmp_path, ends):
    pixels = image()
    pixels[0] = [-2001, -2000, -1700, -1500, -1499]
    pad = [("SS", struct.pack("<h", end)) for end in ends]
    path = write(tmp_path / "a.dcm", pixels,
                 raw={"PixelPaddingValue": pad[0], "PixelPaddingRangeLimit": pad[1]})  # fmt: skip
    assert read_slice(path).valid[0, 0].tolist() == [True, False, False, False, True]
    assert read_slice(path).valid[0, 1:].all()


def test_padding_outside_of_the_stored_bits(tmp_path):
    pixels = image(low=0, high=4096).astype(np.uint16)
    pixels[1, 1] = 63536  # masks to 2096, which is a legal pixel
    pixels[1, 2] = 2096
    path = write(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11,
                 raw={"PixelPaddingValue": ("US", struct.pack("<H", 63536))})  # fmt: skip
    found = read_slice(path)
    assert not found.valid[0, 1, 1]
    assert found.valid.sum() == pixels.size - 1
    assert found.stored[0, 1, 2] == 2096


def test_no_padding_met_is_none(tmp_path):
    path = write(tmp_path / "a.dcm", PixelPaddingValue=-30000)
    assert read_slice(path).valid is None


def test_padding_no_8_bit_pixel_can_hold(tmp_path):
    pixels = np.full((4, 4), 0x30, np.uint8)
    path = write(
        tmp_path / "a.dcm", pixels, raw={"PixelPaddingValue": ("SS", struct.pack("<h", -2000))}
    )
    assert read_slice(path).valid is None


@pytest.mark.parametrize(
    "name",
    ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
     "PhotometricInterpretation", "SamplesPerPixel", "PixelData"],
)  # fmt: skip
def test_missing_tag_is_named(tmp_path, name):
    with pytest.raises(DicomError, match=rf"{name} \([0-9A-F]{{4}},[0-9A-F]{{4}}\) is missing"):
        read_slice(write(tmp_path / "a.dcm", **{name: None}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Rows", 0),
        ("Columns", 0),
        ("BitsAllocated", 12),
        ("BitsAllocated", 1),
        ("BitsAllocated", 24),
        ("BitsAllocated", 64),
        ("BitsStored", 0),
        ("BitsStored", 17),
        ("HighBit", 200),
        ("HighBit", 3),
        ("PixelRepresentation", 2),
        ("NumberOfFrames", 0),
        ("NumberOfFrames", -1),
        ("PhotometricInterpretation", "PALETTE COLOR"),
        ("PhotometricInterpretation", "YBR_PARTIAL_420"),
        ("SamplesPerPixel", 3),
    ],
)
def test_impossible_tag_is_named(tmp_path, name, value):
    with pytest.raises(DicomError, match=rf"{name} \("):
        read_slice(write(tmp_path / "a.dcm", **{name: value}))


@pytest.mark.parametrize("value", [[0, 1], [-1, 1], [1, 0]])
def test_spacing_must_be_positive(tmp_path, value):
    with pytest.raises(GeometryError, match="PixelSpacing"):
        read_header(write(tmp_path / "a.dcm", PixelSpacing=value))


@pytest.mark.parametrize("value", [[0] * 6, [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0]])
def test_orientation_must_be_orthonormal(tmp_path, value):
    with pytest.raises(GeometryError, match="ImageOrientationPatient"):
        read_header(write(tmp_path / "a.dcm", ImageOrientationPatient=value))


def test_lengths_of_the_buffer(tmp_path):
    pixels = image()
    data = pixels.tobytes()
    for short in (b"", data[:-2]):
        with pytest.raises(DicomError, match=f"expected {len(data)} bytes, got {len(short)}"):
            read_slice(write(tmp_path / "a.dcm", pixels, PixelData=short))
    slightly = read_slice(write(tmp_path / "a.dcm", pixels, PixelData=data + bytes(10)))
    np.testing.assert_array_equal(slightly.stored[0], pixels)
    assert "10 bytes after" in slightly.header.notes[0]
    with pytest.raises(DicomError, match="more frames"):
        read_slice(write(tmp_path / "a.dcm", pixels, PixelData=data * 2))
    two = read_slice(write(tmp_path / "a.dcm", pixels, PixelData=data * 2, NumberOfFrames=2))
    np.testing.assert_array_equal(two.stored, np.stack([pixels, pixels]))


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
    ds = pydicom.dcmread(_file("MR_small_RLE.dcm"))
    ds.Rows = ds.Columns = 20000
    ds.save_as(tmp_path / "a.dcm")
    with pytest.raises(DicomError, match="is cut"):
        read_slice(tmp_path / "a.dcm")


def test_damaged_rle(tmp_path):
    data = bytearray(Path(_file("MR_small_RLE.dcm")).read_bytes())
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
        data = Path(_file("MR_small_RLE.dcm")).read_bytes()
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


@pytest.mark.parametrize("planar", [0, 1])
def test_colour(tmp_path, planar):
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    lie = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": planar}
    data = (np.moveaxis(rgb, -1, 0) if planar else rgb).tobytes()
    path = write(tmp_path / "a.dcm", rgb[..., 0], PixelData=data, Modality="OT", **lie)
    with pytest.raises(DicomError, match="channel"):
        read_slice(path)
    for channel in range(3):
        found = read_slice(path, channel=channel)
        np.testing.assert_array_equal(found.stored[0], rgb[..., channel])
    grey = np.repeat(rgb[..., :1], 3, -1)
    data = (np.moveaxis(grey, -1, 0) if planar else grey).tobytes()
    write(path, rgb[..., 0], PixelData=data, Modality="OT", **lie)
    np.testing.assert_array_equal(read_slice(path).stored[0], grey[..., 0])


def test_colour_in_rle_is_that_of_pydicom():
    path = _file("SC_rgb_rle.dcm")
    expected = pydicom.dcmread(path).pixel_array
    for channel in range(3):
        found = read_slice(path, channel=channel).stored[0]
        np.testing.assert_array_equal(found, expected[..., channel])


@pytest.mark.parametrize(
    "name", ["examples_palette.dcm", "rtplan.dcm", "test-SR.dcm", "rtstruct.dcm"]
)
def test_other_objects_are_refused(name):
    with pytest.raises(DicomError):
        read_slice(_file(name))


def test_segmentations_of_one_bit_are_refused():
    with pytest.raises(DicomError, match=r"BitsAllocated \(0028,0100\) must be 8, 16 or 32, got 1"):
        read_slice(_file("liver_1frame.dcm"))


def _floats(path: Path, values: np.ndarray, **tags) -> Path:
    """Write floats; they have neither BitsStored, HighBit nor PixelRepresentation."""
    double = values.dtype == np.float64
    name, vr = ("DoubleFloatPixelData", "OD") if double else ("FloatPixelData", "OF")
    little = tags.get("syntax") != ExplicitVRBigEndian
    data = values.astype(values.dtype.newbyteorder("<" if little else ">")).tobytes()
    gone = dict.fromkeys(["PixelData", "BitsStored", "HighBit", "PixelRepresentation"])
    shape = np.zeros(values.shape, np.int64 if double else np.int32)
    return write(path, shape, **({"raw": {name: (vr, data)}} | gone | tags))


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_float_pixels(tmp_path, syntax, kind):
    values = np.random.default_rng(0).normal(0, 1e3, (5, 6)).astype(kind)
    path = _floats(tmp_path / "a.dcm", values, syntax=syntax, Modality="MR", RescaleSlope=2)
    found = read_slice(path)
    assert found.stored.dtype == kind
    np.testing.assert_array_equal(found.stored[0], values)
    np.testing.assert_array_equal(found.values()[0], (values * 2.0).astype(np.float32))


def test_float_pixels_stay_as_they_are_even_where_they_are_no_numbers(tmp_path):
    values = np.array([[1, np.nan, -np.inf], [0, 1e30, -1e-30]], np.float32)
    path = _floats(tmp_path / "a.dcm", values, Modality="MR")
    np.testing.assert_array_equal(read_slice(path).stored[0], values)


@pytest.mark.parametrize("pad", [-5.0, np.nan])
def test_padding_of_float_pixels(tmp_path, pad):
    values = np.array([[1, -5, np.nan], [-6, 0, 2]])
    path = _floats(tmp_path / "a.dcm", values, Modality="MR", DoubleFloatPixelPaddingValue=pad)
    expected = ~np.isnan(values) if np.isnan(pad) else values != pad
    np.testing.assert_array_equal(read_slice(path).valid[0], expected)
    path = _floats(tmp_path / "a.dcm", values, Modality="MR", DoubleFloatPixelPaddingValue=-5.5,
                   DoubleFloatPixelPaddingRangeLimit=-10)  # fmt: skip
    np.testing.assert_array_equal(read_slice(path).valid[0], values != -6)


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"BitsAllocated": 32}, "BitsAllocated .* must be 64 for DoubleFloatPixelData"),
        ({"PhotometricInterpretation": "MONOCHROME1", "Modality": "DX"}, "floats have no range"),
        ({"NumberOfFrames": 2}, r"DoubleFloatPixelData \(7FE0,0009\) is cut: expected 480"),
    ],
)
def test_float_pixels_that_contradict_their_header(tmp_path, tags, what):
    path = _floats(tmp_path / "a.dcm", np.zeros((5, 6)), **tags)
    with pytest.raises(DicomError, match=what):
        read_slice(path)


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
