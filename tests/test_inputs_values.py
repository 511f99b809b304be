"""Treacherous values of DICOM: the right value from every public call, or one clear error.

Each case goes through `read_volume`, `load_images` (raising and skipping, few files and so many
that the compiled lanes read them) and `scan`. Values are compared with arithmetic by hand, with
pydicom, nibabel or SimpleITK; whatever is said holds no patient.
"""

from __future__ import annotations

import struct

import numpy as np
import pydicom
import pytest
from dicom_files import image, write
from input_cases import Cases, every_call
from input_checks import check_case
from input_makers import (
    RGB,
    carried,
    colour,
    edited,
    floats,
    one,
    raw,
    slices,
    stack,
)
from lut_files import NO_RESCALE, lut
from pet_files import pet
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

import fastmm
from fastmm.errors import (
    GeometryError,
)

CASES = Cases()
ok, bad = CASES.ok, CASES.bad


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_call(CASES)
def test_every_call(case, n, tmp_path, good_slice, caplog):
    check_case(case, n, tmp_path, good_slice, caplog)


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
