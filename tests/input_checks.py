"""Every public call on one cell of the table: the right value, or one clear error."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import BIRTH, PATIENT, PATIENT_ID
from input_cases import Case

import fastmm
from fastmm.errors import (
    DicomError,
)

SECRETS = (PATIENT, "SECRET", PATIENT_ID, "456OTHER", BIRTH)


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


def check_case(case: Case, n: int, tmp_path: Path, good: Path, caplog: pytest.LogCaptureFixture):
    """Insist that `read_volume`, `load_images` and `scan` do as the case says."""
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


def refuses(path: Path, error: type[Exception], match: str, shape: tuple[int, int] = (4, 4)):
    """Insist on the error from every call that reads pixels."""
    said: list[str] = []
    expect_error(lambda: fastmm.read_volume(path), error, match, said)
    for paths in ([path], [path] * 9):
        expect_error(lambda p=paths: fastmm.load_images(p, shape, device="cpu"), error, match, said)
    assert not any(secret in text for text in said for secret in SECRETS)
