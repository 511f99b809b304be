"""Paths that lead nowhere, out of a folder or to a pipe: one clear error from every call."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from dicom_files import image, write
from directory_files import write_directory
from harness import run_python
from input_checks import SECRETS, expect_error, refuses
from input_makers import (
    PLAIN,
)

import fastmm
from fastmm.errors import (
    DicomError,
    FastmmError,
)


@pytest.mark.parametrize(
    "file_id",
    [["..", "b.dcm"], "../b.dcm", "/etc/passwd", ["A", "..", "..", "b.dcm"], "C:\\b", "."],
)
def test_a_directory_leads_nowhere_else(tmp_path, file_id):
    write(tmp_path / "b.dcm")
    disc = tmp_path / "disc"
    (disc / "A").mkdir(parents=True)
    path = write_directory(disc / "DICOMDIR", [file_id])
    said: list[str] = []
    expect_error(lambda: fastmm.read_volume(path), DicomError, "below its folder|missing", said)
    assert not any(secret in text for text in said for secret in SECRETS)


def test_a_directory_is_read(tmp_path):
    folder = PLAIN(tmp_path, 4)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"I{number}")
    path = write_directory(tmp_path / "DICOMDIR", [["S", f"I{z}"] for z in range(4)])
    volume = fastmm.read_volume(path)
    np.testing.assert_array_equal(volume.array, [image(z) for z in range(4)])
    link = folder / "I9"
    link.symlink_to("/etc/hostname")
    with pytest.raises(DicomError, match="link that leads out of its folder"):
        fastmm.read_volume(write_directory(tmp_path / "DICOMDIR", [["S", "I9"]]))


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
