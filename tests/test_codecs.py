"""Compressed pixels: bit-exact against their encoders and SimpleITK, or a clear error."""

from __future__ import annotations

import io
import struct
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BIRTH, PATIENT, PATIENT_ID, write
from harness import run_python
from pydicom.encaps import encapsulate
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import convert_color_space
from pydicom.uid import RLELossless

from fastmm.errors import DicomError, FastmmError, LimitError
from fastmm.read import limits
from fastmm.read.codecs import choosing as codecs
from fastmm.read.codecs import decoding
from fastmm.read.codecs.codestream import CodestreamError, read_codestream
from fastmm.read.dicom.slices import read_header, read_slice

STEM = "1.2.840.10008.1.2.4."
J2K, JLS, BASELINE, LOSSLESS = STEM + "90", STEM + "80", STEM + "50", STEM + "70"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def picture(seed: int, bits: int, signed: bool = False, shape=(40, 36)) -> np.ndarray:
    """Return smooth pixels with noise that reach both ends of their range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    wave = np.sin(x / 5 + seed) + np.cos(y / 7) + rng.normal(0, 0.05, shape)
    scaled = (wave - wave.min()) / np.ptp(wave) * ((1 << bits) - 1)
    size = 1 if bits <= 8 else 2
    values = np.round(scaled).astype(np.int64) - (1 << (bits - 1) if signed else 0)
    return values.astype(f"{'i' if signed else 'u'}{size}")


def encode(syntax: str, pixels: np.ndarray, bits: int) -> bytes:
    """Encode a frame; signed pixels as the bits they have, save in JPEG 2000."""
    unsigned = pixels.view(f"u{pixels.itemsize}") & ((1 << bits) - 1)
    colour = pixels.ndim == 3
    if syntax in (STEM + "90", STEM + "91"):
        utils = pytest.importorskip("openjpeg.utils")
        kind = 1 if colour else 2
        return bytes(utils.encode_array(pixels, bits_stored=bits, photometric_interpretation=kind))
    if syntax in (STEM + "80", STEM + "81"):
        jls = pytest.importorskip("jpeg_ls")
        return bytes(
            jls.encode_buffer(
                unsigned.tobytes(), *pixels.shape[:2], 3 if colour else 1, bits,
                interleave_mode=2 if colour else 0,
            )
        )  # fmt: skip
    imagecodecs = pytest.importorskip("imagecodecs")
    if syntax in (STEM + "57", STEM + "70"):
        return imagecodecs.jpeg8_encode(unsigned, lossless=True, bitspersample=bits)
    assert syntax in (STEM + "201", STEM + "202", STEM + "203")
    return imagecodecs.htj2k_encode(pixels)


def compressed(path: Path, syntax: str, frames, pixels: np.ndarray, bits: int, **tags) -> Path:
    """Write a file of encoded frames; `pixels` has the shape and type of one of them."""
    frames = [frames] if isinstance(frames, bytes) else list(frames)
    colour = {"SamplesPerPixel": 3, "PlanarConfiguration": 0} if pixels.ndim == 3 else {}
    if len(frames) > 1:
        colour["NumberOfFrames"] = len(frames)
    first = pixels[..., 0] if pixels.ndim == 3 else pixels
    tags = {"BitsStored": bits, "HighBit": bits - 1, "Modality": "OT", **colour, **tags}
    write(path, first, **tags)
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    return path


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


def carried(pattern: str) -> list[Path]:
    """Find files that pydicom and pydicom-data carry, without pydicom's own search.

    That one would download what is not there.
    """
    folders = [Path(pydicom.__file__).parent / "data" / "test_files"]
    store = find_spec("data_store")
    if store is not None and store.origin is not None:
        folders.append(Path(store.origin).parent / "data")
    return [path for folder in folders for path in sorted(folder.glob(pattern))]


def _compressed_files() -> list[Path]:
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


@pytest.mark.parametrize("path", _compressed_files(), ids=lambda path: path.name)
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


@pytest.mark.parametrize(
    ("told", "colours"), [("YBR_FULL", "RGB"), ("RGB", "YBR"), ("YBR_ICT", ""), ("YBR_RCT", "YBR")]
)
def test_colours_that_contradict_the_header(tmp_path, told, colours):
    from PIL import Image

    rgb = np.stack([picture(i, 8) for i in range(3)], -1)
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", keep_rgb=colours == "RGB")
    path = compressed(
        tmp_path / "a.dcm", BASELINE, out.getvalue(), rgb, 8, PhotometricInterpretation=told
    )
    with pytest.raises(DicomError, match=rf"\(0028,0004\) {told} contradicts"):
        read_slice(path, channel=0)


@pytest.mark.parametrize("told", ["YBR_RCT", "YBR_ICT"])
def test_a_transform_that_is_told_but_not_there(tmp_path, told):
    utils = pytest.importorskip("openjpeg.utils")
    rgb = np.stack([picture(i, 8) for i in range(3)], -1)
    for use, fine in ((True, True), (False, False)):
        data = bytes(utils.encode_array(rgb, photometric_interpretation=1, use_mct=use))
        path = compressed(tmp_path / "a.dcm", J2K, data, rgb, 8, PhotometricInterpretation=told)
        if fine:
            np.testing.assert_array_equal(read_slice(path, channel=0).stored[0], rgb[..., 0])
        else:
            with pytest.raises(DicomError, match="no component transform"):
                read_slice(path, channel=0)


@pytest.mark.parametrize("syntax", [J2K, JLS, LOSSLESS])
def test_signs_that_differ_keep_their_bits(tmp_path, syntax):
    signed = picture(4, 12, signed=True)
    bits = (signed.view("u2") & 0xFFF).astype("u2")
    path = compressed(tmp_path / "a.dcm", syntax, encode(syntax, bits, 12), signed, 12)
    np.testing.assert_array_equal(read_slice(path).stored[0], signed)
    if syntax == J2K:  # the only codestream that has a sign
        path = compressed(tmp_path / "b.dcm", syntax, encode(syntax, signed, 12), bits, 12)
        np.testing.assert_array_equal(read_slice(path).stored[0], bits)


def test_precision_that_differs(tmp_path):
    wide = picture(5, 16)
    data = encode(J2K, wide, 16)
    # Wider than BitsStored: the container, of which the header names the bits.
    path = compressed(tmp_path / "a.dcm", J2K, data, wide, 12)
    np.testing.assert_array_equal(read_slice(path).stored[0], wide & 0xFFF)
    path = compressed(tmp_path / "a.dcm", J2K, data, wide, 12, HighBit=15)
    np.testing.assert_array_equal(read_slice(path).stored[0], wide >> 4)
    # The same in a lossy syntax, where cutting bits would wrap noise around.
    path = compressed(tmp_path / "a.dcm", STEM + "91", data, wide, 12)
    with pytest.raises(DicomError, match=r"BitsStored \(0028,0101\) is 12.*16 bits"):
        read_slice(path)
    narrow = picture(5, 12)
    data = encode(J2K, narrow, 12)
    path = compressed(tmp_path / "a.dcm", J2K, data, narrow, 16)
    np.testing.assert_array_equal(read_slice(path).stored[0], narrow)
    path = compressed(tmp_path / "a.dcm", J2K, data, narrow, 12, HighBit=15)
    with pytest.raises(DicomError, match=r"HighBit \(0028,0102\) is 15"):
        read_slice(path)
    path = compressed(tmp_path / "a.dcm", J2K, data, narrow.astype("i2"), 16)
    with pytest.raises(DicomError, match=r"PixelRepresentation.*unsigned"):
        read_slice(path)
    half = narrow >> 1  # its highest bit is never set, so the sign cannot matter
    path = compressed(tmp_path / "a.dcm", J2K, encode(J2K, half, 12), half.astype("i2"), 16)
    np.testing.assert_array_equal(read_slice(path).stored[0], half)
    path = compressed(tmp_path / "a.dcm", J2K, data, narrow.astype("u1"), 8)
    with pytest.raises(DicomError, match=r"BitsAllocated \(0028,0100\) is 8"):
        read_slice(path)


@pytest.mark.parametrize("syntax", [J2K, JLS, LOSSLESS, STEM + "201"])
@pytest.mark.parametrize("name", ["Rows", "Columns", "SamplesPerPixel"])
def test_sizes_that_contradict_the_header(tmp_path, syntax, name):
    pixels = picture(6, 16)
    data = encode(syntax, pixels, 16)
    wrong = {"Rows": 41, "Columns": 18, "SamplesPerPixel": 3}[name]
    more = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0} if wrong == 3 else {}
    path = compressed(tmp_path / "a.dcm", syntax, data, pixels, 16, **{name: wrong}, **more)
    with pytest.raises(DicomError, match=rf"{name} \(.*is {wrong}, but the codestream"):
        read_slice(path, channel=0)


@pytest.mark.parametrize("syntax", [J2K, JLS, LOSSLESS, BASELINE, STEM + "51"])
def test_a_syntax_that_lies(tmp_path, syntax):
    pixels = picture(7, 16)
    for true in (J2K, JLS, LOSSLESS):
        if true != syntax:
            path = compressed(tmp_path / "a.dcm", syntax, encode(true, pixels, 16), pixels, 16)
            with pytest.raises(DicomError, match="TransferSyntaxUID"):
                read_slice(path)


@pytest.mark.parametrize(
    ("syntax", "package"),
    [(J2K, "pylibjpeg-openjpeg"), (JLS, "pyjpegls"), (LOSSLESS, "imagecodecs")],
)
def test_a_missing_decoder_is_named(tmp_path, monkeypatch, syntax, package):
    pixels = picture(8, 16)
    path = compressed(tmp_path / "a.dcm", syntax, encode(syntax, pixels, 16), pixels, 16)
    gone = {name: ("no_such_module", *rest) for name, (_, *rest) in codecs.PACKAGES.items()}
    monkeypatch.setattr(codecs, "PACKAGES", gone)
    read_header(path)
    with pytest.raises(DicomError) as caught:
        read_slice(path)
    for part in (syntax, codecs.CODECS[syntax].name, package, 'pip install "fastmm[codecs]"'):
        assert part in str(caught.value)


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
