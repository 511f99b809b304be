"""The planner counts what a study asks of its scores, and divides what a cluster does."""

from dataclasses import replace

import numpy as np
import pytest

import fastmm
from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource
from fastmm.findings import learning, permuting, scoring
from fastmm.modalities import TableModality
from fastmm.planning.machines import STATED_NODE
from fastmm.study import run_study


def numbers(**options):
    return fastmm.plan(**{"machine": STATED_NODE, "device": "cpu", "patients": 200, **options})


@pytest.mark.parametrize(
    ("model", "fusion", "tables"),
    [("ridge", "late", "abc"), ("svm", "kernel", "ab")],
)
def test_stages_and_fits_are_those_of_a_study(tmp_path, monkeypatch, model, fusion, tables):
    monkeypatch.setattr(scoring, "RESAMPLES", 50)
    monkeypatch.setattr(permuting, "PERMUTATIONS", 9)
    monkeypatch.setattr(learning, "draw_count", lambda patients: 1)
    rng, file = np.random.default_rng(0), tmp_path / "cohort.csv"
    rows = [f"p{i},{i % 2},{','.join(map(str, rng.random(3) + i % 2))}" for i in range(8)]
    file.write_text("\n".join(["patient,ill,a,b,c", *rows]) + "\n")
    sources = {name: TableSource((name,)) for name in tables}
    done = run_study(
        read_cohort(file, label="ill", group="patient", tables=sources),
        {name: TableModality() for name in tables}, models=(model,), fusion=fusion, title="t",
    ).results["stages"]  # fmt: skip
    found = fastmm.plan(
        file, label="ill", group="patient", tables=list(tables), model=model, fusion=fusion,
        machine=STATED_NODE, device="cpu",
    ).outlooks[0]  # fmt: skip
    planned = {s.name: s for s in found.stages if not s.name.startswith(" ")}
    assert [*planned][1:-1] == [stage["stage"] for stage in done]
    fits = next(s["fits"] for s in done if s["stage"] == f"validate {model}")
    assert planned[f"validate {model}"].detail.startswith(f"{fits} fits")


def test_what_is_asked_of_scores_grows_as_it_does():
    def growth(name, n, **options):
        both = [
            next(s for s in numbers(patients=k, **options).outlooks[0].stages if s.name == name)
            for k in (n, 4 * n)
        ]
        return both[1].seconds / both[0].seconds

    assert growth("intervals over patients", 4000) == pytest.approx(4, rel=0.02)
    assert growth("permutation tests", 20_000, model="svm") == pytest.approx(4, rel=0.02)
    assert growth("learning curve", 20_000) < 4  # of at most 1,500 rows
    more = [numbers(patients=300, classes=k).outlooks[0].stages for k in (2, 4)]
    for name in ("intervals over patients", "permutation tests"):
        two, four = (next(s.seconds for s in stages if s.name == name) for stages in more)
        assert four > 3 * two


def test_threads_of_a_cluster_divide_reading():
    def reading(threads, storage=1e12):
        machine = replace(STATED_NODE, storage=storage)
        found = numbers(patients=20_000, slices=8, workers=threads, machine=machine)
        return next(s.seconds for s in found.outlooks[0].stages if "(cluster)" in s.name)

    assert 1.5 < reading(2) / reading(4) < 2
    assert reading(4000, 2e9) > 20_000 * 8 * 512 * 512 * 2 / 2e9  # which all of them share
