"""The phantom cohort, where CT, MR, case table and genes each see another part of the truth.

`fastmm train` on one cohort for each seed; all of them are reported, and all together: the
mean of the differences, with the standard errors of their intervals.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cohorts import line, numbers, table

from fastmm.datasets import make_cohort

ASKED = (
    "train cohort.csv --label malignant --group patient --image ct --image mr "
    "--window ct=-600,1500 --table age,pack_years,sex --table expression.csv:patient --device cpu"
)
_WIDTH = 2 * 1.959964  # of an interval of 95 %, in standard errors


def main() -> None:
    """Make the cohorts, train, and put the differences together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=160)
    parser.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    parser.add_argument("--fusion", default="late", help="of `fastmm train`")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    rows = []
    for seed in range(options.seeds):
        rows.append(run(seed, options.patients, options.fusion))
        print(line(rows[-1]), flush=True)
    together = pooled(rows)
    print(table(rows))
    print(
        "together: {difference:+.3f} [{low:+.3f}, {high:+.3f}], p = {pvalue:.1e}".format(**together)
    )
    if options.json is not None:
        record = {
            "patients": options.patients,
            "fusion": options.fusion,
            "rows": rows,
            "together": together,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def run(seed: int, patients: int, fusion: str) -> dict[str, Any]:
    """Make one cohort and train on it."""
    with tempfile.TemporaryDirectory() as draft:
        folder = make_cohort(Path(draft) / "cohort", patients, seed).parent
        command = [sys.executable, "-m", "fastmm", *ASKED.split(), "--fusion", fusion]
        command += ["--output", f"{draft}/out"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        report = json.loads((Path(draft) / "out" / "report.json").read_text())
    seconds = sum(stage["seconds"] for stage in report["stages"])
    return {"name": f"phantom, seed {seed}", "seconds": seconds, **numbers(report)}


def pooled(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean difference of independent cohorts, its interval and its p-value."""
    mean = sum(row["difference"] for row in rows) / len(rows)
    errors = [(row["difference_high"] - row["difference_low"]) / _WIDTH for row in rows]
    error = math.sqrt(sum(each**2 for each in errors)) / len(rows)
    reach = _WIDTH / 2 * error
    pvalue = math.erfc(abs(mean) / error / math.sqrt(2))
    return {"difference": mean, "low": mean - reach, "high": mean + reach, "pvalue": pvalue}


if __name__ == "__main__":
    main()
