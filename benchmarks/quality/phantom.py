"""The phantom cohort, where CT, MR, case table and genes each see another part of the disease.

Every fusion and model on cohorts of several seeds, all of which are reported, and all
together: the mean of the differences, with the standard errors of their intervals. Scores
are out of fold, and compared as `fastmm train` does it; beside them stand the areas that
the best possible score would reach (`fastmm.phantom.disease`).
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastmm import ImageModality, MultimodalClassifier, TableModality
from fastmm.blocks import Block
from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource
from fastmm.datasets import make_cohort
from fastmm.findings.validation import deal_times
from fastmm.metrics import roc_auc_score
from fastmm.phantom.disease import SIGNS, ideal_area
from fastmm.validate.comparison import compare_auc
from fastmm.validate.out_of_fold import OutOfFold, deal_folds, out_of_fold
from fastmm.validate.training_share import training_share

IMAGES = {
    "ct": ImageModality(window=(-600.0, 1500.0), units="HU"),
    "mr": ImageModality(normalize="zscore"),
}
TABLES = {"table": "age,pack_years,sex", "expression": "expression.csv:patient"}
MODALITIES = {**IMAGES, **{name: TableModality() for name in TABLES}}
WAYS = (
    "stack ridge", "stack lssvm", "stack svm", "stack linear", "kernel lssvm", "kernel svm",
    "late ridge", "late lssvm", "late svm", "late linear",
)  # fmt: skip
_WIDTH = 2 * 1.959964  # of an interval of 95 %, in standard errors


def main() -> None:
    """Make the cohorts, validate on each, and put the differences together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=160)
    parser.add_argument("--seeds", type=int, default=5, help="how many: 0, 1, ...")
    parser.add_argument("--ways", nargs="+", default=WAYS, help='such as "late ridge"')
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for row in validate(seed, options.patients, options.ways):
            rows.append(row)
            print(line(row), flush=True)
    together = {way: pooled([r for r in rows if r["way"] == way]) for way in options.ways}
    for way, found in together.items():
        text = "{auc:.3f}, {difference:+.3f} [{low:+.3f}, {high:+.3f}], p = {pvalue:.1e}"
        print(f"{way}: {text.format(**found)}")
    if options.json is not None:
        ideal = {name: ideal_area([name]) for name in SIGNS} | {"fused": ideal_area()}
        record = {"patients": options.patients, "ideal": ideal, "rows": rows, "together": together}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def validate(seed: int, patients: int, ways: list[str]) -> Iterator[dict[str, Any]]:
    """Make one cohort, and validate every way on it."""
    blocks, y, groups = read(seed, patients)
    single: dict[str, dict[str, Any]] = {}
    for way in ways:
        fusion, solver = way.split()
        how = {"fusion": "stack" if fusion == "late" else fusion, "solver": solver}
        key = str(how)
        if key not in single:  # one modality alone is the same in "stack" and "late"
            single[key] = {name: held_out((name,), blocks, y, groups, how) for name in MODALITIES}
        areas = {
            name: float(roc_auc_score(y[here], alone.score))
            for name, (here, alone) in single[key].items()
        }
        _, fused = held_out(tuple(MODALITIES), blocks, y, groups, {**how, "fusion": fusion})
        best = max(areas, key=areas.__getitem__)
        here, alone = single[key][best]
        truth, patient = y[here], groups[here]
        share = training_share(
            truth, deals(alone), patient, alone.folds, against=deals(fused)[:, here]
        )
        test = compare_auc(truth, fused.score[here], alone.score, patient, inflation=1 + share)
        yield {
            "seed": seed, "way": way, "areas": areas, "auc": float(roc_auc_score(y, fused.score)),
            "best": best, "difference": test.difference, "low": test.low, "high": test.high,
            "pvalue": test.pvalue, "training_share": share,
        }  # fmt: skip


def read(seed: int, patients: int) -> tuple[dict[str, Block], Any, Any]:
    """Return the features, labels and patients of one cohort."""
    with tempfile.TemporaryDirectory() as draft:
        cohort = read_cohort(
            make_cohort(Path(draft) / "cohort", patients, seed),
            label="malignant",
            group="patient",
            images=list(IMAGES),
            tables={name: TableSource.parse(text) for name, text in TABLES.items()},
        )
        data = {
            name: kind.load(cohort.scans(name)) for name, kind in IMAGES.items()
        } | cohort.tables
        blocks = {name: kind.extract(data[name]) for name, kind in MODALITIES.items()}
    return blocks, np.asarray(cohort.y).astype(int), np.asarray(cohort.groups)


def held_out(
    names: tuple[str, ...], blocks: dict[str, Block], y: Any, groups: Any, how: dict[str, str]
) -> tuple[Any, OutOfFold]:
    """Return which rows have one of the modalities, and what was predicted for these."""
    here = np.any([blocks[name].present for name in names], axis=0)
    model = MultimodalClassifier({name: MODALITIES[name] for name in names}, **how)
    own = {name: blocks[name].take(here) for name in names}
    times = deal_times(len(np.unique(groups)))
    folds = [each[here] for each in deal_folds(y, groups, times)]  # the same for all modalities
    return here, out_of_fold(model, own, y[here], groups[here], folds=folds)


def deals(found: OutOfFold) -> Any:
    """Return the scores of each deal into folds."""
    return found.score[None] if found.deals is None else found.deals


def pooled(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean area and difference of independent cohorts, its interval and p-value."""
    mean = sum(row["difference"] for row in rows) / len(rows)
    errors = [(row["high"] - row["low"]) / _WIDTH for row in rows]
    error = math.sqrt(sum(each**2 for each in errors)) / len(rows)
    reach = _WIDTH / 2 * error
    return {
        "auc": sum(row["auc"] for row in rows) / len(rows),
        "best": sum(row["areas"][row["best"]] for row in rows) / len(rows),
        "difference": mean,
        "low": mean - reach,
        "high": mean + reach,
        "pvalue": math.erfc(abs(mean) / error / math.sqrt(2)) if error > 0 else math.nan,
    }


def line(row: dict[str, Any]) -> str:
    """Return a row of a table."""
    ends = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    best = f"{row['best']} {row['areas'][row['best']]:.3f}"
    cells = [row["seed"], row["way"], f"{row['auc']:.3f}", best, ends, f"{row['pvalue']:.4f}"]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
