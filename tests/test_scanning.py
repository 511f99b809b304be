"""What `scan` and ``fastmm scan`` tell of folders: every file counted, no patient named."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BIRTH, PATIENT, PATIENT_ID, SERIES, image, write, write_series
from pydicom.data import get_testdata_file

from fastmm.read.dicom import slices
from fastmm.read.findings import orientation_word
from fastmm.read.scanning import SeriesInfo, scan

SECRETS = (PATIENT, PATIENT_ID, BIRTH, "SECRET")


def _one(folder: Path, **options) -> SeriesInfo:
    [info] = scan(folder, **options)
    return info


def test_a_series(tmp_path, monkeypatch):
    write_series(tmp_path / "ct", 7)
    monkeypatch.setattr(slices, "read_pixels", None)  # no pixel is read
    assert _one(tmp_path) == SeriesInfo(
        kind="DICOM",
        path=tmp_path / "ct",
        n_files=7,
        n_frames=7,
        modality="CT",
        shape=(6, 5),
        slices=7,
        spacing=(2.5, 0.5, 0.75),
        orientation="axial",
        syntax="uncompressed",
        units="HU",
        series=SERIES,
    )


def test_only_headers_are_read(tmp_path, monkeypatch):
    from fastmm.read.dicom import copies

    def refuse(*_, **__):
        raise AssertionError("pixels were read")

    write_series(tmp_path)
    shutil.copy(sorted(tmp_path.iterdir())[0], tmp_path / "zz.dcm")
    monkeypatch.setattr(copies, "read_pixels", refuse)
    assert "1 of 4 places hold several images" in _one(tmp_path).problems


@pytest.mark.parametrize(
    ("positions", "problem"),
    [
        ([0, 2, 4, 8, 10], "uneven steps, 2 to 4 mm; 1 gap(s)"),
        ([0, 2, 4, 5.5, 7], "uneven steps, 1.5 to 2 mm"),
        ([0, 2, 4, 4, 6], "1 of 4 places hold several images"),
        ([0, 0, 2, 2, 4, 4], "2 images at each place: time points, echoes, b-values or copies"),
        ([0, 2, None, 4], "positions of 1 image(s) are not known"),
    ],
)
def test_problems_of_places(tmp_path, positions, problem):
    for z, where in enumerate(positions):
        position = None if where is None else [0, 0, where]
        write(tmp_path / f"{z}.dcm", image(z), ImagePositionPatient=position)
    assert _one(tmp_path).problems == (problem,)


def test_tilt_and_irregular_shifts(tmp_path):
    for z, x in enumerate((0, 5, 0, -5)):
        write(tmp_path / "a" / f"{z}.dcm", image(z), ImagePositionPatient=[0, 1.5 * z, 3 * z])
        write(tmp_path / "b" / f"{z}.dcm", image(z), ImagePositionPatient=[x, 0, 3 * z])
    tilted = _one(tmp_path / "a")
    assert tilted.problems == ("gantry tilt of 26.6 degrees",)
    assert tilted.spacing[0] == pytest.approx(3)
    assert _one(tmp_path / "b").problems == ("slices are shifted sideways irregularly",)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"PatientID": "456OTHER"}, "slices differ in patients"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "slices differ in Photometric"),
        ({"RescaleType": "US"}, "slices differ in units"),
    ],
)
def test_slices_that_differ(tmp_path, change, problem):
    write_series(tmp_path)
    write(tmp_path / "zz.dcm", ImagePositionPatient=[-10, -20, 40], **change)
    info = _one(tmp_path)
    assert any(found.startswith(problem) for found in info.problems)
    assert not any(secret in repr(info) for secret in (*SECRETS, "456OTHER"))


def test_unknown_spacing_and_colour(tmp_path):
    write(tmp_path / "a.dcm", PixelSpacing=None)
    info = _one(tmp_path)
    assert info.problems == ("PixelSpacing is not known",)
    assert math.isnan(info.spacing[1])
    colour = _one(Path(get_testdata_file("examples_rgb_color.dcm", download=False)))
    assert any("channel=" in problem for problem in colour.problems)


def test_a_missing_decoder(tmp_path, monkeypatch):
    from fastmm.read.dicom import syntaxes

    path = Path(get_testdata_file("MR_small_jp2klossless.dcm", download=False))
    monkeypatch.setattr(syntaxes, "find_spec", lambda name: None)
    info = _one(path)
    assert info.syntax == "JPEG 2000 Lossless"
    assert "no decoder for JPEG 2000 Lossless: pip install pylibjpeg-openjpeg" in info.problems
    monkeypatch.setattr(syntaxes, "find_spec", lambda name: "there")
    assert not any("decoder" in problem for problem in _one(path).problems)


def test_several_series_as_read_volume_counts_them(tmp_path):
    write_series(tmp_path / "b", 3)
    write_series(tmp_path / "a", 4, SeriesInstanceUID=SERIES + ".2", Modality="MR")
    first, second = scan(tmp_path)
    assert (first.series, first.n_files, first.units) == (SERIES + ".2", 4, "a.u.")
    assert (second.series, second.n_files, second.path) == (SERIES, 3, tmp_path / "b")


def test_nothing_is_left_out(tmp_path):
    write_series(tmp_path, 3)
    last = sorted(tmp_path.iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-2])
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "table.csv").touch()
    (tmp_path / "zeros.dcm").write_bytes(bytes(500))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b no NIfTI")
    (tmp_path / ".DS_Store").write_bytes(bytes(10))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    shutil.copy(get_testdata_file("test-SR.dcm", download=False), tmp_path)
    series, unreadable, other = scan(tmp_path)
    assert (series.kind, series.n_files) == ("DICOM", 2)
    assert (unreadable.kind, unreadable.n_files, unreadable.n_frames) == ("unreadable", 4, 0)
    assert any("PixelData" in p and last.name in p for p in unreadable.problems)
    assert any("not what its suffix says" in p for p in unreadable.problems)
    assert other.kind == "other"
    assert "1 DICOM objects without images" in other.problems
    visible = [p for p in tmp_path.iterdir() if not p.name.startswith(".")]
    assert series.n_files + unreadable.n_files + other.n_files == len(visible)


def test_nifti_and_pictures(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    nibabel = pytest.importorskip("nibabel")
    affine = np.array([[0, 0, 4, 0], [-2, 0, 0, 0], [0, -3, 0, 0], [0, 0, 0, 1.0]])  # sagittal
    voxels = np.zeros((5, 6, 7, 2), np.int16)
    nibabel.Nifti1Image(voxels, affine).to_filename(tmp_path / "n.nii.gz")
    for z, size in enumerate(((4, 3), (4, 3), (5, 3))):
        pil.new("L", size).save(tmp_path / f"{z}.png")
    pil.new("RGB", (4, 3)).save(tmp_path / "c.jpg")
    nifti, png, jpeg = scan(tmp_path)
    assert (nifti.kind, nifti.shape, nifti.slices, nifti.n_frames) == ("NIfTI", (6, 5), 7, 14)
    assert nifti.spacing == (4, 3, 2)
    assert nifti.orientation == "sagittal"
    assert nifti.problems == ("2 time points",)
    assert (png.kind, png.n_files, png.shape, png.path) == ("PNG", 3, (0, 0), tmp_path)
    assert png.problems == ("2 sizes, so no volume",)
    assert (jpeg.kind, jpeg.shape, jpeg.path) == ("JPEG", (3, 4), tmp_path / "c.jpg")
    assert "channel=" in jpeg.problems[0]


@pytest.mark.parametrize(
    ("orientation", "word"),
    [
        ((1, 0, 0, 0, 1, 0), "axial"),
        ((-1, 0, 0, 0, -1, 0), "axial"),
        ((1, 0, 0, 0, 0, -1), "coronal"),
        ((0, 1, 0, 0, 0, -1), "sagittal"),
        ((1, 0, 0, 0, math.cos(0.1), math.sin(0.1)), "axial"),
        ((1, 0, 0, 0, math.cos(0.3), math.sin(0.3)), "oblique"),
        (None, ""),
    ],
)
def test_orientation_words(orientation, word):
    assert orientation_word(orientation) == word


def test_identifiers_only_where_asked_for(tmp_path):
    write_series(tmp_path, 2)
    assert _one(tmp_path).patient is None
    told = _one(tmp_path, ids=True)
    assert told.patient == PATIENT_ID
    assert PATIENT_ID not in repr(told)
    with pytest.raises(TypeError, match="ids"):
        scan(tmp_path, ids="yes")
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "none")


def test_all_real_files_are_counted(real_data):
    found = scan(real_data)
    visible = [p for p in real_data.rglob("*") if p.is_file() and not p.name.startswith(".")]
    assert sum(info.n_files for info in found) == len(visible)
    assert not [info for info in found if info.kind == "unreadable"]
    modalities = [info.modality for info in found if "sts" in info.path.parts]
    assert [modalities.count(m) for m in ("CT", "PT", "MR")] == [34, 34, 34]
    tilted = next(i for i in found if "dicom_ct_gantry_tilt" in i.path.parts)
    ds = pydicom.dcmread(next(tilted.path.rglob("*.dcm")), stop_before_pixels=True)
    assert f"gantry tilt of {abs(ds.GantryDetectorTilt):.1f} degrees" in tilted.problems


def _command(*arguments: object, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastmm", "scan", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": str(columns)},
    )


def test_the_command_at_80_and_120_columns(tmp_path):
    write_series(tmp_path / "[red]ct", 3)
    write(tmp_path / "mr" / "1.dcm", Modality="MR", PixelSpacing=None)
    (tmp_path / "mr" / "zeros.dcm").write_bytes(bytes(500))
    for columns in (80, 120):
        done = _command(tmp_path, columns=columns)
        assert done.returncode == 0
        assert done.stderr == ""  # the seconds are for terminals
        assert all(len(line) <= columns for line in done.stdout.splitlines())
        for part in ("[red]ct", "CT axial", "3x6x5", "2.5, 0.5, 0.75", "PixelSpacing", "zeros.dcm"):
            assert part in done.stdout
        assert "5 files, 2 series, 1 unreadable, 0 without images" in done.stdout
        assert ("uncompressed" in done.stdout) == (columns == 120)
        assert not any(secret in done.stdout + done.stderr for secret in SECRETS)
    assert PATIENT_ID in "".join(_command(tmp_path, "--ids", columns=120).stdout.split())


def test_the_command_writes_json(tmp_path):
    write(tmp_path / "in" / "1.dcm", PixelSpacing=None)
    done = _command(tmp_path / "in", "--json", "-")
    [info] = json.loads(done.stdout)
    assert info["spacing"] == [2.0, None, None]
    assert "patient" not in info
    assert not any(secret in done.stdout for secret in SECRETS)
    assert _command(tmp_path / "in", "--json", tmp_path / "out.json", "--ids").returncode == 0
    [info] = json.loads((tmp_path / "out.json").read_text())
    assert info["patient"] == PATIENT_ID
    assert info["path"] == str(tmp_path / "in" / "1.dcm")


def test_names_cannot_steer_the_terminal(tmp_path):
    write(tmp_path / "a\x1b[31m\nb.dcm")
    try:
        write(Path(os.fsdecode(bytes(tmp_path) + b"/\xff.dcm")), SeriesInstanceUID="1.2")
    except OSError:
        pytest.skip("this file system holds names of characters only")
    done = _command(tmp_path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "2 files, 2 series" in done.stdout
    assert _command(tmp_path, "--json", "-").returncode == 0


def test_mistakes_of_the_command(tmp_path):
    done = _command(tmp_path / "none")
    assert done.returncode == 2
    assert "does not exist" in " ".join(done.stderr.split())
    assert _command(tmp_path).returncode == 0  # an empty folder is no mistake
    assert "Traceback" not in done.stderr
