"""Copies of slices, and time points: told apart, stacked in order, never mixed."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import image, write, write_series

from fastmm.errors import GeometryError
from fastmm.read.reading import read_volume


def test_copies(tmp_path):
    stack = write_series(tmp_path)
    same = sorted(tmp_path.iterdir())[1]
    shutil.copy(same, tmp_path / "zz.dcm")
    with pytest.warns(UserWarning, match="1 slices are copies"):
        np.testing.assert_array_equal(read_volume(tmp_path).array, stack)
    position = pydicom.dcmread(same).ImagePositionPatient
    write(tmp_path / "zz.dcm", image(99), ImagePositionPatient=position)
    with pytest.raises(GeometryError, match=rf"{same.name} and .*zz\.dcm lie at the same place"):
        read_volume(tmp_path)


def test_copies_with_another_slope_are_none(tmp_path):
    write_series(tmp_path)
    write(tmp_path / "zz.dcm", image(0), RescaleSlope=2)
    with pytest.raises(GeometryError, match="same place"):
        read_volume(tmp_path)


def test_time_points(tmp_path):
    write_series(tmp_path / "a")
    for path in list((tmp_path / "a").iterdir()):
        ds = pydicom.dcmread(path)
        ds.PixelData = bytes(len(ds.PixelData))
        ds.save_as(tmp_path / "a" / f"t1_{path.name}")
    with pytest.raises(GeometryError, match="All 4 places hold 2 images each: time points"):
        read_volume(tmp_path)
    # Nothing but their pixels differs.
    with pytest.raises(GeometryError, match="no tag tells their time points apart"):
        read_volume(tmp_path, time="stack")


_MARKS = {
    "TemporalPositionIdentifier": (1, 2, 3),
    "TriggerTime": ("0", "33.5", "102"),
    "EchoTime": ("2.3", "4.6", "10"),
    "DiffusionBValue": (0.0, 50.0, 1000.0),
    "AcquisitionNumber": (9, 10, 11),
    "AcquisitionTime": ("095959.9", "100000", "100001.5"),
    "ContentTime": ("095959.9", "100000", "100001.5"),
    "InstanceNumber": (2, 10, 100),
}


def _write_times(folder: Path, keyword: str, values, n: int = 3, **tags) -> np.ndarray:
    """Write a dynamic series whose file names follow neither time nor place."""
    stack = np.stack([[image(10 * t + z) for z in range(n)] for t in range(len(values))])
    for t, z in itertools.product(range(len(values)), range(n)):
        write(folder / f"{(7 * t + 5 * z) % 11}_{t}{z}.dcm", stack[t, z],
              ImagePositionPatient=[0, 0, 2 * z], **{keyword: values[t]}, **tags)  # fmt: skip
    return stack


@pytest.mark.parametrize("keyword", _MARKS)
def test_time_points_are_stacked_in_order(tmp_path, keyword):
    stack = _write_times(tmp_path, keyword, _MARKS[keyword])
    with pytest.raises(GeometryError, match=f'3 places hold 3 images.*{keyword}.*time="stack"'):
        read_volume(tmp_path)
    volume = read_volume(tmp_path, time="stack")
    np.testing.assert_array_equal(volume.array, stack)
    assert volume.time_axis == keyword
    assert volume.positions.shape == (3, 3)
    assert volume.spacing == (2, 0.5, 0.75)
    assert [p.name[-6:-4] for p in volume.source] == [f"{t}{z}" for t in range(3) for z in range(3)]
    for t in range(3):
        one = read_volume(tmp_path, time=t)
        np.testing.assert_array_equal(one.array, stack[t])
        assert len(one.source) == 3
    with pytest.raises(ValueError, match="`time` must lie in 0 to 2"):
        read_volume(tmp_path, time=3)


def test_time_across_midnight(tmp_path):
    for t, (date, clock) in enumerate((("20200101", "235959"), ("20200102", "000001"))):
        for z in range(2):
            write(tmp_path / f"{9 - t}{z}.dcm", image(10 * t + z), AcquisitionDate=date,
                  AcquisitionTime=clock, ImagePositionPatient=[0, 0, z])  # fmt: skip
    volume = read_volume(tmp_path, time="stack")
    np.testing.assert_array_equal(volume.array[0, 0], image(0))
    assert volume.time_axis == "AcquisitionTime"


def test_time_points_without_contrast_are_no_copies(tmp_path):
    blank = np.zeros((6, 5), np.int16)
    for t, z in itertools.product(range(2), range(3)):
        pixels = blank if z == 0 else image(10 * t + z)
        write(tmp_path / f"{t}{z}.dcm", pixels, ImagePositionPatient=[0, 0, z],
              TemporalPositionIdentifier=t + 1, InstanceNumber=t * 3 + z)  # fmt: skip
    volume = read_volume(tmp_path, time="stack")
    assert volume.array.shape == (2, 3, 6, 5)
    assert not volume.array[:, 0].any()


def test_copies_among_time_points(tmp_path):
    stack = _write_times(tmp_path, "EchoTime", ("1", "2"))
    shutil.copy(sorted(tmp_path.iterdir())[0], tmp_path / "zz.dcm")
    with pytest.warns(UserWarning, match="1 slices are copies"):
        np.testing.assert_array_equal(read_volume(tmp_path, time="stack").array, stack)


def test_incomplete_time_points(tmp_path):
    _write_times(tmp_path, "TemporalPositionIdentifier", (1, 2, 3))
    sorted(tmp_path.iterdir())[0].unlink()
    with pytest.raises(GeometryError, match=r"incomplete.*from 2 to 3"):
        read_volume(tmp_path, time="stack")


def test_time_points_of_other_marks_are_never_paired(tmp_path):
    # Each place holds two echoes, but not the same two.
    for z, echoes in enumerate((("1", "2"), ("1", "3"))):
        for t, echo in enumerate(echoes):
            write(tmp_path / f"{t}{z}.dcm", image(10 * t + z), EchoTime=echo,
                  ImagePositionPatient=[0, 0, z], InstanceNumber=t + 1)  # fmt: skip
    with pytest.raises(GeometryError, match="differ in EchoTime"):
        read_volume(tmp_path, time="stack")


def test_one_plane_but_two_places_are_no_time_points(tmp_path):
    for t, z in itertools.product(range(2), range(2)):
        write(tmp_path / f"{t}{z}.dcm", image(10 * t + z), AcquisitionNumber=t,
              ImagePositionPatient=[40 * t, 0, z])  # fmt: skip
    with pytest.raises(GeometryError, match="40 mm apart"):
        read_volume(tmp_path, time="stack")


def test_one_time_point(tmp_path):
    stack = write_series(tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path, time="stack").array, stack[None])
    np.testing.assert_array_equal(read_volume(tmp_path, time=0).array, stack)
    with pytest.raises(ValueError, match="1 time point"):
        read_volume(tmp_path, time=1)


def test_enhanced_time_points(real_data):
    path = next((real_data / "dicom_enhanced").rglob("IM_0027_fMAP.dcm"))
    with pytest.raises(GeometryError, match="32 places hold 2 images each"):
        read_volume(path)
    both = read_volume(path, time="stack")
    assert both.array.shape == (2, 32, 64, 64)
    assert both.time_axis == "FrameContentSequence"
    for t in range(2):
        one = read_volume(path, time=t)
        np.testing.assert_array_equal(one.array, both.array[t])
        np.testing.assert_array_equal(one.positions, both.positions)
