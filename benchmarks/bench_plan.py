"""How far a plan is from the run that follows: memory and time of three sizes of a study.

``python benchmarks/bench_plan.py [--json FILE] [--one-thread] [--patients N ...]``
makes a small synthetic cohort and repeats its patients under other names, plans a training on
each size, runs it in a process of its own and compares. About 90 seconds on two idle cores. With
--one-thread it compares processor time of one thread, which others at work on the same machine
disturb little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from one_core import ONE, be_alone, one_core

from fastmm.datasets import make_cohort
from fastmm.planner import plan
from fastmm.planning.machines import this_machine

ROOT = Path(__file__).resolve().parent.parent
SIZES, SCANS, SLICES = (50, 200, 800), 20, 8
IMAGES, TABLES = ["ct", "mr"], ["age,pack_years,sex"]
MEMORY, TIME = 1.25, 2.0  # what a plan may be off by
RUN = """
import json, sys, time
def memory(kind):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(kind))
start, wall, busy = memory("VmRSS"), time.perf_counter(), time.process_time()
import fastmm.cli, fastmm.commands.console
from pathlib import Path
from fastmm.jobs.training import train_job
file, images, tables = json.loads(sys.argv[1])
train_job(Path(file), Path(file).parent / "out", label="malignant", group="patient",
          images=images, tables=tables, title="a run", device="cpu")
print(json.dumps([memory("VmHWM") - start, time.perf_counter() - wall,
                  time.process_time() - busy]))
"""


def compare(sizes: Sequence[int], *, one_thread: bool) -> list[dict[str, Any]]:
    """Plan and run each size; return bytes and seconds of both, and by what factor they differ."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_cohort(
            Path(folder) / "cohort", SCANS, slices=SLICES, shape=(512, 512), missing=0
        )
        machine = one_core() if one_thread else this_machine()
        for patients in sizes:
            file = repeat(cohort, patients)
            found = plan(
                file, label="malignant", group="patient", images=IMAGES, tables=TABLES,
                device="cpu", machine=machine,
            )  # fmt: skip
            peak, wall, busy = run(file, one_thread=one_thread)
            seconds = busy if one_thread else wall
            rows.append(
                {
                    "patients": patients,
                    "peak_bytes": peak,
                    "planned_bytes": found.peak_bytes,
                    "seconds": seconds,
                    "planned_seconds": found.seconds,
                    "memory": apart(found.peak_bytes, peak),
                    "time": apart(found.seconds, seconds),
                }
            )
            print(describe(rows[-1]), flush=True)
    return rows


def describe(row: dict[str, Any]) -> str:
    return (
        f"{row['patients']:6,} patients: {row['peak_bytes'] / 1e6:7,.0f} MB, planned "
        f"{row['planned_bytes'] / 1e6:7,.0f} ({row['memory']:.2f} x apart); "
        f"{row['seconds']:6.1f} s, planned {row['planned_seconds']:6.1f} "
        f"({row['time']:.2f} x apart)"
    )


def apart(first: float, second: float) -> float:
    return max(first / second, second / first)


def repeat(cohort: Path, patients: int) -> Path:
    """Write a cohort of as many patients, who share the scans there are."""
    head, *lines = cohort.read_text().splitlines()
    rows = [f"Q{i:06d},{lines[i % len(lines)].split(',', 1)[1]}" for i in range(patients)]
    file = cohort.parent / f"cohort{patients}.csv"
    file.write_text("\n".join([head, *rows]) + "\n")
    return file


def run(file: Path, *, one_thread: bool) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, json.dumps([str(file), IMAGES, TABLES])],
        cwd=ROOT, env=os.environ | (ONE if one_thread else {}), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one-thread", action="store_true")
    parser.add_argument("--patients", type=int, nargs="+", default=SIZES)
    args = parser.parse_args()
    if args.one_thread:
        be_alone()
    rows = compare(args.patients, one_thread=args.one_thread)
    if args.json:
        args.json.write_text(json.dumps({"one_thread": args.one_thread, "runs": rows}, indent=1))
    wrong = [r for r in rows if r["memory"] > MEMORY or r["time"] > TIME]
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
