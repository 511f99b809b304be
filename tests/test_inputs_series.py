"""Series and their geometry: right from every public call, or one clear error."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest
from dicom_files import SERIES, image, write
from input_cases import Cases, every_call
from input_checks import check_case
from input_makers import (
    NOTHING,
    PLAIN,
    one,
    plus,
    saved,
    slices,
    stack,
)

import fastmm
from fastmm.errors import (
    DicomError,
    GeometryError,
)

CASES = Cases()
ok, bad = CASES.ok, CASES.bad


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_call(CASES, 4, 12)  # of 12 slices the compiled scanner reads the headers
def test_every_call(case, n, tmp_path, good_slice, caplog):
    check_case(case, n, tmp_path, good_slice, caplog)


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
