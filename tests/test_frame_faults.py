"""Frames that lack something, contradict each other or are damaged are named."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_files import PATIENT, PATIENT_ID, image
from enhanced_files import enhanced, group, measures, place, rescale, turned

from fastmm.errors import DicomError, FastmmError, GeometryError
from fastmm.read.dicom.slices import read_header, read_slice


def test_frames_nothing_tells_apart(tmp_path):
    each = [group(place(z)) for z in (0, 1, 0, 1)]
    path, stack = enhanced(tmp_path / "a.dcm", each, [turned(), measures(), rescale(1)])
    found = read_slice(path)
    assert found.header.times is None
    np.testing.assert_array_equal(found.stored, stack[[0, 2, 1, 3]])


def test_spacings_that_differ(tmp_path):
    each = [group(place(z), measures((z + 1, 1))) for z in range(2)]
    header = read_header(enhanced(tmp_path / "a.dcm", each, [turned(), rescale(1)])[0])
    assert np.isnan(header.spacing).all()
    assert "PixelSpacing (0028,0030)" in header.notes[0]


@pytest.mark.parametrize(
    ("each", "what"),
    [
        ([group(place(0)), group()], r"ImagePositionPatient \(0020,0032\) of frame 2 is missing"),
        ([group(place(0), measures()), group(place(1))], r"PixelSpacing .* of frame 2 is missing"),
        ([group(place(0), rescale(2)), group(place(1))], r"RescaleSlope .* of frame 2 is missing"),
        ([group(place(0), turned()), group(place(1))],
         r"ImageOrientationPatient .* of frame 2 is missing"),
        ([group(place(0)), group(place(1), rescale(0))],
         r"RescaleSlope \(0028,1053\) of frame 2 is not a finite non-zero number"),
    ],
)  # fmt: skip
def test_a_frame_that_lacks_something_is_named(tmp_path, each, what):
    path, _ = enhanced(tmp_path / "a.dcm", each)
    with pytest.raises(DicomError, match=what):
        read_header(path)


def test_impossible_geometry_of_a_frame(tmp_path):
    each = [group(place(0), measures()), group(place(1), measures((0, 1)))]
    with pytest.raises(GeometryError, match=r"PixelSpacing .* of frame 2 must be positive"):
        read_header(enhanced(tmp_path / "a.dcm", each)[0])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_groups_than_of_frames(tmp_path, count):
    stack = np.stack([image(i) for i in range(2)])
    each = [group(place(z)) for z in range(count)]
    path, _ = enhanced(tmp_path / "a.dcm", each, [turned()], stack=stack)
    with pytest.raises(DicomError, match=rf"\(5200,9230\) must have one item.* 2 .*got {count}"):
        read_header(path)


def test_units_that_differ_between_frames(tmp_path):
    each = [group(place(0), rescale(1)), group(place(1), rescale(1, kind="US"))]
    with pytest.raises(DicomError, match="differ in their units: HU, stored"):
        read_header(enhanced(tmp_path / "a.dcm", each, [turned(), measures()])[0])


def test_damage_never_leaves_as_another_error(tmp_path):
    each = [group(place(z), rescale(z + 1)) for z in range(2)]
    stack = np.stack([image(i, (2, 2)) for i in range(2)])
    path, _ = enhanced(tmp_path / "a.dcm", each, [turned(), measures()], stack=stack)
    whole = path.read_bytes()
    start = whole.index(b"\x00\x52\x29\x92")
    rng = np.random.default_rng(0)
    faults = 0
    for _ in range(1500):
        data = bytearray(whole)
        for at in rng.integers(start, len(data) - stack.nbytes, rng.integers(1, 4)):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        message = ""
        try:
            assert np.isfinite(read_slice(path).values()).all()
        except FastmmError as error:
            message = str(error)
        faults += bool(message)
        assert not any(secret in message for secret in (PATIENT, PATIENT_ID))
    assert faults > 300
