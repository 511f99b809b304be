"""Public cohorts, one command each: what `fastmm train` reports of them, and how long it takes.

The folder DATA holds one folder a cohort, each with its cohort.csv. No setting was chosen by
the scores: models and fusion are the defaults but where a row says otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LABORATORY = "crp,d_dimer,factor_xii,ldh,lymphocytes,neutrophils,pco2,po2"
MASKS = " ".join(f"--mask {name}={{{name}}}_tumour_mask.nii.gz" for name in ("ct", "pet", "mr_t1"))

#: Name of a row: the folder of the cohort, and what is asked of it.
COMMANDS = {
    "sts": (
        "sts",
        "--label lung_mets --image ct --image pet --image mr_t1 --suv pet "
        f"{MASKS} --table age,sex,mskcc_type,site,grade",
    ),
    "lgg, idh1": (
        "lgg",
        "--label idh1 --image mri --channel mri=1 --mask mri=tumour_mask "
        "--table age,gender,laterality,tumour_location",
    ),
    "lgg, 1p/19q": (
        "lgg",
        "--label codel_1p19q --image mri --channel mri=1 --mask mri=tumour_mask "
        "--table age,gender,laterality,tumour_location",
    ),
    "cxr_hannover": (
        "cxr_hannover",
        f"--label icu --image xray --table sex,projection --table {LABORATORY}",
    ),
    "covid_ct": ("covid_ct", "--label covid --image ct --model lssvm"),
    "gbm_expression": (
        "gbm_expression",
        "--label subtype --table gender,age_at_initial_pathologic_diagnosis "
        "--table expression.csv:patient",
    ),
}
BEGIN, END = "<!-- cohorts -->", "<!-- end of cohorts -->"


def main() -> None:
    """Run the commands, write the record and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the cohorts")
    parser.add_argument("--only", action="append", choices=list(COMMANDS), help="may be repeated")
    parser.add_argument("--keep", type=Path, help="folder for the reports; else they are dropped")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--table", type=Path, help="Markdown file whose marked part is replaced")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as draft:
        folder = options.keep or Path(draft)
        for name in options.only or COMMANDS:
            rows.append(run(name, options.data, folder / re.sub(r"\W+", "-", name)))
            print(line(rows[-1]), flush=True)
    print(f"all in {sum(row['seconds'] for row in rows):.0f} s")
    if options.json is not None:
        record = {"cpus": len(os.sched_getaffinity(0)), "rows": rows}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    if options.table is not None:
        replace(options.table, table(rows))


def run(name: str, data: Path, output: Path) -> dict[str, Any]:
    """Train on one cohort; return what its report says of all modalities together."""
    folder, asked = COMMANDS[name]
    # CPU, so that a row means the same wherever it is measured.
    words = ["train", "cohort.csv", "--group", "patient", *shlex.split(asked), "--device", "cpu"]
    start = time.perf_counter()
    command = [sys.executable, "-m", "fastmm", *words, "--output", str(output.resolve())]
    done = subprocess.run(command, cwd=data / folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}\n{done.stderr}")
    seconds = time.perf_counter() - start
    return {
        "name": name,
        "command": shlex.join(["fastmm", *words]),
        "seconds": round(seconds, 1),
        **numbers(json.loads((output / "report.json").read_text())),
    }


def numbers(report: dict[str, Any]) -> dict[str, Any]:
    """Take the areas and the paired test from a report."""
    asked = report["chosen"]
    scores = {row["features"]: row for row in report["scores"] if row["model"] == asked["model"]}
    single = [entry["name"] for entry in report["cohort"]["modalities"]]
    chosen = scores[asked["features"]]
    found = {
        "model": asked["model"],
        "patients": chosen["patients"],
        "rows": chosen["n"],
        "validation": report["validation"]["scheme"],
        **{key: chosen[key] for key in ("auc", "auc_low", "auc_high")},
        "areas": {key: row["auc"] for key, row in scores.items()},
        "best": max(single, key=lambda key: scores[key]["auc"]),
    }
    if len(single) > 1:
        test = next(
            row
            for row in report["comparisons"]
            if row["best"] and row["model"] == asked["model"] and row["against"] == found["best"]
        )
        keys = ("difference", "difference_low", "difference_high", "pvalue", "method")
        found |= {key: test[key] for key in keys}
    return found


def line(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    area = f"{row['auc']:.3f} [{row['auc_low']:.3f}, {row['auc_high']:.3f}]"
    best, difference, pvalue = "only this", "", ""
    if "difference" in row:
        best = f"{row['best']} {row['areas'][row['best']]:.3f}"
        ends = f"[{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
        difference, pvalue = f"{row['difference']:+.3f} {ends}", f"{row['pvalue']:.3f}"
    cells = [row["name"], row["model"], f"{row['rows']} / {row['patients']}", area, best]
    return "| " + " | ".join([*cells, difference, pvalue, f"{row['seconds']:.0f}"]) + " |"


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    head = (
        "| cohort, label | model | rows / patients | fused AUC [95 %] | best single | "
        "fused less best [95 %] | p | s |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    return "\n".join([head, *map(line, rows)])


def replace(path: Path, text: str) -> None:
    """Put text between the marks of a file."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path.name} must have the marks {BEGIN} and {END}.")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
