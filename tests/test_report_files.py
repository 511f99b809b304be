"""Reports that replace or keep older ones, and results that are refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_pages import experiment, read, strict

from fastmm.reporting import write_report


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_missing_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf'{library}.*pip install "fastmm\[app\]"'):
        write_report(experiment(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_failed_write_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report({"title": "Old", "scores": []}, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_: Any) -> None:
        raise PermissionError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PermissionError):
        write_report({"title": "New", "scores": []}, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_newer_report_replaces_the_older(tmp_path: Path) -> None:
    for title in ("Old", "New"):
        path = write_report({"title": title, "scores": []}, tmp_path)
    assert "New" in read(path).text
    assert "Old" not in read(path).text
    assert strict(tmp_path / "report.json")["title"] == "New"


@pytest.mark.parametrize(
    ("results", "error", "message"),
    [
        ([], TypeError, "`results` must be a mapping, got list"),
        ({"scores": []}, ValueError, "`results` must have 'title', a str"),
        ({"title": "t"}, ValueError, "`results` must have 'scores', a list"),
        ({"title": "t", "scores": [{"auc": 1.0}]}, ValueError, "'model' and 'features'"),
        ({"title": "t", "scores": [], "cohort": [1]}, ValueError, "'cohort'.* must be a mapping"),
        ({"title": "t", "scores": [], "stages": {"a": 1}}, ValueError, "'stages'.* a list of"),
        (
            {"title": "t", "scores": [], "roc": [{"fpr": [0, 1], "tpr": [0]}]},
            ValueError,
            "'fpr' and 'tpr' of the same length",
        ),
        (
            {"title": "t", "scores": [], "predictions": {"label": [0, 1], "score": 3}},
            ValueError,
            "'label' and 'score' of the same length",
        ),
        ({"title": "t", "scores": [], "settings": {"a": {1, 2}}}, TypeError, "settings"),
        ({"title": "t", "scores": [], "settings": {"a": 1j}}, TypeError, "complex"),
    ],
)
def test_wrong_results_are_refused(
    tmp_path: Path, results: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        write_report(results, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "images", [np.zeros(4), np.zeros((2, 2, 2, 2)), np.zeros((2, 0, 3)), np.zeros((2, 2), complex)]
)
def test_wrong_pictures_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"`pictures\['ct'\]` must be real images"):
        write_report({"title": "t", "scores": []}, tmp_path, pictures={"ct": images})


@pytest.mark.parametrize("below", ["", "sub", "sub/sub"])
def test_a_file_is_no_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`folder` must be a folder"):
        write_report({"title": "t", "scores": []}, tmp_path / "file" / below)
