"""Broken data of DICOM: streams, buffers, headers and syntaxes that lie, for every public call."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BIRTH, image, write
from enhanced_files import enhanced, group, measures, place, rescale, turned
from input_cases import Cases, Make, every_call
from input_checks import check_case, refuses
from input_makers import (
    GREY,
    NOTHING,
    STEM,
    carried,
    content,
    edited,
    one,
    raw,
    saved,
    told,
)
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

import fastmm
from fastmm.errors import (
    DicomError,
    LimitError,
    PictureError,
)

CASES = Cases()
ok, bad = CASES.ok, CASES.bad


def rle(d: Path, n: int) -> Path:
    path = write(d / "a.dcm", image(4, (5, 7)))
    ds = pydicom.dcmread(path)
    ds.compress(RLELossless)
    ds.save_as(path)
    return path


ok("RLE", rle, image(4, (5, 7))[None], units="HU")
for name, twin in (("MR_small_RLE.dcm", "MR_small.dcm"), ("MR_small_bigendian.dcm", "MR_small.dcm"),
                   ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
                   ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm")):  # fmt: skip
    ok(name, carried(name), lambda path, t=twin: pydicom.dcmread(
        get_testdata_file(t, download=False)).pixel_array[None])  # fmt: skip


def broken_stream(name: str, edit: Callable[[bytearray, int], bytearray]) -> Make:
    """Damage the codestream of a file that pydicom carries, its header left as it is."""

    def change(data: bytes) -> bytes:
        return bytes(edit(bytearray(data), data.rindex(b"\xe0\x7f\x10\0") + 12))

    return edited(carried(name), change)


def flip(data: bytearray, start: int) -> bytearray:
    for at in range(start + 120, len(data) - 40, 37):
        data[at] ^= 0x5A
    return data


for name in ("MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm"):
    bad(f"corrupt {name}", broken_stream(name, flip), "damaged", problem="")
for name in ("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm"):
    bad(f"cut {name}", broken_stream(name, lambda b, s: b[: (s + len(b)) // 2]), "damaged|cut")


def slopes(d: Path, n: int) -> Path:
    each = [group(place(z), rescale(s, -3)) for z, s in ((9, 2), (1, 0.5), (5, 3))]
    return enhanced(d / "a.dcm", each, [turned(), measures()])[0]


STACK = np.stack([image(i) for i in range(3)]).astype(float)
ok("enhanced, a slope and a place for each frame", slopes,
   np.stack([STACK[1] * 0.5, STACK[2] * 3, STACK[0] * 2]) - 3,
   spacing=(4, 0.5, 0.75), units="HU")  # fmt: skip
ok("enhanced, a slope for all",
   lambda d, n: enhanced(d / "a.dcm", [group(place(z)) for z in (9, 1, 5)],
                         [turned(), measures(), rescale(2, 7)])[0],
   STACK[[1, 2, 0]] * 2 + 7, spacing=(4, 0.5, 0.75))  # fmt: skip
bad("enhanced, a slope of 0 in one frame",
    lambda d, n: enhanced(d / "a.dcm", [group(place(z), rescale(z)) for z in (1, 0)],
                          [turned(), measures()])[0],
    r"RescaleSlope \(0028,1053\) of frame 2 is not", problem="RescaleSlope")  # fmt: skip

BUFFER = image().tobytes()
ok("buffer a little longer", one(PixelData=BUFFER + bytes(10)), image()[None], note="10 bytes")
for count in (None, 1):
    more = {} if count is None else {"NumberOfFrames": count}
    bad(f"two frames in the buffer, NumberOfFrames {count}", one(PixelData=BUFFER * 2, **more),
        r"holds more frames.*expected 60 bytes, got 120", problem="more frames")  # fmt: skip
bad(
    "RLE of two frames, NumberOfFrames 1",
    edited(
        carried("rtdose_rle.dcm"),
        lambda b: b.replace(b"\x28\0\x08\0IS\x02\x0015", b"\x28\0\x08\0IS\x02\x001 "),
    ),
    "segment|expected 1 frames",
)
for what, short in (("empty", b""), ("short", BUFFER[:-2])):
    bad(f"buffer {what}", one(PixelData=short), f"expected 60 bytes, got {len(short)}",
        problem="expected 60")  # fmt: skip
for what, at in (("meta", 200), ("header", 600), ("pixels", -4)):
    bad(f"cut in the {what}", edited(one(), lambda b, a=at: b[:a]), "missing|cut|damaged",
        problem="missing|cut|damaged")  # fmt: skip
bad("cut, deflated", edited(one(syntax=DeflatedExplicitVRLittleEndian), lambda b: b[:-40]),
    "missing|cut|damaged")  # fmt: skip

for tags in ({"Rows": 65535, "Columns": 65535}, {"NumberOfFrames": 2_000_000_000},
             {"NumberOfFrames": 100_000_000, "Rows": 1, "Columns": 1}):  # fmt: skip
    for syntax in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        bad(f"{tags} {syntax.name}", one(syntax=syntax, **tags), "MAX_BYTES", LimitError,
            problem="MAX_BYTES")  # fmt: skip
bad("as many frames as no fragment can hold", edited(
    lambda d, n: write(d / "a.dcm", image(shape=(1, 1)), NumberOfFrames=9_000_000),
    lambda b: told(RLELossless)(b).replace(b"OW\0\0\x02\0\0\0", b"OW\0\0\xff\xff\xff\xff")),
    r"cannot hold the 9e\+06 frames", problem="cannot hold")  # fmt: skip

for name, value in (
    ("Rows", 0),
    ("Columns", 0),
    ("BitsAllocated", 12),
    ("HighBit", 200),
    ("BitsStored", 17),
    ("PixelRepresentation", 2),
    ("NumberOfFrames", 0),
):
    bad(f"{name} {value}", one(**{name: value}), rf"{name} \([0-9A-F,]+\) must", problem=name)
for name in ("Rows", "PixelRepresentation", "PhotometricInterpretation", "BitsAllocated"):
    bad(f"{name} missing", one(**{name: None}), rf"{name} \([0-9A-F,]+\) is missing", problem=name)

for name, vr in (("PixelSpacing", "DS"), ("ImagePositionPatient", "DS"), ("Rows", "US"),
                 ("PixelPaddingValue", "US"), ("PhotometricInterpretation", "CS")):  # fmt: skip
    bad(f"a date in {name}", raw(**{name: (vr, BIRTH.encode())}), name, problem=name)
bad("a date in NumberOfFrames", raw(NumberOfFrames=("IS", BIRTH.encode())), "MAX_BYTES",
    LimitError, problem="MAX_BYTES")  # fmt: skip

LIES = [
    (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
    (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
    (ExplicitVRBigEndian, ExplicitVRLittleEndian),
    (ExplicitVRLittleEndian, ExplicitVRBigEndian),
    (ImplicitVRLittleEndian, ExplicitVRBigEndian),
    (ExplicitVRBigEndian, ImplicitVRLittleEndian),
    (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian),
    (DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian),
    (ExplicitVRLittleEndian, RLELossless),
    (ExplicitVRLittleEndian, STEM + "90"),
]
for true, lie in LIES:
    bad(f"{true} told as {lie}", edited(one(syntax=true), told(lie)), r"a\.dcm")
for name, lie in (("MR_small_RLE.dcm", ExplicitVRLittleEndian), ("MR_small_RLE.dcm", STEM + "90"),
                  ("MR_small_jp2klossless.dcm", RLELossless),
                  ("MR_small_jp2klossless.dcm", STEM + "80"),
                  ("MR_small_jpeg_ls_lossless.dcm", STEM + "70")):  # fmt: skip
    bad(f"{name} told as {lie}", edited(carried(name), told(lie)), r"a\.dcm")
for uid in ("1.2.3.4", "1.2.840.113619.5.2", STEM + "999", "SECRET^NAME"):
    bad(f"unknown syntax {len(uid)}", edited(one(), told(uid)), "ransfer", problem="ransfer")


for what, (data, says) in NOTHING.items():
    bad(f"{what} named .dcm", content(data), says, problem=".")
bad("PNG cut after its mark", content(b"\x89PNG\r\n" + bytes(500)), "no PNG", PictureError,
    problem="no PNG")  # fmt: skip


for kind in ("PNG", "TIFF"):
    ok(f"a real {kind} named .dcm", content(saved(kind)), GREY[None], units="stored")
ok("a real JPEG named .dcm", content(saved("JPEG")),
   lambda path: np.asarray(Image.open(path))[None].astype(float))  # fmt: skip


bad(
    "zeros where the rest of a download should be",
    edited(one(syntax=ImplicitVRLittleEndian), lambda b: b[:500] + bytes(40 << 20)),
    "damaged or cut|impossible length|missing",
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_call(CASES)
def test_every_call(case, n, tmp_path, good_slice, caplog):
    check_case(case, n, tmp_path, good_slice, caplog)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("MR_small_jp2klossless.dcm", "pylibjpeg-openjpeg"),
        ("MR_small_jpeg_ls_lossless.dcm", "pyjpegls"),
        ("SC_rgb_jpeg_gdcm.dcm", "imagecodecs"),
        ("HTJ2K", "pylibjpeg-openjpeg"),
    ],
)
def test_a_missing_decoder_is_named_by_every_call(tmp_path, monkeypatch, name, package):
    from fastmm.read.codecs import choosing
    from fastmm.read.dicom import syntaxes

    gone = {key: ("no_such_module", *rest) for key, (_, *rest) in choosing.PACKAGES.items()}
    monkeypatch.setattr(choosing, "PACKAGES", gone)
    monkeypatch.setattr(syntaxes, "PACKAGES", gone)
    high_throughput = edited(carried("MR_small_jp2klossless.dcm"), told(STEM + "201"))
    path = (high_throughput if name == "HTJ2K" else carried(name))(tmp_path, 1)
    syntax = str(pydicom.dcmread(path).file_meta.TransferSyntaxUID)
    refuses(
        path, DicomError, rf"{re.escape(syntax)} .* needs the package {package}.*fastmm\[codecs\]"
    )
    [info] = fastmm.scan(path)
    assert any(f"pip install {package}" in problem for problem in info.problems)
