"""Compressed pixels: bit-exact against their encoders and SimpleITK."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from codestreams import BASELINE, J2K, JLS, LOSSLESS, STEM, carried, compressed, encode, picture
from pydicom.encaps import encapsulate
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import convert_color_space

from fastmm.errors import FastmmError
from fastmm.read.codecs import choosing as codecs
from fastmm.read.dicom.slices import read_header, read_slice

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("syntax", [J2K, JLS, STEM + "57", LOSSLESS, STEM + "201"])
@pytest.mark.parametrize("bits", [8, 10, 12, 13, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_is_bit_exact(tmp_path, syntax, bits, signed):
    if syntax == STEM + "201" and bits not in (8, 16):
        pytest.skip("the encoder at hand writes whole bytes only")
    pixels = picture(1, bits, signed)
    path = compressed(tmp_path / "a.dcm", syntax, encode(syntax, pixels, bits), pixels, bits)
    found = read_slice(path).stored
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels[None])


@pytest.mark.parametrize("syntax", [J2K, JLS, LOSSLESS])
@pytest.mark.parametrize("fragments", [1, 2])
def test_frames_and_fragments(tmp_path, syntax, fragments):
    stack = np.stack([picture(i, 12) for i in range(7)])
    frames = [encode(syntax, frame, 12) for frame in stack]
    path = compressed(tmp_path / "a.dcm", syntax, frames, stack[0], 12)
    ds = pydicom.dcmread(path)
    ds.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=False)
    ds.save_as(path)
    found = read_slice(path)
    np.testing.assert_array_equal(found.stored, stack)
    assert found.n_bytes == sum(len(f) + len(f) % 2 for f in frames)


@pytest.mark.parametrize("syntax", [J2K, JLS, LOSSLESS, STEM + "201"])
def test_colour_is_exact(tmp_path, syntax):
    rgb = np.stack([picture(i, 8) for i in range(3)], -1)
    path = compressed(
        tmp_path / "a.dcm", syntax, encode(syntax, rgb, 8), rgb, 8, PhotometricInterpretation="RGB"
    )
    for channel in range(3):
        found = read_slice(path, channel=channel).stored[0]
        np.testing.assert_array_equal(found, rgb[..., channel])


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_interleaving_of_jpeg_ls(tmp_path, mode):
    jls = pytest.importorskip("jpeg_ls")
    rgb = np.stack([picture(i, 8) for i in range(3)], -1)
    data = np.ascontiguousarray(np.moveaxis(rgb, -1, 0)) if mode == 0 else rgb
    frame = bytes(jls.encode_buffer(data.tobytes(), 40, 36, 3, 8, interleave_mode=mode))
    path = compressed(tmp_path / "a.dcm", JLS, frame, rgb, 8, PhotometricInterpretation="RGB")
    np.testing.assert_array_equal(read_slice(path, channel=1).stored[0], rgb[..., 1])


def test_near_lossless_stays_within_its_error(tmp_path):
    jls = pytest.importorskip("jpeg_ls")
    pixels = picture(2, 12)
    frame = bytes(jls.encode_buffer(pixels.tobytes(), 40, 36, 1, 12, lossy_error=3))
    path = compressed(tmp_path / "a.dcm", STEM + "81", frame, pixels, 12)
    difference = np.abs(read_slice(path).stored[0].astype(int) - pixels)
    assert 0 < difference.max() <= 3


def compressed_files() -> list[Path]:
    found = []
    for path in carried("*.dcm"):
        try:
            meta = read_file_meta_info(path)
        except pydicom.errors.InvalidDicomError:
            continue
        if getattr(meta, "TransferSyntaxUID", "") in codecs.CODECS:
            found.append(path)
    return found


# What is refused, and why: nothing here can be read in one right way.
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "codestream of frame 0 says",
    "SC_rgb_jpeg.dcm": "contradicts itself",
    "UN_sequence.dcm": "no image",
    "OBXXXX1A_rle.dcm": "PALETTE",
    "OBXXXX1A_rle_2frame.dcm": "PALETTE",
    "RG1_J2KI.dcm": "PixelSpacing",
    "RG1_J2KR.dcm": "PixelSpacing",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "delimiter is missing",
}
# Files of which the GDCM in SimpleITK mixes up the bytes; pydicom is the oracle.
MIXED_UP = ("SC_rgb_rle_16bit", "SC_rgb_rle_32bit", "rtdose_rle_1frame")


@pytest.mark.parametrize("path", compressed_files(), ids=lambda path: path.name)
def test_files_of_pydicom_are_those_of_another_reader(path):
    sitk = pytest.importorskip("SimpleITK")
    pytest.importorskip("imagecodecs")
    name = path.name
    if name in REFUSED:
        with pytest.raises(FastmmError, match=REFUSED[name]):
            read_slice(path, channel=0)
        return
    header = read_header(path)
    channel = None if header.layout.samples == 1 else 1
    found = read_slice(path, channel=channel)
    if name.startswith(MIXED_UP):
        expected = pydicom.dcmread(path).pixel_array
    else:
        sitk.ProcessObject.SetGlobalDefaultDebug(False)
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    if channel is not None:
        expected = expected[..., channel]
        found = found.stored
    else:
        found = found.stored if name.startswith(MIXED_UP) else found.values()
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("rtdose_rle.dcm", "rtdose.dcm"),
        ("emri_small_RLE.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_2k_lossless.dcm", "emri_small.dcm"),
        ("SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_16bit_2frame.dcm"),
        ("SC_rgb_rle_32bit_2frame.dcm", "SC_rgb_32bit_2frame.dcm"),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb.dcm"),
        ("MR2_J2KR.dcm", "MR2_UNCR.dcm"),
        ("RG3_J2KR.dcm", "RG3_UNCR.dcm"),
        ("US1_J2KR.dcm", "US1_UNCR.dcm"),
        ("693_J2KR.dcm", "693_UNCR.dcm"),
    ],
)
def test_lossless_files_are_their_uncompressed_twins(name, twin):
    paths = [p for n in (name, twin) for p in carried(n)]
    if len(paths) < 2:
        pytest.skip("pydicom-data is not installed")
    channel = 2 if read_header(paths[0]).layout.samples == 3 else None
    found = [read_slice(p, channel=channel).stored for p in paths[:2]]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    "kind", ["grey", "YBR 4:4:4", "YBR 4:2:0", "RGB by Adobe", "YBR by Adobe, RGB told"]
)
def test_baseline_jpeg_and_its_colours(tmp_path, kind):
    from PIL import Image

    rgb = np.stack([picture(i, 8, shape=(48, 64)) for i in range(3)], -1)
    out = io.BytesIO()
    image = Image.fromarray(rgb[..., 0] if kind == "grey" else rgb)
    image.save(out, "JPEG", quality=95, subsampling=2 if "4:2:0" in kind else 0,
               keep_rgb=kind.startswith("RGB"))  # fmt: skip
    data = out.getvalue()
    if "Adobe" in kind:
        marker = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([kind.startswith("YBR")])
        start = 2 + 2 + struct.unpack(">H", data[4:6])[0] if data[3] == 0xE0 else 2
        data = b"\xff\xd8" + marker + data[start:]
    told = {"grey": "MONOCHROME2", "YBR 4:4:4": "YBR_FULL", "YBR 4:2:0": "YBR_FULL_422"}
    path = compressed(tmp_path / "a.dcm", BASELINE, data, np.asarray(image), 8,
                      PhotometricInterpretation=told.get(kind, "RGB"))  # fmt: skip
    with Image.open(io.BytesIO(data)) as again:
        if kind.startswith("YBR"):
            again.draft("YCbCr", None)
            expected = convert_color_space(np.asarray(again), "YBR_FULL", "RGB")
        else:
            expected = np.asarray(again)
    for channel in range(3) if expected.ndim == 3 else [None]:
        found = read_slice(path, channel=channel).stored[0]
        wanted = expected if channel is None else expected[..., channel]
        np.testing.assert_array_equal(found, wanted)
    limit = 80 if "4:2:0" in kind else 20
    assert np.abs(expected.astype(int) - np.asarray(image)).max() < limit


def test_extended_jpeg_of_12_bits(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    sitk = pytest.importorskip("SimpleITK")
    pixels = picture(3, 12, shape=(64, 72))
    data = imagecodecs.jpeg8_encode(pixels, 97, bitspersample=12)
    path = compressed(tmp_path / "a.dcm", STEM + "51", data, pixels, 12)
    found = read_slice(path).stored
    np.testing.assert_array_equal(found, sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    assert np.abs(found[0].astype(int) - pixels).max() < 100


@pytest.mark.parametrize("order", ["YBR_FULL", "YBR_FULL_422"])
def test_uncompressed_ybr_is_that_of_pydicom(order, tmp_path):
    names = {"YBR_FULL": "SC_ybr_full_uncompressed.dcm",
             "YBR_FULL_422": "SC_ybr_full_422_uncompressed.dcm"}  # fmt: skip
    paths = carried(names[order])
    if not paths:
        pytest.skip("pydicom-data is not installed")
    expected = pydicom.dcmread(paths[0]).pixel_array
    assert pydicom.dcmread(paths[0]).PhotometricInterpretation == order
    raw = pydicom.pixels.pixel_array(paths[0], raw=True)
    np.testing.assert_array_equal(convert_color_space(raw, order, "RGB"), expected)
    for channel in range(3):
        found = read_slice(paths[0], channel=channel).stored[0]
        np.testing.assert_array_equal(found, expected[..., channel])
