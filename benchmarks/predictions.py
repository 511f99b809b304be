"""Predict what each task takes at least on a GPU: the bytes it must move over a bandwidth.

``python benchmarks/predictions.py RESULT.json ... [--gpu GPU.json] [--readme FILE]`` takes the
bytes of each task from records that were measured before, on whatever device, and prints a
table; --gpu fills in what was measured there (a record of summary.py, or run_gpu.sh's),
--readme puts it between the markers "gpu predictions" in FILE.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from summary import load, put_into_readme

__all__ = ["predictions"]

LOW, HIGH = 4.0e12, 4.8e12  # bytes/s: about what an H200 copies, and its data sheet
# The share of the copy bandwidth that is aimed at, by how the task's name begins.
AIMS = (("resize", 0.70), ("rescale, window", 0.70), ("patches", 0.85), ("stack", 0.80))
_LAUNCH = 1e-5  # below this a task shows what a launch costs, and no bandwidth


def predictions(records: list[dict[str, Any]], measured: list[dict[str, Any]]) -> str:
    """Return the table as Markdown; `measured` are records of which those of a GPU count."""
    found = {r["task"]: r for r in measured if r["device"] == "GPU" and r["peer"] == "fastmm"}
    lines = [
        "| task | bytes | at 4.0 TB/s | at 4.8 TB/s | aim | measured | of copy bandwidth |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for task, size in _bytes(records).items():
        aim = next((share for name, share in AIMS if task.startswith(name)), None)
        record = found.get(task)
        seconds = record["stats"]["median"] if record else None
        limit = record["info"].get("copy_limit_GB/s") if record else None
        cells = [
            task,
            f"{size / 1e6:,.1f} MB",
            _time(size / LOW),
            _time(size / HIGH),
            "" if aim is None or size / LOW < _LAUNCH else f"{100 * aim:.0f} %",
            "" if seconds is None else _time(seconds),
            "" if limit is None else f"{100 * size / seconds / 1e9 / limit:.0f} %",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _bytes(records: list[dict[str, Any]]) -> dict[str, int]:
    ours = (r for r in records if r["peer"] == "fastmm" and "files/s" not in r["info"])
    return {r["task"]: r["info"]["bytes"] for r in ours if r["info"].get("bytes")}


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:,.2f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--gpu", type=Path)
    parser.add_argument("--readme", type=Path)
    args = parser.parse_args()
    _, records = load(args.results)
    text = predictions(records, load([args.gpu])[1] if args.gpu else [])
    print(text)
    if args.readme:
        put_into_readme(text, args.readme, "gpu predictions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
