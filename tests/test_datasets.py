"""make_cohort: the same bytes for the same seed, refusals, progress and stops."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from phantom_reading import SMALL, table

from fastmm.datasets import make_cohort


def contents(root):
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


# Reproducibility


def test_same_seed_same_bytes_in_another_process(tmp_path):
    code = (
        "import sys; from fastmm.datasets import make_cohort; "
        "make_cohort(sys.argv[1], 5, 11, 0.4, slices=4, shape=(40, 56)); "
        "assert not {'pandas', 'cupy', 'sklearn'} & set(sys.modules)"
    )
    # Another hash seed and time zone, so that neither set order nor a clock can hide.
    own = {**os.environ, "PYTHONHASHSEED": "123", "TZ": "Pacific/Kiritimati"}
    root = Path(__file__).resolve().parent.parent
    subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=True, env=own, cwd=root)
    make_cohort(tmp_path / "b", 5, 11, 0.4, slices=4, shape=(40, 56))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_changes_every_scan(tmp_path):
    one, two = (contents(make_cohort(tmp_path / str(s), 4, s, 0, **SMALL).parent) for s in (0, 1))
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] == two[name]] == ["README.txt"]


def test_more_patients_leave_the_first_as_they_were(tmp_path):
    few = make_cohort(tmp_path / "few", 6, 5, 0.4, **SMALL)
    many = make_cohort(tmp_path / "many", 9, 5, 0.4, **SMALL)
    assert table(many)[:6] == table(few)
    known = [
        row for row in table(many.parent / "expression.csv") if row["patient"] < "PHANTOM-0007"
    ]
    assert known == table(few.parent / "expression.csv")
    scans = {k: v for k, v in contents(few.parent).items() if k.endswith(".dcm")}
    assert scans.items() <= contents(many.parent).items()


def test_size_and_gaps_leave_the_tables_as_they_were(tmp_path):
    plain = table(make_cohort(tmp_path / "a", 6, 2, 0, **SMALL))
    other = table(make_cohort(tmp_path / "b", 6, 2, 0.5, slices=4, shape=(48, 40)))
    assert [r["malignant"] for r in plain] == [r["malignant"] for r in other]
    pairs = [(a[k], b[k]) for a, b in zip(plain, other, strict=True) for k in a]
    assert all(b in ("", a) for a, b in pairs)
    assert any(b == "" for _, b in pairs)


# Arguments


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_patients": 3}, ValueError, "`n_patients` must be an integer of at least 4, got 3"),
        ({"n_patients": 4.5}, TypeError, "`n_patients`"),
        ({"seed": -1}, ValueError, "`seed`"),
        ({"seed": "0"}, TypeError, "`seed`"),
        ({"missing": 1.0}, ValueError, r"`missing` must be a fraction in \[0, 1\), got 1.0"),
        ({"missing": -0.1}, ValueError, "`missing`"),
        ({"missing": float("nan")}, ValueError, "`missing`"),
        ({"missing": "some"}, TypeError, "`missing`"),
        ({"slices": 2}, ValueError, "`slices` must be an integer of at least 3, got 2"),
        ({"shape": (31, 256)}, ValueError, "`shape` must be two sizes from 32 to 4096"),
        ({"shape": (256, 5000)}, ValueError, "`shape`"),
        ({"shape": (256,)}, ValueError, "`shape`"),
        ({"shape": 256}, TypeError, "`shape`"),
        ({"progress": 1}, TypeError, "`progress` must be callable or None, got int"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        make_cohort(tmp_path / "new", **{"n_patients": 4, **SMALL, **change})
    assert not (tmp_path / "new").exists()


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ValueError, match="`folder` must be empty or absent"):
        make_cohort(tmp_path, 4, **SMALL)
    for folder in (tmp_path / "note.txt", tmp_path / "note.txt" / "below"):
        with pytest.raises(ValueError, match="`folder` must be a folder"):
            make_cohort(folder, 4, **SMALL)
    assert contents(tmp_path).keys() == {"note.txt"}
    with pytest.raises(TypeError, match="`folder` must be a path, got int"):
        make_cohort(1, 4, **SMALL)


def test_progress_counts_patients_and_a_stopped_run_leaves_no_cohort(tmp_path):
    told = []
    make_cohort(tmp_path / "a", 4, **SMALL, progress=lambda *now: told.append(now))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cohort(tmp_path / "b", 4, **SMALL, progress=stop)
    assert not (tmp_path / "b" / "cohort.csv").exists()
