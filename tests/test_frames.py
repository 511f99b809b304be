"""Enhanced multi-frame objects: each frame its own slope and place, in the right order."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from dicom_files import image, write
from enhanced_files import AXIAL, content, enhanced, group, macro, measures, place, rescale, turned
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from fastmm.read.dicom.frame_order import order_frames
from fastmm.read.dicom.slices import read_header, read_slice


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_frames_have_their_own_slope_and_go_by_place(tmp_path, syntax):
    where = [30, 10, 20, 0]
    each = [group(place(z), rescale(z + 1, -z)) for z in where]
    path, stack = enhanced(
        tmp_path / "a.dcm", each, [turned(), measures(SliceThickness=3)], syntax=syntax
    )
    found = read_slice(path)
    header = found.header
    assert (header.units, header.spacing, header.thickness) == ("HU", (0.5, 0.75), 3)
    assert header.orientation == tuple(AXIAL)
    assert header.times is None
    np.testing.assert_array_equal(header.positions, [[-10, -20, z] for z in sorted(where)])
    order = np.argsort(where)
    expected = [stack[i] * (where[i] + 1.0) - where[i] for i in order]
    np.testing.assert_array_equal(found.values(), np.array(expected, np.float32))


def test_order_is_along_the_normal_of_oblique_frames(tmp_path):
    c, s = np.cos(0.3), np.sin(0.3)
    orientation = [c, s, 0, 0, 0, -1]  # its normal points to (-s, c, 0)
    normal = np.cross(orientation[:3], orientation[3:])
    where = [2, 0, 3, 1]
    each = [
        group(macro("PlanePositionSequence",
                    ImagePositionPatient=[f"{v:.9f}" for v in 5 + 2.5 * k * normal]))
        for k in where
    ]  # fmt: skip
    text = [f"{v:.12f}" for v in orientation]
    path, stack = enhanced(tmp_path / "a.dcm", each, [turned(text), measures(), rescale(1)])
    found = read_slice(path)
    np.testing.assert_array_equal(found.stored, stack[np.argsort(where)])
    np.testing.assert_allclose(found.header.positions[2], 5 + 5 * normal, atol=1e-8)


def test_frames_in_order_are_not_copied(tmp_path):
    path, _ = enhanced(tmp_path / "a.dcm", [group(place(z)) for z in range(3)],
                       [turned(), measures(), rescale(1)])  # fmt: skip
    assert read_header(path).order is None


def test_what_a_frame_says_wins_over_what_all_share(tmp_path):
    each = [group(place(0), rescale(5)), group(place(1))]
    path, stack = enhanced(tmp_path / "a.dcm", each, [turned(), measures(), rescale(2, 1)])
    np.testing.assert_array_equal(read_slice(path).values(), [stack[0] * 5.0, stack[1] * 2.0 + 1])


def test_tags_of_the_whole_file_stand_in(tmp_path):
    path, stack = enhanced(
        tmp_path / "a.dcm", [group(place(z)) for z in (1, 0)], RescaleSlope=3, RescaleIntercept=-7,
        PixelSpacing=[2, 4], ImageOrientationPatient=AXIAL,
    )  # fmt: skip
    found = read_slice(path)
    assert found.header.spacing == (2, 4)
    np.testing.assert_array_equal(found.values(), stack[::-1] * 3.0 - 7)


def test_padding_follows_its_frame(tmp_path):
    stack = np.stack([image(i) for i in range(3)])
    stack[2, 0] = -2000
    path, _ = enhanced(tmp_path / "a.dcm", [group(place(-z)) for z in range(3)],
                       [turned(), measures(), rescale(1)], stack=stack,
                       PixelPaddingValue=-2000)  # fmt: skip
    np.testing.assert_array_equal(read_slice(path).valid, stack[::-1] != -2000)


def test_time_points_by_temporal_index(tmp_path):
    cells = [(2, 10), (1, 0), (1, 10), (2, 0), (1, 5), (2, 5)]
    each = [group(place(z), content(TemporalPositionIndex=t)) for t, z in cells]
    path, stack = enhanced(tmp_path / "a.dcm", each, [turned(), measures(), rescale(1)])
    found = read_slice(path)
    assert found.header.times.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.header.positions[:, 2].tolist() == [0, 5, 10, 0, 5, 10]
    order = sorted(range(6), key=lambda i: cells[i])
    np.testing.assert_array_equal(found.stored, stack[order])


def test_echoes_by_dimension_indices(tmp_path):
    # Stack, place, echo; and the temporal index is the same for all.
    cells = [(1, z, e) for e in (2, 1) for z in (1, 2, 3)]
    each = [
        group(place(10 - z), content(TemporalPositionIndex=1, DimensionIndexValues=[1, z, e]))
        for _, z, e in cells
    ]
    path, stack = enhanced(tmp_path / "a.dcm", each, [turned(), measures(), rescale(1)])
    found = read_slice(path)
    assert found.header.times.tolist() == [0, 0, 0, 1, 1, 1]
    order = sorted(range(6), key=lambda i: (cells[i][2], -cells[i][1]))
    np.testing.assert_array_equal(found.stored, stack[order])


def test_time_points_that_are_incomplete():
    positions = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0]], float)
    order, times = order_frames(positions, AXIAL, [1, 1, 2], [None] * 3)
    assert order.tolist() == [0, 2, 1]
    assert times is None


def test_planes_of_several_orientations_stay_as_stored(tmp_path):
    each = [group(place(3), turned()), group(place(1), turned([0, 1, 0, 0, 0, -1]))]
    path, stack = enhanced(tmp_path / "a.dcm", each, [measures(), rescale(1)])
    found = read_slice(path)
    assert found.header.orientation is None
    assert found.header.order is None
    assert "ImageOrientationPatient (0020,0037)" in found.header.notes[0]
    np.testing.assert_array_equal(found.stored, stack)


def test_classic_frames_have_no_known_places(tmp_path):
    stack = np.stack([image(i) for i in range(3)])
    header = read_header(write(tmp_path / "a.dcm", stack, NumberOfFrames=3, Modality="NM"))
    assert header.positions is None


@pytest.mark.parametrize("first", [0, 30])
def test_frames_of_a_dose_grid(tmp_path, first):
    stack = np.stack([image(i) for i in range(3)])
    path = write(tmp_path / "a.dcm", stack, NumberOfFrames=3, Modality="RTDOSE",
                 GridFrameOffsetVector=[first, first + 2.5, first + 5])  # fmt: skip
    expected = [[-10, -20, 30 + 2.5 * i] for i in range(3)]
    np.testing.assert_allclose(read_header(path).positions, expected)


def test_a_real_dose_grid_lies_where_simpleitk_says():
    sitk = pytest.importorskip("SimpleITK")
    path = get_testdata_file("rtdose.dcm", download=False)
    volume, places = sitk.ReadImage(path), read_header(path).positions
    expected = [volume.TransformIndexToPhysicalPoint((0, 0, z)) for z in range(len(places))]
    np.testing.assert_allclose(places, expected)


def _slow(path) -> dict[str, np.ndarray]:
    """Read with pydicom alone, frame by frame."""
    ds = pydicom.dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    rows = []
    for number, own in enumerate(ds.PerFrameFunctionalGroupsSequence):
        find = lambda name: (own if name in own else shared)[name][0]  # noqa: B023, E731
        rescale = find("PixelValueTransformationSequence")
        index = tuple(own.FrameContentSequence[0].DimensionIndexValues)
        rows.append(
            (
                np.array(find("PlanePositionSequence").ImagePositionPatient, float),
                np.array(find("PlaneOrientationSequence").ImageOrientationPatient, float),
                ds.pixel_array[number] * float(rescale.RescaleSlope)
                + float(rescale.RescaleIntercept),
                index[2:],
                np.array(find("PixelMeasuresSequence").PixelSpacing, float),
            )
        )
    normal = np.cross(rows[0][1][:3], rows[0][1][3:])
    rows.sort(key=lambda row: (row[3], round(float(row[0] @ normal), 3)))
    return {
        "positions": np.array([row[0] for row in rows]),
        "values": np.array([row[2] for row in rows]),
        "times": [row[3] for row in rows],
        "spacing": rows[0][4],
    }


@pytest.mark.parametrize(
    ("pattern", "units", "times"), [("Philips/*.dcm", "a.u.", 2), ("Siemens/XA10/*.dcm", "a.u.", 1)]
)
def test_real_enhanced_mr(real_data, pattern, units, times):
    paths = sorted(real_data.glob(f"dicom_enhanced/In/{pattern}"))
    assert paths
    for path in paths:
        expected, found = _slow(path), read_slice(path)
        assert found.header.units == units
        np.testing.assert_allclose(found.header.positions, expected["positions"])
        np.testing.assert_allclose(found.header.spacing, expected["spacing"])
        np.testing.assert_allclose(found.values(), expected["values"], rtol=1e-6)
        assert len(set(expected["times"])) == times
        if times == 1:
            assert found.header.times is None
        else:
            ranks = {key: i for i, key in enumerate(sorted(set(expected["times"])))}
            assert found.header.times.tolist() == [ranks[key] for key in expected["times"]]


def test_enhanced_ct_is_that_of_simpleitk():
    sitk = pytest.importorskip("SimpleITK")
    path = get_testdata_file("eCT_Supplemental.dcm", download=False)
    if path is None:
        pytest.skip("pydicom-data, which carries eCT_Supplemental.dcm, is not installed")
    found, expected = read_slice(path), _slow(path)
    assert found.header.units == "stored"  # a map of blood flow
    assert "RescaleType" in found.header.notes[0]
    np.testing.assert_array_equal(found.values(), expected["values"])
    volume = sitk.ReadImage(path)
    image, places = sitk.GetArrayFromImage(volume), found.header.positions
    # Which of the two directions along the normal comes first is for each reader to say.
    same = np.array_equal(found.values()[0], image[0])
    np.testing.assert_allclose(found.values(), image if same else image[::-1])
    assert abs(places[1, 2] - places[0, 2]) == pytest.approx(volume.GetSpacing()[2])


def test_a_parametric_map_of_floats(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    each = [group(place(-z)) for z in range(3)]
    gone = dict.fromkeys(["PixelData", "BitsStored", "HighBit", "PixelRepresentation"])
    path, _ = enhanced(tmp_path / "a.dcm", each, [turned(), measures()], Modality="MR",
                       stack=np.zeros(values.shape, np.int32),
                       raw={"FloatPixelData": ("OF", values.tobytes())}, **gone)  # fmt: skip
    np.testing.assert_array_equal(read_slice(path).values(), values[::-1])


def test_slides_without_a_sequence_for_each_frame(tmp_path):
    stack = np.stack([image(i) for i in range(3)])
    path = write(tmp_path / "a.dcm", stack, NumberOfFrames=3,
                 SharedFunctionalGroupsSequence=[group(measures((2, 3)))])  # fmt: skip
    header = read_header(path)
    assert (header.spacing, header.positions) == ((2, 3), None)
