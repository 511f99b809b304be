"""Small studies of three tables, two of which tell of the label."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastmm import TableModality
from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource
from fastmm.findings import permuting, scoring
from fastmm.study import run_study


def write_cohort(folder: Path, n=24, classes=2, seed=0) -> Path:
    """Three tables: two that tell, one that does not; some rows lack the second."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % classes
    a, b, c = (rng.normal(size=n) for _ in range(3))
    lines = ["patient,ill,a,b,c,sex,age"]
    for i in range(n):
        second = "" if i % 9 == 4 else f"{b[i] + label[i]:.4f}"
        lines.append(
            f"p{i},{label[i]},{a[i] + 1.2 * label[i]:.4f},{second},{c[i]:.4f},"
            f"{'fm'[(i // classes) % 2]},{40 + i}"
        )
    file = folder / "cohort.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def study(file: Path, tables="abc", **options):
    sources = {name: TableSource((name,)) for name in tables}
    cohort = read_cohort(file, label="ill", group="patient", tables=sources, by=["sex", "age"])
    return cohort, run_study(cohort, {name: TableModality() for name in tables}, **options)


def draw_few(patch):
    patch.setattr(scoring, "RESAMPLES", 100)
    patch.setattr(permuting, "PERMUTATIONS", 99)
