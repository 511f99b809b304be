"""Turn benchmark JSON into a table.

``python benchmarks/summary.py RESULT.json ... [--json FILE] [--readme FILE] [--check]``
prints the table; RESULT.json is pytest-benchmark's, or a record written before. --json
writes all of it as one record, --readme puts the table between the markers in FILE (of the
table called --name), --check exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["load", "machine_lines", "put_into_readme", "ratios", "table"]

BEGIN = "<!-- table: begin, written by summary.py -->"
END = "<!-- table: end -->"
BARE = "bare loop"  # shown as the limit of its task
# How many times faster than a peer fastmm means to be, on two CPU cores: the task as its
# name begins, the peer, the ratio of medians.
TARGETS = (
    ("resize float32", "OpenCV", 1.3),
    ("resize area", "OpenCV", 1.2),
    ("resize linear, antialias", "PyTorch", 2.0),
    ("resize cubic, antialias", "PyTorch", 2.0),
    ("resize cubic", "OpenCV", 1.2),
    ("resize volumes", "PyTorch", 3.0),
    ("one image", "OpenCV", 0.8),
    ("rescale, window and resize", "OpenCV chain", 5.0),
    ("patches", "NumPy views, copied", 1.0),
    ("patches", "PyTorch", 1.0),
    ("patches", "plain copy of the result", 0.9),
    ("merge patches", "PyTorch", 1.0),
    ("statistics of patches", "NumPy and SciPy on patches", 20.0),
    ("resample", "SimpleITK", 3.0),
    ("normalise by z-score", "numpy expression", 3.0),
    ("normalise by min-max", "numpy expression", 3.0),
    ("normalise by percentiles", "numpy expression", 2.0),
    ("stack, standardised", "scikit-learn", 4.0),
    ("ridge search", "scikit-learn", 150.0),
    ("load", "pydicom and OpenCV", 10.0),
    ("headers", "pydicom", 10.0),
    ("LS-SVM search", "scikit-learn", 20.0),
    ("LS-SVM search", "torchkm", 20.0),
    ("SVM 5000", "scikit-learn", 3.0),
    ("ridge on all", "NumPy on patches", 20.0),
    ("1024 atoms of 6 x 6", "PyTorch unfold and matmul", 3.0),
    ("RBF patch kernel", "torch, explicit patches", 20.0),
    ("RBF patch kernel", "NumPy, position by position", 20.0),
)
# Benchmarks that use pytest-benchmark alone say by the end of their name whose they are.
_PEERS = {"sklearn": "scikit-learn", "opencv": "OpenCV", "torch": "PyTorch", "numpy": "NumPy"}
_STATS = ("median", "min", "max", "mean", "stddev", "iqr", "rounds", "iterations")


def load(paths: list[Path]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the machine, and each benchmark as a record, fastmm's before its peers."""
    machine: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    for path in paths:
        found = json.loads(path.read_text())
        machine = machine or found.get("machine_info") or found.get("machine") or {}
        records += [r if "task" in r else _record(r) for r in found.get("benchmarks", [])]
    tasks = list(dict.fromkeys((r["task"], r["device"]) for r in records))
    records.sort(key=lambda r: (tasks.index((r["task"], r["device"])), r["peer"] != "fastmm"))
    return machine, records


