"""Faults, notes, copies, progress and arguments of batches."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_files import SERIES, image, write, write_series

from fastmm.errors import DicomError, FastmmError, GeometryError
from fastmm.loading import device as on_device
from fastmm.loading import rows as batch_rows
from fastmm.loading.batch import load_images
from fastmm.loading.rows import load_rows
from fastmm.read.rows import series_units


@pytest.mark.parametrize("device", [False, True])
def test_a_file_that_vanishes_after_its_header(tmp_path, monkeypatch, device):
    if device:
        monkeypatch.setattr(batch_rows, "fill_rows", on_device.fill_device_rows)
    write_series(tmp_path, 30)
    victim = sorted(tmp_path.iterdir())[4]
    original = batch_rows.plan_rows

    def plan(*args):
        made = original(*args)
        victim.write_bytes(victim.read_bytes()[:-10])
        return made

    monkeypatch.setattr(batch_rows, "plan_rows", plan)
    report: list[tuple[Path, int, Exception]] = []
    options = {"device": "cpu", "on_error": "skip", "report": report}
    found = load_images(tmp_path, (4, 4), **options)
    assert [path for path, *_ in report] == [victim]
    assert np.isnan(found).all(axis=(1, 2)).tolist() == [n == report[0][1] for n in range(30)]
    with pytest.raises(DicomError, match="cut"):
        load_images(tmp_path, (4, 4), device="cpu")


def test_units_are_those_of_each_path_in_order(tmp_path):
    write_series(tmp_path / "mr", 2, Modality="MR")
    write_series(tmp_path / "ct", 3)
    paths = [tmp_path / "mr", tmp_path / "ct", *sorted((tmp_path / "mr").iterdir())]
    expected = ("a.u.", "HU", "a.u.", "a.u.")
    assert tuple(series_units(path) for path in paths) == expected
    assert load_rows(paths, (4, 4), device="cpu").units == expected
    assert load_rows(paths, (4, 4), window=(0, 1), device="cpu").units == expected


def test_units_of_what_cannot_be_read(tmp_path):
    write_series(tmp_path / "ct", 2)
    bad = write(tmp_path / "bad.dcm", RescaleSlope=0)
    paths = [bad, tmp_path / "none", tmp_path / "ct"]
    rows = load_rows(paths, (4, 4), device="cpu", on_error="skip")
    assert rows.units == ("", "", "HU")
    (tmp_path / "ct" / "cut.dcm").write_bytes((tmp_path / "bad.dcm").read_bytes())
    assert load_rows(tmp_path / "ct", (4, 4), device="cpu", on_error="skip").units == ("HU",)
    (tmp_path / "empty").mkdir()
    for path, error in [
        (bad, DicomError),
        (tmp_path / "ct", DicomError),
        (tmp_path / "empty", DicomError),
        (tmp_path / "none", FileNotFoundError),
    ]:
        with pytest.raises(error):
            series_units(path)


def test_errors_are_raised(tmp_path):
    write_series(tmp_path / "a")
    bad = write(tmp_path / "bad.dcm", RescaleSlope=0)
    with pytest.raises(DicomError, match="RescaleSlope"):
        load_images([tmp_path / "a", bad], (4, 4), device="cpu")
    with pytest.raises(FileNotFoundError):
        load_images([tmp_path / "a", tmp_path / "none"], (4, 4), device="cpu")
    write(tmp_path / "a" / "zz.dcm", SeriesInstanceUID=SERIES + ".2")
    with pytest.raises(DicomError, match="2 groups"):
        load_images(tmp_path / "a", (4, 4), device="cpu")


def test_skip_never_changes_the_number_of_rows(tmp_path):
    stack = write_series(tmp_path / "a", 4)
    cut = write(tmp_path / "a" / "cut.dcm", ImagePositionPatient=[-10, -20, 40])
    cut.write_bytes(cut.read_bytes()[:-4])
    write_series(tmp_path / "two", 2)
    write(tmp_path / "two" / "zz.dcm", SeriesInstanceUID=SERIES + ".2")
    padded = write(tmp_path / "p.dcm", np.full((4, 4), -9, np.int16), PixelPaddingValue=-9)
    paths = [tmp_path / "none", tmp_path / "a", tmp_path / "two", padded, tmp_path / "a" / "x"]
    report: list = []
    rows = load_rows(paths, (6, 5), device="cpu", on_error="skip", report=report)
    assert rows.counts == (1, 5, 3, 1, 1)
    nothing = np.isnan(rows.array).all(axis=(1, 2))
    assert nothing.tolist() == [True, *[False] * 4, True, *[True] * 5]
    np.testing.assert_array_equal(rows.array[1:5], stack)
    assert [(path.name, z) for path, z, _ in report] == [
        ("none", 0), ("cut.dcm", 4), ("two", 0), ("two", 1), ("two", 2), ("x", 0), ("p.dcm", 0)
    ]  # fmt: skip
    assert all(isinstance(e, (FastmmError, FileNotFoundError)) for *_, e in report)
    without = load_images(paths, (6, 5), device="cpu", on_error="skip")
    np.testing.assert_array_equal(without, rows.array)


def test_notes_come_once(tmp_path):
    write_series(tmp_path, 4, RescaleSlope=None, RescaleIntercept=None)
    with pytest.warns(UserWarning, match=r"Hounsfield.*\(4 files\)") as caught:
        load_images(tmp_path, (4, 4), device="cpu")
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_copies_are_dropped(tmp_path):
    write_series(tmp_path, 3)
    first = sorted(tmp_path.iterdir())[0]
    (tmp_path / "zz.dcm").write_bytes(first.read_bytes())
    with pytest.warns(UserWarning, match="copies"):
        assert load_images(tmp_path, (4, 4), device="cpu").shape[0] == 3
    write(tmp_path / "zz.dcm", image(99))
    with pytest.raises(GeometryError, match="same place"):
        load_images(tmp_path, (4, 4), device="cpu")


def test_progress(tmp_path, monkeypatch, capsys):
    write_series(tmp_path, 40)
    calls: list[tuple[int, int]] = []
    load_images(tmp_path, (4, 4), device="cpu", progress=lambda *now: calls.append(now))
    assert calls == [(0, 40), (16, 40), (32, 40), (40, 40)]
    load_images(tmp_path, (4, 4), device="cpu", progress=True)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ImportError, match=r"fastmm\[app\]"):
        load_images(tmp_path, (4, 4), device="cpu", progress=True)


def test_no_paths():
    rows = load_rows([], (4, 3), device="cpu")
    assert rows.array.shape == (0, 4, 3)
    assert rows.split() == []


@pytest.mark.parametrize(
    ("arguments", "error", "what"),
    [
        ({"shape": 4}, TypeError, "shape"),
        ({"shape": (4, 0)}, ValueError, "shape"),
        ({"shape": (4, 4, 4)}, ValueError, "shape"),
        ({"window": 3}, TypeError, "window"),
        ({"window": (0, 0)}, ValueError, "width"),
        ({"window": (np.nan, 10)}, ValueError, "center"),
        ({"interpolation": "spline"}, ValueError, "linear"),
        ({"interpolation": "area", "antialias": True}, ValueError, "antialias"),
        ({"channel": 3}, ValueError, "channel"),
        ({"channel": -1}, ValueError, "channel"),
        ({"normalize": 3}, TypeError, "normalize"),
        ({"device": "tpu"}, ValueError, "device"),
        ({"on_error": "ignore"}, ValueError, "on_error"),
        ({"paths": 3}, TypeError, "paths"),
        ({"paths": [3]}, TypeError, "paths"),
    ],
)
def test_arguments(arguments, error, what):
    with pytest.raises(error, match=what):
        load_images(**{"paths": [Path("none")], "shape": (4, 4), "device": "cpu", **arguments})
