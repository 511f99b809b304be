"""Put the parts of a GPU run into one record: ``gpu_record.py PARTS JSON TEXT``, by run_gpu.sh."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from summary import load, machine_lines, ratios, table

__all__ = ["combine"]


def combine(parts: Path, json_file: Path, text_file: Path) -> None:
    """Put what run_gpu.sh's parts left in the folder `parts` into one JSON and one text."""
    machine = _json(parts / "environment.json")
    measured, records = load(sorted(parts.glob("bench_*.json")))
    machine = machine or measured
    states = [
        dict(zip(("part", "state", "exit_code", "seconds"), line.split("\t"), strict=True))
        for line in (parts / "parts.tsv").read_text().splitlines()
    ]
    for state in states:
        state["exit_code"] = int(state["exit_code"]) if state["exit_code"] != "-" else None
        state["seconds"] = int(state["seconds"])
    found = {
        "machine": machine,
        "parts": states,
        "tests": _junit(parts / "tests.xml"),
        "gpu_tests": _junit(parts / "gpu-tests.xml"),
        "alone_tests": _junit(parts / "alone-tests.xml"),
        "limits": _json(parts / "limits.json"),
        "launches": _json(parts / "launches.json"),
        "stages": _json(parts / "stages.json"),
        "ratios": ratios(records),
        "benchmarks": records,
    }
    json_file.write_text(json.dumps(found, indent=1) + "\n")
    lines = [
        *(f"{s['state']:>20}  {s['seconds']:4d} s  {s['part']}" for s in states),
        "",
        f"tests: {json.dumps(found['tests'])}",
        f"tests on the GPU: {json.dumps([found['gpu_tests'], found['alone_tests']])}",
        f"limits: {json.dumps(found['limits'])}",
        "",
        table(machine, records) if records else "\n".join([*machine_lines(machine), "No times."]),
        "",
        (parts / "log.txt").read_text(errors="replace"),
    ]
    text_file.write_text("\n".join(lines))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _junit(path: Path) -> dict[str, Any] | None:
    # pytest writes the file at the end: a run that was cut off leaves none.
    try:
        suite = ElementTree.parse(path).getroot().find("testsuite")
    except (OSError, ElementTree.ParseError):
        return None
    if suite is None:
        return None
    found: dict[str, Any] = {
        key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")
    }
    found["on_gpu"] = sum(
        1
        for case in suite.iter("testcase")
        if re.search(r"\bcupy\b|\bcuda\b", case.get("name", "")) and case.find("skipped") is None
    )
    found["failed"] = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return found


if __name__ == "__main__":
    combine(*map(Path, sys.argv[1:]))