def ratios(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare each peer with fastmm at the same task on the same device."""
    ours = {(r["task"], r["device"]): r for r in records if r["peer"] == "fastmm"}
    found = []
    for peer in records:
        own = ours.get((peer["task"], peer["device"]))
        if own is None or peer is own or peer["peer"] == BARE:
            continue
        ratio = peer["stats"]["median"] / own["stats"]["median"]
        target = _target(peer)
        found.append(
            {
                "task": peer["task"],
                "device": peer["device"],
                "peer": peer["peer"],
                "ratio": round(ratio, 3),
                "target": target,
                "reached": None if target is None else ratio >= target,
            }
        )
    return found


def table(machine: dict[str, Any], records: list[dict[str, Any]]) -> str:
    """Return the figures as Markdown: the machine, then a row for each benchmark."""
    compared = {(r["task"], r["device"], r["peer"]): r for r in ratios(records)}
    limits = {(r["task"], r["device"]): r for r in records if r["peer"] == BARE}
    lines = [*machine_lines(machine), ""]
    if any(r["info"].get("sizes") == "small" for r in records):
        lines += ["**Small sizes: this shows that the benchmarks run, and no speed.**", ""]
    lines += [
        "| task | by | median | limit | rate | of copy bandwidth | fastmm is faster | target "
        "| error |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for r in records:
        if r["peer"] == BARE:
            continue
        info, bare = r["info"], limits.get((r["task"], r["device"]))
        bare = bare if r["peer"] == "fastmm" else None
        against = compared.get((r["task"], r["device"], r["peer"]))
        rate = info.get("GB/s")
        limit = info.get("copy_limit_GB/s")
        cells = [
            f"{r['task']}, {r['device']}" if r["peer"] == "fastmm" or against is None else "",
            f"**{r['peer']}**" if r["peer"] == "fastmm" else r["peer"],
            _duration(r["stats"]["median"]),
            "" if bare is None else _duration(bare["stats"]["median"]),
            _rate(info),
            "" if rate is None or limit is None else f"{100 * rate / limit:.0f} %",
            "" if against is None else f"{against['ratio']:.2f} x",
            _verdict(against),
            "" if "parity" not in info else f"{info['parity']:.1g}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def put_into_readme(text: str, readme: Path, name: str = "table") -> None:
    """Replace what stands between the two markers of the table of that name."""
    begins, ends = BEGIN.replace("table", name, 1), END.replace("table", name, 1)
    before, begin, rest = readme.read_text().partition(begins)
    _, end, after = rest.partition(ends)
    if not begin or not end:
        raise SystemExit(f"{readme} lacks the markers {begins} and {ends}.")
    readme.write_text(f"{before}{begins}\n\n{text}\n\n{ends}{after}")


def _record(item: dict[str, Any]) -> dict[str, Any]:
    info = item.get("extra_info", {})
    name = item["name"].partition("[")[0]
    named = next((p for end, p in _PEERS.items() if name.endswith(f"_{end}")), "fastmm")
    return {
        "name": item["name"],
        "task": info.get("task") or item.get("group") or name,
        "device": info.get("device", "CPU"),
        "peer": info.get("peer", named),
        "stats": {key: item["stats"][key] for key in _STATS if key in item["stats"]},
        "info": info,
    }


def _target(peer: dict[str, Any]) -> float | None:
    if peer["device"] != "CPU" or peer["info"].get("sizes") == "small":
        return None
    for task, name, ratio in TARGETS:
        if peer["task"].startswith(task) and peer["peer"] == name:
            return ratio
    return None


def _rate(info: dict[str, Any]) -> str:
    if "files/s" in info:
        return f"{info['files/s']:,} files/s"
    return f"{info['GB/s']:.1f} GB/s" if "GB/s" in info else ""


def _verdict(against: dict[str, Any] | None) -> str:
    if against is None or against["target"] is None:
        return ""
    return f"{against['target']:g} x: {'reached' if against['reached'] else 'missed'}"


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """Return what was measured on, as lines of Markdown."""
    if not machine:
        return ["Machine: not recorded."]
    gpu = machine.get("gpu")
    versions = [f"{n} {v}" for n, v in machine.get("versions", {}).items() if v]
    load_average = machine.get("load_average", ["?"])[0]
    return [
        f"fastmm {machine.get('fastmm')} at {machine.get('commit')}, Python "
        f"{machine.get('python')}, {', '.join(versions)}.  ",
        f"CPU: {machine.get('cpu')}, {machine.get('cores')} cores, "
        f"{machine.get('memory_gib')} GiB; load average at the start {load_average}.  ",
        "GPU: none."
        if not gpu
        else f"GPU: {gpu['name']}, {gpu['memory_gib']} GiB, CUDA runtime {gpu['cuda_runtime']}, "
        f"driver: {gpu['nvidia_smi']}.",
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", type=Path)
    parser.add_argument("--name", default="table", help="which table of the README")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    machine, records = load(args.results)
    text = table(machine, records)
    print(text)
    compared = ratios(records)
    if args.json:
        found = {"machine": machine, "ratios": compared, "benchmarks": records}
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    if args.readme:
        put_into_readme(text, args.readme, args.name)
    missed = [r for r in compared if r["reached"] is False]
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
