"""Every bad or treacherous input: the right value from every public call, or one clear error.

One table. Each case goes through `read_volume`, `load_images` (raising and skipping, few
files and so many that the compiled lanes read them) and `scan`. Values are compared with
arithmetic by hand, with pydicom, nibabel or SimpleITK; whatever is said holds no patient.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_files import BIRTH, PATIENT, PATIENT_ID, SERIES, image, write
from harness import run_python
from picture_files import SIGNATURE, chunk, grey_tags, tiff
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from test_directory import _directory
from test_frames import enhanced, group, measures, place, rescale, turned
from test_lookup import NO_RESCALE, lut
from test_nifti import RIGID, nifti
from test_suv import pet

import fastmm
from fastmm.errors import (
    DicomError,
    FastmmError,
    GeometryError,
    LimitError,
    NiftiError,
    PictureError,
)

SECRETS = (PATIENT, "SECRET", PATIENT_ID, "456OTHER", BIRTH)
STEM = "1.2.840.10008.1.2.4."
Make = Callable[[Path, int], Path]


class Case(NamedTuple):
    """One cell of the table.

    `values` is what `read_volume` gives (slices, rows, columns), or the file is wrong with
    `error` and a message that matches. `load` has the same for `load_images` where it
    differs, `problem` what `scan` says of it.
    """

    row: str
    make: Make
    values: Any = None
    error: type[Exception] | None = None
    match: str = ""
    units: str | None = None
    note: str = ""
    valid: Any = None
    spacing: tuple[float, ...] | None = None
    affine: Any = None
    load: Any = "same"
    problem: str = ""
    volume: dict[str, Any] = {}  # noqa: RUF012
    both: dict[str, Any] = {}  # noqa: RUF012


CASES: list[Case] = []


def ok(row: str, make: Make, values: Any, **more: Any) -> None:
    CASES.append(Case(row, make, values, **more))


def bad(row: str, make: Make, match: str, error: type[Exception] = DicomError, **more: Any) -> None:
    CASES.append(Case(row, make, None, error, match, **more))


def one(pixels: Any = None, **tags: Any) -> Make:
    """Make one file; of a tag given as bytes these bytes are written, with its own VR."""
    return lambda d, n: write(d / "a.dcm", pixels, **tags)


def raw(**values: Any) -> Make:
    return lambda d, n: write(d / "a.dcm", raw=values)


def content(data: bytes | Callable[[], bytes], name: str = "a.dcm") -> Make:
    def make(d: Path, n: int) -> Path:
        (d / name).write_bytes(data() if callable(data) else data)
        return d / name

    return make


def edited(make: Make, edit: Callable[[bytes], bytes]) -> Make:
    def made(d: Path, n: int) -> Path:
        path = make(d, n)
        path.write_bytes(edit(path.read_bytes()))
        return path

    return made


def carried(name: str) -> Make:
    def make(d: Path, n: int) -> Path:
        found = get_testdata_file(name, download=False)
        if found is None:
            pytest.skip(f"pydicom does not carry {name}")
        decoder = {"jp2k": "openjpeg", "jpeg_ls": "jpeg_ls"}
        for part, module in decoder.items():
            if part in name:
                pytest.importorskip(module, reason=f"{name} needs the decoder {module}")
        return Path(shutil.copy(found, d / "a.dcm"))

    return make


def told(syntax: str) -> Callable[[bytes], bytes]:
    """Put another transfer syntax into the file meta information, its length right."""

    def edit(data: bytes) -> bytes:
        size = struct.unpack("<I", data[140:144])[0]
        meta, rest = data[144 : 144 + size], data[144 + size :]
        at = meta.index(b"\x02\0\x10\0UI")
        old = struct.unpack("<H", meta[at + 6 : at + 8])[0]
        uid = syntax.encode() + b"\0" * (len(syntax) % 2)
        meta = meta[: at + 6] + struct.pack("<H", len(uid)) + uid + meta[at + 8 + old :]
        return data[:140] + struct.pack("<I", len(meta)) + meta + rest

    return edit


def colour(photometric: str = "RGB", **tags: Any) -> Make:
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    given = {"SamplesPerPixel": 3, "PhotometricInterpretation": photometric, "Modality": "OT",
             "PlanarConfiguration": 0, "PixelData": rgb.tobytes()} | tags  # fmt: skip
    return one(rgb[..., 0], **given)


RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)

# --- DICOM values -----------------------------------------------------------------------

row = "rescale slope"
for text in (
    b"0 |0.0 |-0|1e-400|NaN |nan |inf |-inf|1e400 |text|1,5 |1d0 |0x10|1_0 |1 2 |1\\2 ||  |\xb2\xff"
).split(b"|"):
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        bad(
            f"{row} {text!r}",
            lambda d, n, t=text, s=syntax: write(
                d / "a.dcm", syntax=s, raw={"RescaleSlope": ("DS", t)}
            ),
            r"RescaleSlope \(0028,1053\) is not a finite non-zero number",
            problem="RescaleSlope",
        )
for text, slope in ((b"+1.5", 1.5), (b" 2", 2), (b"2.\0", 2), (b"-.5 ", -0.5), (b"1e-2", 0.01)):
    ok(f"{row} {text!r}", raw(RescaleSlope=("DS", text)), image()[None] * slope, units="HU")
for text in (b"NaN ", b"", b"text", b"1e400 "):
    bad("rescale intercept", raw(RescaleIntercept=("DS", text)),
        r"RescaleIntercept \(0028,1052\) is not a finite number", problem="Intercept")  # fmt: skip
for name in ("RescaleSlope", "RescaleIntercept"):
    bad(f"half a rescale {name}", one(**{name: None}), f"{name}.*missing", problem=name)
SLOPE = b"\x28\0\x53\x10DS\x02\x00"
bad(
    "rescale twice",
    edited(raw(RescaleSlope=("DS", b"1 ")), lambda b: b.replace(SLOPE, SLOPE + b"2 " + SLOPE)),
    r"RescaleSlope \(0028,1053\) stands twice",
)
bad("rescale beyond float32", one(RescaleSlope="1e37"), "exceed float32", problem="float32")

ok("CT without rescale", one(**NO_RESCALE), image()[None], units="stored", note="Hounsfield")
ok("MR without rescale", one(Modality="MR", **NO_RESCALE), image()[None], units="a.u.")

for signed in (False, True):
    low, high = (-2048, 2048) if signed else (0, 4096)
    x_ray = image(3, low=low, high=high).astype(np.int16 if signed else np.uint16)
    given = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1",
             "RescaleSlope": 2, "RescaleIntercept": 5}  # fmt: skip
    top = -1 if signed else 4095
    for modality in ("CR", "DX", "MG", "XA", "RF", "OT"):
        make = one(x_ray, Modality=modality, **given)
        ok(f"MONOCHROME1 {modality} {signed}", make, (top - x_ray[None].astype(int)) * 2 + 5)
        ok(f"MONOCHROME1 {modality} raw {signed}", make, x_ray[None] * 2.0 + 5,
           both={"invert": False})  # fmt: skip
    for modality in ("CT", "MR", "PT", "NM"):
        ok(f"MONOCHROME1 {modality} {signed}", one(x_ray, Modality=modality, **given),
           x_ray[None] * 2.0 + 5, note="MONOCHROME1 is only for display")  # fmt: skip

for signed, high in ((False, 11), (True, 11), (False, 15), (True, 15), (True, 13)):
    half = 0 if not signed else 2048
    true = np.random.default_rng(2).integers(-half, 4096 - half, (7, 9))
    mask = 4095 << (high - 11)
    garbage = np.random.default_rng(3).integers(0, 1 << 16, (7, 9)) & ~mask & 0xFFFF
    container = ((true << (high - 11)) & mask | garbage).astype(np.uint16)
    ok(f"12 bits in 16, high bit {high}, signed {signed}",
       one(container, BitsStored=12, HighBit=high, PixelRepresentation=int(signed)),
       true[None])  # fmt: skip

PADDED = image(low=-900)
PADDED[0] = [-2001, -2000, -1700, -1500, -899]
for vr in ("SS", "US", "OW", "UN"):
    pad = {"PixelPaddingValue": (vr, struct.pack("<h", -2000))}
    filled = PADDED.copy()
    filled[0, 1] = -2001  # the lowest of the valid ones
    ok(f"padding as {vr}", lambda d, n, p=pad: write(d / "a.dcm", PADDED, raw=p), filled[None],
       valid=(PADDED != -2000)[None])  # fmt: skip
for ends in ((-2000, -1500), (-1500, -2000)):
    pad = {
        name: ("SS", struct.pack("<h", end))
        for name, end in zip(("PixelPaddingValue", "PixelPaddingRangeLimit"), ends, strict=True)
    }
    filled = PADDED.copy()
    filled[0, 1:4] = -2001
    ok(f"padding range {ends}", lambda d, n, p=pad: write(d / "a.dcm", PADDED, raw=p),
       filled[None], valid=((PADDED < -2000) | (PADDED > -1500))[None])  # fmt: skip
ok("padding under a negative slope", one(PADDED, PixelPaddingValue=-2000, RescaleSlope=-2),
   np.where(PADDED == -2000, -2.0 * PADDED.max(), -2.0 * PADDED)[None],
   valid=(PADDED != -2000)[None])  # fmt: skip
bad("padding too long", raw(PixelPaddingValue=("SS", bytes(6))), "PixelPaddingValue", problem="one")
bad("nothing but padding", one(np.full((4, 4), -9, np.int16), PixelPaddingValue=-9),
    "every pixel is padding")  # fmt: skip

for kind in ("i2", "u2", "u1", "i1", "u4", "i4"):
    info = np.iinfo(kind)
    pixels = np.random.default_rng(1).integers(info.min, info.max, (3, 5), kind, endpoint=True)
    for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        data = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
        swapped = {"PixelData": data + b"\0" * (len(data) % 2)}
        ok(f"{kind} in {syntax.name}",
           one(pixels, syntax=syntax, **(swapped if syntax == ExplicitVRBigEndian else {})),
           pixels[None])  # fmt: skip


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

NOTHING = {
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "no DICOM file"),
    "text": (b"hello SECRET^NAME\n" * 50, "no DICOM file"),
    "zip": (b"PK\x03\x04" + bytes(500), "zip"),
    "marked": (bytes(128) + b"DICM" + bytes(range(256)), r"a\.dcm"),
}
for what, (data, says) in NOTHING.items():
    bad(f"{what} named .dcm", content(data), says, problem=".")
bad("PNG cut after its mark", content(b"\x89PNG\r\n" + bytes(500)), "no PNG", PictureError,
    problem="no PNG")  # fmt: skip
GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)


def saved(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(GREY).save(out, kind, **options)
    return out.getvalue()


for kind in ("PNG", "TIFF"):
    ok(f"a real {kind} named .dcm", content(saved(kind)), GREY[None], units="stored")
ok("a real JPEG named .dcm", content(saved("JPEG")),
   lambda path: np.asarray(Image.open(path))[None].astype(float))  # fmt: skip

bad("palette", carried("examples_palette.dcm"), "PhotometricInterpretation.*PALETTE COLOR")
bad("one bit", carried("liver_1frame.dcm"), r"BitsAllocated \(0028,0100\) must be 8, 16 or 32")
bad("RGB without a channel", colour(), "choose one with `channel=`", problem="channel=")
for channel in range(3):
    ok(f"RGB, channel {channel}", colour(), RGB[None, ..., channel], both={"channel": channel})
GREYS = np.repeat(RGB[..., :1], 3, -1)
ok("RGB that is grey", colour(PixelData=GREYS.tobytes()), RGB[None, ..., 0])
ok("YBR_FULL", colour("YBR_FULL"),
   lambda path: pydicom.pixels.convert_color_space(RGB, "YBR_FULL", "RGB")[None, ..., 1],
   both={"channel": 1})  # fmt: skip
ok("uint32", one(np.arange(20, dtype=np.uint32).reshape(4, 5) + (1 << 31)),
   np.arange(20.0).reshape(1, 4, 5) + (1 << 31))  # fmt: skip


def floats(values: np.ndarray) -> Make:
    gone = dict.fromkeys(["PixelData", "BitsStored", "HighBit", "PixelRepresentation"])
    given = {"FloatPixelData": ("OF", values.astype("<f4").tobytes())}
    return one(np.zeros(values.shape, np.int32), raw=given, **gone)


FLOATS = np.random.default_rng(0).normal(0, 1e3, (5, 6)).astype(np.float32)
HOLES = FLOATS.copy()
HOLES[1, 1:3] = np.nan, np.inf
ok("float pixels", floats(FLOATS), FLOATS[None])
bad("NaN and infinity", floats(HOLES), "2 (of 30 values|of 30 voxels).*NaN or infinite")
ok("NaN and infinity filled", floats(HOLES), np.where(np.isfinite(HOLES), HOLES, 7)[None],
   both={"nonfinite": 7})  # fmt: skip

TABLE = np.arange(16, dtype=np.uint16) ** 2
SMALL = image(2, low=-3, high=20)
ok("Modality LUT", one(SMALL, **lut((16, 0, 16), TABLE.tobytes()), **NO_RESCALE),
   TABLE[SMALL.clip(0, 15)][None].astype(float), note="Hounsfield")  # fmt: skip
bad("Modality LUT and rescale", one(SMALL, **lut((16, 0, 16), TABLE.tobytes())),
    "exclude each other", problem="exclude")  # fmt: skip

for number in (1, 2):
    width = {"WindowCenter": [40] * number, "WindowWidth": [0] * number}
    ok(f"{number} windows of width 0", one(**width), image()[None], units="HU")

ok("PET in SUV", one(Modality="PT", Units="GML", SUVType="BW", RescaleSlope="0.25"),
   image()[None] * 0.25, units="SUV")  # fmt: skip
ok(
    "PET, a slope for each slice",
    lambda d, n: slices(Modality="PT", Units="BQML", RescaleSlope=lambda z: f"{z + 0.3:.6g}")(d, n),
    lambda p: np.stack([z * (i + 0.3) for i, z in enumerate(stack(p))]),
    units="Bq/ml",
)
bad(
    "zeros where the rest of a download should be",
    edited(one(syntax=ImplicitVRLittleEndian), lambda b: b[:500] + bytes(40 << 20)),
    "damaged or cut|impossible length|missing",
)
ok("PET of lean body mass", one(Modality="PT", Units="GML", SUVType="LBM"), image()[None],
   units="stored")  # fmt: skip
ok("PET in Bq/ml", lambda d, n: pet(d / "a.dcm"), image(low=0)[None] * 2.5, units="Bq/ml")
LEFT = 3.7e8 * 2 ** (-3600 / 6586.2)
ok("PET to SUV", lambda d, n: pet(d / "a.dcm"), image(low=0)[None] * 2.5 * 70e3 / LEFT,
   units="SUV", both={"suv": True})  # fmt: skip
for name in ("PatientWeight", "DecayCorrection", "CorrectedImage"):
    bad(f"PET to SUV without {name}", lambda d, n, m=name: pet(d / "a.dcm", **{m: None}), name,
        both={"suv": True})  # fmt: skip
bad("CT to SUV", one(), "Modality.*must be PT", both={"suv": True})

FIRST_SERIES = len(CASES)

# --- Series and geometry ----------------------------------------------------------------


def slices(places: Callable[[int], Any] | None = None, **tags: Any) -> Make:
    """Make a folder of n slices whose names and InstanceNumbers go against their places."""

    def make(d: Path, n: int) -> Path:
        for z in range(n):
            where = [-10, -20, 30 + 2.5 * z] if places is None else places(z)
            given = {k: v(z) if callable(v) else v for k, v in tags.items()}
            write(d / "s" / f"{n - z:03d}.dcm", image(z), ImagePositionPatient=where,
                  InstanceNumber=(7 * z) % n, **given)  # fmt: skip
        return d / "s"

    return make


def plus(make: Make, add: Callable[[Path], object]) -> Make:
    def made(d: Path, n: int) -> Path:
        folder = make(d, n)
        add(folder)
        return folder

    return made


def stack(path: Path) -> np.ndarray:
    """Return the slices made by `slices` by position, read by pydicom."""
    found = [pydicom.dcmread(p) for p in sorted(path.glob("0*.dcm"), reverse=True)]
    return np.stack([ds.pixel_array for ds in found]).astype(float)


PLAIN = slices()
AFFINE = np.array([[0.75, 0, 0, -10], [0, 0.5, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]])
ok("names and numbers in another order", PLAIN, stack, spacing=(2.5, 0.5, 0.75), affine=AFFINE)
ok("SliceThickness that disagrees", slices(SliceThickness=9), stack, spacing=(2.5, 0.5, 0.75))
ok("jitter of 2e-6 mm", slices(lambda z: [0, 0, f"{z + 2e-6 * (-1) ** z:.9f}"]), stack,
   spacing=(1, 0.5, 0.75))  # fmt: skip
gap = slices(lambda z: [0, 0, 2 * (z + (z >= 2))])
bad("a missing slice", gap, r"4 mm between \d+\.dcm and \d+\.dcm", GeometryError, load=stack,
    problem="gap")  # fmt: skip
ok("a missing slice accepted", gap, stack, spacing=(np.nan, 0.5, 0.75), volume={"gaps": "accept"})
bad("uneven steps", slices(lambda z: [0, 0, z * 1.3 if z > 1 else z]), "uneven", GeometryError,
    load=stack, problem="uneven")  # fmt: skip
ok("a copy of a slice", plus(PLAIN, lambda f: shutil.copy(f / "002.dcm", f / "zz.dcm")),
   stack, note="copies")  # fmt: skip
bad("other pixels at one place",
    plus(PLAIN, lambda f: write(f / "zz.dcm", image(99), ImagePositionPatient=[-10, -20, 35])),
    r"\d+\.dcm and .*zz\.dcm lie at the same place but differ", GeometryError,
    problem="1 of")  # fmt: skip
bad("another slope at one place",
    plus(PLAIN, lambda f: write(f / "zz.dcm", image(0), RescaleSlope=2)),
    "same place", GeometryError)  # fmt: skip
for what, change in {
    "two series": {"SeriesInstanceUID": SERIES + ".2"},
    "a localizer": {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
    "another size": {"pixels": image(shape=(7, 5))},
    "another spacing": {"PixelSpacing": [0.5, 0.8]},
    "another modality": {"Modality": "MR"},
    "another frame of reference": {"FrameOfReferenceUID": "1.2.3"},
}.items():
    added = plus(PLAIN, lambda f, c=change: write(
        f / "zz.dcm", **{"ImagePositionPatient": [-10, -20, 31], **c}))  # fmt: skip
    bad(what, added, r"(?s)2 groups of images.*0: \d+ x.*1: ")
    ok(f"{what}, chosen", added, stack, load=(DicomError, "2 groups"),
       volume={"series": 0})  # fmt: skip
tilted = slices(lambda z: [0, f"{np.tan(np.radians(18.5)) * 3 * z:.8f}", 3 * z])
bad("gantry tilt", tilted, r"18\.5 degrees", GeometryError, load=stack, problem="18.5 degrees")
SHEARED = np.array([[0.75, 0, 0, 0], [0, 0.5, 3 * np.tan(np.radians(18.5)), 0], [0, 0, 3, 0],
                    [0, 0, 0, 1]])  # fmt: skip
ok("gantry tilt, sheared", tilted, stack, affine=SHEARED, spacing=(3, 0.5, 0.75),
   volume={"tilt": "shear"})  # fmt: skip
ok("sagittal", slices(lambda z: [2 * z, 5, 6], ImageOrientationPatient=[0, 1, 0, 0, 0, 1]), stack,
   affine=[[0, 0, 2, 0], [0.75, 0, 0, 5], [0, 0.5, 0, 6], [0, 0, 0, 1]])  # fmt: skip
ok("sagittal, the other way",
   slices(lambda z: [-2 * z, 5, 6], ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), stack,
   affine=[[0, 0, -2, 0], [0.75, 0, 0, 5], [0, -0.5, 0, 6], [0, 0, 0, 1]])  # fmt: skip
C, S = 0.8, 0.6
ok(
    "oblique",
    slices(lambda z: [0, -S * 2 * z, C * 2 * z], ImageOrientationPatient=[1, 0, 0, 0, C, S]),
    stack,
    affine=[[0.75, 0, 0, 0], [0, 0.5 * C, -2 * S, 0], [0, 0.5 * S, 2 * C, 0], [0, 0, 0, 1]],
)
bad("positions all equal", slices(lambda z: [0, 0, 0]), "same place", GeometryError,
    problem="images at each place")  # fmt: skip
bad("a position missing", plus(PLAIN, lambda f: write(f / "zz.dcm", ImagePositionPatient=None)),
    r"zz\.dcm.*ImagePositionPatient \(0020,0032\) is missing", GeometryError,
    problem="not known")  # fmt: skip
bad("orientations missing", slices(ImageOrientationPatient=None), "ImageOrientationPatient",
    GeometryError, problem="orientations")  # fmt: skip
bad("a position out of this world", one(ImagePositionPatient=["0", "0", "1e300"]),
    "ImagePositionPatient", GeometryError, problem="ImagePosition")  # fmt: skip
for value in ([0] * 6, [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0], ["1e200", 0, 0, 0, 1, 0]):
    bad(f"orientation {value}", one(ImageOrientationPatient=value), "ImageOrientationPatient",
        GeometryError, problem="ImageOrientation")  # fmt: skip
for value in ([0, 1], [1, -1], ["1e308", 1]):
    bad(f"spacing {value}", one(PixelSpacing=value), "PixelSpacing", GeometryError,
        problem="PixelSpacing")  # fmt: skip
ok("PixelSpacing absent", slices(PixelSpacing=None), stack, spacing=(2.5, np.nan, np.nan),
   problem="PixelSpacing is not known")  # fmt: skip
bad("an unreadable member", plus(PLAIN, lambda f: (f / "002.dcm").write_bytes(
    (f / "002.dcm").read_bytes()[:-7])), r"002\.dcm.*cut", problem="cut",
    load=(DicomError, r"002\.dcm"))  # fmt: skip
PHASES = plus(
    slices(TemporalPositionIdentifier=1),
    lambda f: [
        write(
            f / f"t{z}.dcm",
            image(50 + z),
            TemporalPositionIdentifier=2,
            ImagePositionPatient=[-10, -20, 30 + 2.5 * z],
        )
        for z in range(len(list(f.iterdir())))
    ],
)
bad("several time points", PHASES, r'hold 2 images each.*time="stack"', GeometryError,
    problem="2 images at each place")  # fmt: skip
ok("one of several time points", PHASES,
   lambda p: np.stack([image(50 + z) for z in range(len(list(p.iterdir())) // 2)]),
   load=(GeometryError, "2 images each"), volume={"time": 1})  # fmt: skip
bad("two patients", plus(PLAIN, lambda f: write(
    f / "zz.dcm", ImagePositionPatient=[-10, -20, 27.5], PatientID="456OTHER")),
    "differ in patients", problem="differ in patients")  # fmt: skip
bad(
    "MONOCHROME1 and 2 in one series",
    plus(
        slices(Modality="CR"),
        lambda f: write(
            f / "zz.dcm",
            ImagePositionPatient=[-10, -20, 27.5],
            Modality="CR",
            PhotometricInterpretation="MONOCHROME1",
        ),
    ),
    "PhotometricInterpretation",
    problem="differ",
)
ok("files that are none beside the slices", plus(PLAIN, lambda f: [
    (f / f"{k}.dcm").write_bytes(data) for k, (data, _) in NOTHING.items() if k != "marked"]),
   lambda p: np.stack([pydicom.dcmread(q).pixel_array for q in sorted(p.glob("0*"))[::-1]]),
   note="no DICOM despite", problem="4 more|3 more|suffix")  # fmt: skip
ok("an empty file named as its neighbours without a suffix", plus(PLAIN, lambda f: [
    *(p.rename(f / f"IM{p.stem}") for p in list(f.iterdir())), (f / "IM999").touch()]),
   lambda p: np.stack([image(z) for z in range(len(list(p.iterdir())) - 1)]),
   note="skipped", problem="suffix")  # fmt: skip
bad("a picture among the slices", plus(PLAIN, lambda f: (f / "zz.dcm").write_bytes(saved("PNG"))),
    r"one series of images and 1 picture")  # fmt: skip


END_OF_SERIES = len(CASES)


def volume_of(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj, float).transpose(2, 1, 0)


VOXELS = np.random.default_rng(5).integers(-500, 500, (5, 4, 3)).astype(np.int16)


def nii(name: str = "a.nii", voxels: np.ndarray = VOXELS, **fields: Any) -> Make:
    pack = gzip.compress if name.endswith("gz") else bytes
    return content(lambda: pack(nifti(voxels, **fields)), name)


def of_nibabel(path: Path) -> np.ndarray:
    return np.diag([-1, -1, 1, 1]) @ nibabel.load(path).affine


for name in ("a.nii", "a.nii.gz"):
    for slope in (0.0, np.nan, 2.5, -1):
        ok(f"NIfTI slope {slope} {name}", nii(name, scl_slope=slope, scl_inter=3), volume_of,
           affine=of_nibabel)  # fmt: skip
    bad(f"NIfTI slope infinite {name}", nii(name, scl_slope=np.inf), "scl_slope", NiftiError)
    bad(f"NIfTI 4-D {name}", nii(name, np.zeros((4, 3, 2, 2), np.int16)), "2 time points.*time=",
        NiftiError, problem="2 time points")  # fmt: skip
    bad(f"NIfTI complex {name}", nii(name, datatype=32, bitpix=64), "complex", NiftiError,
        problem="complex")  # fmt: skip
    for dim in ([0, 5, 4, 3], [3, 0, 4, 3], [3, -5, 4, 3], [9, 5, 4, 3]):
        bad(f"NIfTI {dim} {name}", nii(name, dim=[*dim, 1, 1, 1, 1]), r"dim\[", NiftiError,
            problem="dim")  # fmt: skip
    bad(f"NIfTI of more voxels {name}", nii(name, dim=[3, 500, 400, 300, 1, 1, 1, 1]),
        "is cut: expected", NiftiError)  # fmt: skip
    bad(f"NIfTI beyond the limit {name}", nii(name, dim=[3, 9999, 9999, 99, 1, 1, 1, 1]),
        "MAX_BYTES", LimitError, problem="MAX_BYTES")  # fmt: skip
    bad(f"NIfTI spacing 0 {name}", nii(name, srow_x=[0, 0, 0, 0]), "spacing of 0", GeometryError,
        problem="spacing")  # fmt: skip
    bad(f"NIfTI pixdim 0 {name}", nii(name, sform_code=0, pixdim=[1, 0, 3, 4, 1, 1, 1, 1]),
        r"pixdim\[1\]", GeometryError, problem="pixdim")  # fmt: skip
ok("NIfTI sform and qform differ", nii(qform_code=1, qoffset=[1, 2, 3]), volume_of,
   affine=of_nibabel, note="sform and qform differ", spacing=(4, 3, 2))  # fmt: skip
ok("NIfTI oblique", lambda d, n: (nibabel.Nifti1Image(VOXELS, RIGID).to_filename(d / "a.nii"),
                                  d / "a.nii")[1], volume_of, affine=of_nibabel)  # fmt: skip
SPOILT = VOXELS.astype(np.float32)
SPOILT[0, 0, :2] = np.nan, -np.inf
bad("NIfTI with NaN", nii(voxels=SPOILT), "2 of 60 values are NaN", NiftiError)
ok(
    "NIfTI with NaN filled",
    nii(voxels=SPOILT),
    np.where(np.isfinite(SPOILT), SPOILT, -3).transpose(2, 1, 0),
    both={"nonfinite": -3},
)

# --- the calls --------------------------------------------------------------------------


def listen(call: Callable[[], Any]) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = call()
    return found, [str(w.message) for w in caught]


def expect_error(call: Callable[[], Any], error: type[Exception], match: str, said: list[str]):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(error) as raised:
            call()
    assert type(raised.value) is error or issubclass(type(raised.value), DicomError)
    assert re.search(match, str(raised.value)), str(raised.value)
    said += [str(raised.value), *(str(w.message) for w in caught)]


def check_notes(case: Case, notes: list[str]) -> None:
    assert bool(notes) == bool(case.note), notes
    assert all(re.search(case.note, note) for note in notes), notes


def check_volume(case: Case, path: Path, expected: Any, said: list[str]) -> None:
    call = lambda: fastmm.read_volume(path, **case.both, **case.volume)  # noqa: E731
    if case.error is not None:
        expect_error(call, case.error, case.match, said)
        return
    volume, notes = listen(call)
    said += [*notes, repr(volume)]
    check_notes(case, notes)
    np.testing.assert_array_equal(volume.array, np.asarray(expected, np.float64).astype("f4"))
    if case.units is not None:
        assert volume.units == case.units
    if case.valid is None:
        assert volume.valid is None
    else:
        np.testing.assert_array_equal(volume.valid, case.valid)
    if case.spacing is not None:
        np.testing.assert_allclose(volume.spacing, case.spacing, atol=1e-5)
    if case.affine is not None:
        affine = case.affine(path) if callable(case.affine) else case.affine
        np.testing.assert_allclose(volume.affine, affine, atol=1e-5)


def check_batch(case: Case, path: Path, expected: Any, error: Any, said: list[str], good: Path):
    """Load the path alone, and behind so many good files that compiled code reads them."""
    error, match = error
    for before in (0, 11):
        paths = [*[good] * before, path]
        shape = (6, 5) if error is not None else expected.shape[1:]
        call = lambda p=paths, s=shape, **more: fastmm.load_images(  # noqa: E731
            p, s, device="cpu", **case.both, **more
        )
        with_good = before and case.both.get("suv")  # of which no SUV can be made
        if error is not None and not with_good:
            expect_error(call, error, match, said)
        report: list[Any] = []
        found, notes = listen(lambda c=call, r=report: c(on_error="skip", report=r))
        said += [*notes, *(str(fault) for *_, fault in report)]
        lost = np.isnan(found).all(axis=(1, 2))
        assert lost.sum() == len(report)
        assert not np.isnan(found[~lost]).any()
        if with_good:
            found, lost, report = found[before:], lost[before:], report[before:]
        elif before:
            assert not lost[:before].any()
            found, lost = found[before:], lost[before:]
        if error is not None:
            assert lost.any()
            assert any(type(f) is error and re.search(match, str(f)) for *_, f in report)
            continue
        assert not lost.any()
        if not before:
            check_notes(case, notes)
        close = {"rtol": 0, "atol": 2e-6 * np.abs(expected).max()}
        np.testing.assert_allclose(found, expected, **close)
        if not with_good:
            np.testing.assert_array_equal(listen(call)[0][before:], found)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write(tmp_path_factory.mktemp("good") / "good.dcm")


RUNS = [(case, 4) for case in CASES]
# Of so many slices the compiled scanner reads the headers.
RUNS += [(case, 12) for case in CASES[FIRST_SERIES:END_OF_SERIES]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("case", "n"), RUNS, ids=lambda of: getattr(of, "row", of))
def test_every_call(case, n, tmp_path, good, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the writers, about what is wrong on purpose
        path = case.make(tmp_path, n)
    said: list[str] = []
    expected = case.values(path) if callable(case.values) else case.values
    check_volume(case, path, expected, said)
    error = (case.error, case.match)
    if isinstance(case.load, tuple):
        error = case.load
    elif callable(case.load):
        expected, error = case.load(path), (None, "")
    check_batch(case, path, expected, error, said, good)
    infos, notes = listen(lambda: fastmm.scan(path))
    problems = [problem for info in infos for problem in info.problems]
    assert not notes
    assert re.search(case.problem, "\n".join(problems)), problems
    said += [*problems, repr(infos), caplog.text]
    for text in said:
        assert not any(secret in text for secret in SECRETS), text


# --- what is no single cell -------------------------------------------------------------


def refuses(path: Path, error: type[Exception], match: str, shape: tuple[int, int] = (4, 4)):
    """Insist on the error from every call that reads pixels."""
    said: list[str] = []
    expect_error(lambda: fastmm.read_volume(path), error, match, said)
    for paths in ([path], [path] * 9):
        expect_error(lambda p=paths: fastmm.load_images(p, shape, device="cpu"), error, match, said)
    assert not any(secret in text for text in said for secret in SECRETS)


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


def test_padding_stays_out_of_statistics(tmp_path):
    path = write(tmp_path / "a.dcm", PADDED, PixelPaddingValue=-2000)
    inside = PADDED[PADDED != -2000].astype(float)
    expected = (PADDED - inside.mean()) / inside.std()
    for paths in ([path], [path] * 9):
        found = fastmm.load_images(paths, (6, 5), normalize="zscore", device="cpu")
        where = PADDED != -2000
        np.testing.assert_allclose(found[-1][where], expected[where], atol=1e-5)


def test_a_window_narrower_than_1_is_refused(tmp_path):
    with pytest.raises(ValueError, match="width"):
        fastmm.load_images(write(tmp_path / "a.dcm"), (4, 4), window=(40, 0.5))
    with pytest.raises(ValueError, match="width"):
        fastmm.window(np.zeros((4, 4), np.float32), 40, 0)


def test_unknown_spacing_is_an_error_where_mm_are_needed(tmp_path):
    volume = fastmm.read_volume(write(tmp_path / "a.dcm", PixelSpacing=None))
    assert np.isnan(volume.spacing[1:]).all()
    with pytest.raises(GeometryError, match="spacing"):
        volume.physical_spacing()


def test_time_points_are_stacked_on_request(tmp_path):
    volume = fastmm.read_volume(PHASES(tmp_path, 4), time="stack")
    expected = [[image(z) for z in range(4)], [image(50 + z) for z in range(4)]]
    np.testing.assert_array_equal(volume.array, expected)


def test_geometry_is_that_of_simpleitk(tmp_path):
    itk = pytest.importorskip("SimpleITK", reason="the oracle SimpleITK is not installed")
    orientation = [1, 0, 0, 0, C, S]
    folder = slices(lambda z: [0, -S * 2 * z, C * 2 * z], ImageOrientationPatient=orientation,
                    SOPInstanceUID=lambda z: f"{SERIES}.5.{z}")(tmp_path, 5)  # fmt: skip
    reader = itk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    expected = reader.Execute()
    volume = fastmm.read_volume(folder)
    np.testing.assert_array_equal(volume.array, itk.GetArrayFromImage(expected))
    direction = np.array(expected.GetDirection()).reshape(3, 3) * np.array(expected.GetSpacing())
    np.testing.assert_allclose(volume.affine[:3, :3], direction, atol=1e-6)


@pytest.mark.parametrize(
    "file_id",
    [["..", "b.dcm"], "../b.dcm", "/etc/passwd", ["A", "..", "..", "b.dcm"], "C:\\b", "."],
)
def test_a_directory_leads_nowhere_else(tmp_path, file_id):
    write(tmp_path / "b.dcm")
    disc = tmp_path / "disc"
    (disc / "A").mkdir(parents=True)
    path = _directory(disc / "DICOMDIR", [file_id])
    said: list[str] = []
    expect_error(lambda: fastmm.read_volume(path), DicomError, "below its folder|missing", said)
    assert not any(secret in text for text in said for secret in SECRETS)


def test_a_directory_is_read(tmp_path):
    folder = PLAIN(tmp_path, 4)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"I{number}")
    path = _directory(tmp_path / "DICOMDIR", [["S", f"I{z}"] for z in range(4)])
    volume = fastmm.read_volume(path)
    np.testing.assert_array_equal(volume.array, [image(z) for z in range(4)])
    link = folder / "I9"
    link.symlink_to("/etc/hostname")
    with pytest.raises(DicomError, match="link that leads out of its folder"):
        fastmm.read_volume(_directory(tmp_path / "DICOMDIR", [["S", "I9"]]))


def test_paths_that_lead_to_no_file(tmp_path):
    loop = tmp_path / "loop.dcm"
    loop.symlink_to(loop)
    below, long = write(tmp_path / "a.dcm") / "b.dcm", tmp_path / ("x" * 300)
    for path in (loop, below, long):
        refuses(path, FastmmError, "cannot be read")
        with pytest.raises(FastmmError, match="cannot be read"):
            fastmm.scan(path)
        report: list[Any] = []
        found = fastmm.load_images(path, (2, 2), device="cpu", on_error="skip", report=report)
        assert np.isnan(found).all()
        assert len(report) == 1
    for call in (fastmm.read_volume, fastmm.scan):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "none.dcm")
    circle = tmp_path / "circle"
    circle.mkdir()
    (circle / "again").symlink_to(circle, target_is_directory=True)
    write(circle / "a.dcm")
    assert fastmm.read_volume(circle).array.shape == (1, 6, 5)
    assert [info.n_files for info in fastmm.scan(circle)] == [1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_never_opened(tmp_path):
    folder = PLAIN(tmp_path, 4)
    os.mkfifo(folder / "pipe.dcm")
    # Opening it would wait for a writer for ever; run_python ends that with an error.
    code = f"""
        import warnings
        import fastmm
        from fastmm.errors import FastmmError
        folder = {str(folder)!r}
        pipe = folder + "/pipe.dcm"
        warnings.simplefilter("ignore")
        assert len(fastmm.read_volume(folder).array) == 4
        assert len(fastmm.load_images(folder, (4, 4), device="cpu")) == 4
        assert [info.n_files for info in fastmm.scan(folder)] == [4, 1]
        assert [info.kind for info in fastmm.scan(pipe)] == ["unreadable"]
        for call in (fastmm.read_volume, lambda p: fastmm.load_images([p], (4, 4)),
                     lambda p: fastmm.load_images([p] * 9, (4, 4))):
            try:
                call(pipe)
            except FastmmError as error:
                assert "not a regular file" in str(error)
            else:
                raise AssertionError("a pipe was read")
    """
    run_python(code, timeout=60)


def bombs(folder: Path) -> list[Path]:
    """Write small files that promise, or unpack to, far more than fits."""
    huge = b"\x09\x00\x01\x00OB\0\0" + struct.pack("<I", 1 << 30) + bytes(200 << 20)
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = deflater.compress(huge) + deflater.flush()
    plain = write(folder / "deflated.dcm", syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    start = 144 + struct.unpack("<I", plain[140:144])[0]
    (folder / "deflated.dcm").write_bytes(plain[:start] + packed)
    write(folder / "rows.dcm", Rows=65535, Columns=65535)
    write(folder / "frames.dcm", NumberOfFrames=2_000_000_000)
    write(folder / "many.dcm", image(shape=(1, 1)), NumberOfFrames=9_000_000)
    cut = (folder / "many.dcm").read_bytes()
    cut = told(RLELossless)(cut).replace(b"OW\0\0\x02\0\0\0", b"OW\0\0\xff\xff\xff\xff")
    (folder / "many.dcm").write_bytes(cut)
    jp2 = bytearray(Path(get_testdata_file("MR_small_jp2klossless.dcm")).read_bytes())
    siz = jp2.rindex(b"\xff\x4f\xff\x51") + 8
    jp2[siz : siz + 8] = struct.pack(">II", 65535, 65535)
    rows = jp2.index(b"\x28\0\x10\0US\x02\0") + 8
    columns = jp2.index(b"\x28\0\x11\0US\x02\0") + 8
    (folder / "contradicting.dcm").write_bytes(jp2)
    for size in (30000, 65535):
        jp2[siz : siz + 8] = struct.pack(">II", size, size)
        jp2[rows : rows + 2] = jp2[columns : columns + 2] = struct.pack("<H", size)
        (folder / f"stream{size}.dcm").write_bytes(jp2)
    (folder / "a.nii.gz").write_bytes(gzip.compress(nifti(VOXELS) + bytes(400 << 20), 1))
    dim = [3, 9999, 9999, 99, 1, 1, 1, 1]
    (folder / "b.nii.gz").write_bytes(gzip.compress(nifti(VOXELS, dim=dim)))
    dim = [3, 1, 1, 32767, 1, 1, 1, 1]
    (folder / "c.nii.gz").write_bytes(gzip.compress(nifti(VOXELS, dim=dim)))
    second = nibabel.Nifti2Header()
    second.set_data_dtype("u1")
    block = bytearray(second.binaryblock + bytes(4))
    struct.pack_into("<8q", block, 16, 3, 1, 1, 10**9, 1, 1, 1, 1)
    struct.pack_into("<q", block, 168, 544)
    (folder / "d.nii.gz").write_bytes(gzip.compress(bytes(block)))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 65535, 65535, 8, 0, 0, 0, 0))
    data = zlib.compress(bytes(300 << 20), 9)
    (folder / "a.png").write_bytes(SIGNATURE + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    (folder / "b.png").write_bytes(SIGNATURE + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    packed = zlib.compress(bytes(300 << 20), 9)
    (folder / "a.tif").write_bytes(tiff([(grey_tags(65535, 65535, t259=(3, 8)), [packed])]))
    return sorted(folder.iterdir())


def test_bombs_cost_nothing(tmp_path):
    paths = [str(path) for path in bombs(tmp_path)]
    # The peak of a fresh process, over what the libraries take.
    code = f"""
        import resource
        import numpy as np
        import fastmm
        from fastmm.errors import FastmmError
        paths = {paths!r}
        good = {str(write(tmp_path / "good" / "a.dcm"))!r}
        fastmm.load_images([good] * 9, (4, 4), device="cpu")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in paths:
            for call in (fastmm.read_volume, lambda p: fastmm.load_images(p, (4, 4), device="cpu"),
                         lambda p: fastmm.load_images([p] + [good] * 9, (4, 4), device="cpu")):
                try:
                    call(path)
                except FastmmError as error:
                    print(type(error).__name__, path, error)
                else:
                    raise AssertionError(path)
            fastmm.scan(path)
            found = fastmm.load_images([good, path], (4, 4), device="cpu", on_error="skip")
            assert np.isfinite(found[0]).all() and np.isnan(found[1:]).all()
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert used < 200_000, (path, used)
    """
    said = run_python(code)
    for name in ("rows.dcm", "frames.dcm", "deflated.dcm", "stream65535.dcm", "stream30000.dcm",
                 "b.nii.gz", "d.nii.gz", "a.png", "a.tif"):  # fmt: skip
        assert f"LimitError {tmp_path / name}" in said
    assert not any(secret in said for secret in SECRETS)


def test_pages_that_share_their_tags_are_not_endless(tmp_path):
    pages = [(grey_tags(2, 2, t270=(2, [65] * 5)), [bytes(4)]) for _ in range(300)]
    data = tiff(pages)
    assert data.count(struct.pack("<HHI", 270, 2, 5)) == 300
    data = data.replace(struct.pack("<HHI", 270, 2, 5), struct.pack("<HHI", 270, 2, 200_000))
    path = tmp_path / "a.tif"
    path.write_bytes(data + bytes(300_000))
    refuses(path, PictureError, "breaks the rules")
