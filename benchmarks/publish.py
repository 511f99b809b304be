"""Make the record, the tables and the picture of a GPU from what run_gpu.sh wrote there.

``python benchmarks/publish.py GPU-RUN.json ... [--readme FILE] [--results DIR] [--picture FILE]``
joins runs (a part of a later one takes the place of an earlier one's), writes
DIR/<gpu>-<date>.json, the section between the markers "gpu" and the predictions in FILE, and
the roofline of the stages. By default these are this folder's, and docs/roofline-<gpu>.svg.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from predictions import predictions
from summary import load, put_into_readme, ratios, table

__all__ = ["join", "section", "slug"]

HERE = Path(__file__).resolve().parent

_ONE_OF_EACH = ("machine", "tests", "gpu_tests", "alone_tests", "limits", "launches", "stages")


def join(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Join runs on one machine; what a later one has, it has for good."""
    gpus = {run["machine"]["gpu"]["name"] for run in runs if (run.get("machine") or {}).get("gpu")}
    if len(gpus) != 1:
        raise SystemExit(f"The runs must be of one GPU, got {sorted(gpus) or 'none'}.")
    found: dict[str, Any] = {
        key: next((run[key] for run in reversed(runs) if run.get(key)), None)
        for key in _ONE_OF_EACH
    }
    parts = {part["part"]: part for run in runs for part in run["parts"]}
    records = {
        (r["task"], r["device"], r["peer"]): r for run in runs for r in run.get("benchmarks", [])
    }
    commits = {(run.get("machine") or {}).get("commit") for run in runs} - {None}
    return {
        **found,
        "commits": sorted(commits),
        "parts": list(parts.values()),
        "ratios": ratios(list(records.values())),
        "benchmarks": list(records.values()),
    }


def slug(found: dict[str, Any]) -> str:
    """Return the GPU's name as part of the name of a file."""
    name = re.sub(r"[^a-z0-9]+", "-", found["machine"]["gpu"]["name"].lower()).strip("-")
    return name.removeprefix("nvidia-") or "gpu"


def section(found: dict[str, Any], picture: str | None) -> str:
    """Return the section as Markdown."""
    records = [r for r in found["benchmarks"] if r["device"] == "GPU"]
    times = table(found["machine"], records) if records else ""
    blocks = [times, _parts(found), _limits(found), _launches(found)]
    if found["stages"]:
        blocks.append(_stages(found["stages"]))
        if picture:
            blocks.append(f"![Roofline of the stages]({picture})")
    return "\n\n".join(block for block in blocks if block)


def _parts(found: dict[str, Any]) -> str:
    counts = [
        f"{label}: {t['tests']} run, {t['failures'] + t['errors']} failed, {t['skipped']} skipped"
        for label, key in (
            ("tests on the GPU", "gpu_tests"),
            ("with all of its memory", "alone_tests"),
            ("other tests", "tests"),
        )
        if (t := found[key])
    ]
    rows = [(p["part"], p["state"], f"{p['seconds']} s") for p in found["parts"]]
    told = "; ".join(counts) + ".\n\n" if counts else ""
    return told + _rows(("part", "state", "time"), rows)


def _limits(found: dict[str, Any]) -> str:
    limits = (found["limits"] or {}).get("cuda:0")
    if not limits:
        return ""
    rates = (("copy on the device", "copy", 1e9, "GB/s"), ("upload, pinned", "upload", 1e9, "GB/s"),
             ("upload, pageable", "pageable_upload", 1e9, "GB/s"),
             ("download, pinned", "download", 1e9, "GB/s"),
             ("matrix product, float32", "float32", 1e12, "TFLOP/s"),
             ("matrix product, TF32", "float32_tf32", 1e12, "TFLOP/s"),
             ("matrix product, float64", "float64", 1e12, "TFLOP/s"),
             ("smallest launch, waited for", "launch", 1e-6, "µs"))  # fmt: skip
    rows = [
        (name, f"{limits[key] / scale:,.1f} {unit}") for name, key, scale, unit in rates
        if limits[key] is not None
    ]  # fmt: skip
    return _rows(("limit", "measured"), rows)


def _launches(found: dict[str, Any]) -> str:
    rows = []
    for name, row in (found["launches"] or {}).items():
        times = (f"{1e6 * row[way]:.1f} µs" for way in ("fastmm", "numba", "call"))
        rows.append((name, row["launches"], *times, "yes" if row["agrees"] else "NO"))
    columns = ("call", "launches", "their cost", "by Numba", "the call", "results agree")
    return _rows(columns, rows) if rows else ""


def _stages(stages: dict[str, Any]) -> str:
    rows = [
        (r["stage"], r["size"], f"{1e3 * r['seconds']['median']:,.3f} ms", f"±{r['spread']:.0%}",
         f"{r['rate']:,.4g} {r['unit']}", f"{r['share_of_limit']:.0%}",
         f"{r['peak_bytes'] / 2**20:,.0f} MiB",
         "none" if r["error"] is None else f"{r['error']:.1g}{'' if r['right'] else ' WRONG'}")
        for r in stages["results"]
        if r["device"] != "cpu"
    ]  # fmt: skip
    rows += [
        (r["stage"], r["size"], "failed", "", r["why"], "", "", "")
        for r in stages["failed"]
        if r["device"] != "cpu"
    ]
    columns = ("stage", "size", "median", "spread", "rate", "of limit", "memory", "error")
    return _rows(columns, rows)


def _rows(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--readme", type=Path, default=HERE / "README.md")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args(argv)
    found = join([json.loads(path.read_text()) for path in args.runs])
    if not found["stages"]:
        print("No stages were measured: no date of theirs, and no roofline.")
    date = (found["stages"] or {}).get("date", "undated")[:10]
    record = args.results / f"{slug(found)}-{date}.json"
    record.write_text(json.dumps(found, indent=1) + "\n")
    picture = args.picture or HERE.parent / "docs" / f"roofline-{slug(found)}.svg"
    shown = None
    if found["stages"]:
        sys.path.insert(0, str(HERE.parent))
        from fastmm.bench.roofline import plot_roofline

        plot_roofline(found["stages"], picture)
        shown = f"../{picture.parent.name}/{picture.name}"
    put_into_readme(section(found, shown), args.readme, "gpu")
    # The bytes of each task are those that the records of a CPU hold.
    _, known = load(sorted(args.results.glob("cpu-*.json")))
    text = predictions(known, found["benchmarks"])
    put_into_readme(text, args.readme, "gpu predictions")
    print(f"Wrote {record}, {args.readme}" + (f" and {picture}" if shown else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
