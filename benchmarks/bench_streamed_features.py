"""Features, patches and kernels from files under a limit of memory, against calls in memory.

A file is mapped, and lies in the system's memory: what is measured is what parts cost, not a disk.
``python benchmarks/bench_streamed_features.py [--only NAME] [--json FILE] [--readme FILE]``
compares wall and processor time with those of a call on arrays in memory, and of one that reads
the files as a whole first, in turns in one process; the peak of memory is that of a process of
its own. Less than 30 s for each on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from bench_streaming import resident
from summary import put_into_readme

import fastmm
from fastmm.bench.machine import describe

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 7
SMALL = 20  # times fewer rows, and of the limit


class Case(NamedTuple):
    """Shapes of files, a limit, the call, the shape of a place for its result, and tolerance."""

    shapes: tuple[tuple[int, ...], ...]
    limit: float
    call: Callable[..., Any]
    out: tuple[int, ...] | None
    tolerance: float = 0.0


def _stack(a: Any, b: Any, **to: Any) -> Any:
    return fastmm.stack_features({"a": a, "b": b}, **to).X


def _merge(patches: Any, **to: Any) -> Any:
    return fastmm.merge_patches(patches, (256, 256), step=32, **to)


def _sample(images: Any, **to: Any) -> Any:
    return fastmm.sample_patches(images, (16, 16), 20, **to)[0]


def _kernel(name: str, limit: float) -> Case:
    return Case(((6000, 200),), limit, getattr(fastmm, f"{name}_kernel"), (6000, 6000), 2e-6)


CASES = {
    "stack": Case(((20000, 1500), (20000, 1000)), 60e6, _stack, (20000, 2500), 1e-6),
    "merge patches": Case(((300, 8, 8, 32, 32),), 40e6, _merge, (300, 256, 256)),
    "sample patches": Case(((2000, 256, 256),), 150e6, _sample, None),
    "linear kernel": _kernel("linear", 40e6),
    "RBF kernel": _kernel("rbf", 40e6),
    "RBF kernel, 150 MB": _kernel("rbf", 150e6),
    "Laplacian kernel": _kernel("laplacian", 40e6),
}


class Ways:
    """A case's files in a folder, and the ways to go from them to a result."""

    def __init__(self, case: Case, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.case, self._files = case, []
        for number, shape in enumerate(case.shapes):
            path = folder / f"{number}.npy"
            if not path.exists():
                np.save(path, rng.standard_normal(shape, "f4"))
            self._files.append(np.load(path, mmap_mode="r"))
        self.out = None if case.out is None else np.ones(case.out, "f4")

    def read(self) -> list[Any]:
        """Return the files as arrays in memory."""
        return [np.array(file) for file in self._files]

    def at_once(self) -> Any:
        """Read all, and make one call."""
        return self.case.call(*self.read())

    def in_parts(self) -> Any:
        """Make the call under the limit."""
        to = {} if self.out is None else {"out": self.out}
        return self.case.call(*self._files, memory_limit=int(self.case.limit), **to)

    def error(self, result: Any, expected: Any) -> float:
        """Return the largest difference, relative to the largest value."""
        return float(abs(result - expected).max() / abs(expected).max())


def smaller(case: Case) -> Case:
    """Return a case with fewer rows and less memory."""
    rows = [(shape[0] // SMALL, *shape[1:]) for shape in case.shapes]
    out = case.out and (rows[0][0], *case.out[1:])
    out = (rows[0][0],) * 2 if case.out == (6000, 6000) else out
    return case._replace(shapes=tuple(rows), limit=max(case.limit / SMALL, 16e6), out=out)


@pytest.fixture(params=["stack", "merge patches", "sample patches", "RBF kernel"])
def ways(request: Any, pick: Any, tmp_path: Path) -> Any:
    """Serve each case's name and ways."""
    case = CASES[request.param]
    return request.param, Ways(pick(case, smaller(case)), tmp_path)


@pytest.mark.parametrize("way", ["in memory", "at once", "in parts"])
def bench_streamed_features(timed: Any, ways: Any, way: str) -> None:
    """Go from mapped files to a result by each way."""
    name, own = ways
    arrays = own.read()
    expected = own.case.call(*arrays)
    calls = {
        "in memory": lambda: own.case.call(*arrays),
        "at once": own.at_once,
        "in parts": own.in_parts,
    }
    timed(
        calls[way],
        group=f"{name} of {own.case.shapes}",
        peer=f"fastmm, {way}",
        bytes=sum(array.nbytes for array in arrays) + expected.nbytes,
        check=lambda result: own.error(result, expected),
        tolerance=own.case.tolerance,
        on="CPU",
    )


def times(ways: Ways) -> dict[str, Any]:
    """Return median seconds of each way, on the wall and of the processor, and the error."""
    arrays = ways.read()
    calls = {
        "in memory": lambda: ways.case.call(*arrays),
        "at once": ways.at_once,
        "in parts": ways.in_parts,
    }
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in calls}
    for _ in range(ROUNDS + 1):
        for way, call in calls.items():
            wall, own = time.perf_counter(), time.process_time()
            result = call()
            taken[way].append((time.perf_counter() - wall, time.process_time() - own))
            if way == "in memory":
                expected = result
        error = ways.error(result, expected)
        del expected, result
    found: dict[str, Any] = {"error": error}
    for way, rounds in taken.items():
        for place, unit in enumerate(("seconds", "processor")):
            found[f"{unit} {way}"] = statistics.median(one[place] for one in rounds[1:])
    return found


def peak(ways: Ways) -> dict[str, float]:
    """Return the peak of memory above that before the call; what is given counts as before."""
    few = Ways(smaller(ways.case), Path(tempfile.mkdtemp()))
    few.in_parts()  # what is compiled and loaded stays
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    ways.in_parts()
    return {"peak": resident("VmHWM") - before}


def measured(name: str) -> dict[str, Any]:
    """Measure a case in processes of its own."""
    record: dict[str, Any] = {"task": name, "limit": CASES[name].limit}
    record["bytes"] = 4 * sum(int(np.prod(shape)) for shape in CASES[name].shapes)
    with tempfile.TemporaryDirectory() as folder:
        for what in ("times", "peak"):
            done = subprocess.run(
                [sys.executable, __file__, "--one", what, name, folder],
                cwd=ROOT, capture_output=True, text=True, check=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            record |= json.loads(done.stdout)
    return record


def row(record: dict[str, Any]) -> str:
    """Return a row of the table."""

    def ratio(unit: str, other: str) -> str:
        return f"{record[f'{unit} in parts'] / record[f'{unit} {other}']:.2f}"

    cells = [record["task"], f"{record['bytes'] / 1e6:,.0f} MB", f"{record['limit'] / 1e6:.0f} MB"]
    cells += [
        f"{record[f'seconds {w}'] * 1e3:.0f} ms" for w in ("in memory", "at once", "in parts")
    ]
    cells += [ratio("seconds", "in memory"), ratio("seconds", "at once")]
    cells += [ratio("processor", "in memory"), f"{record['peak'] / record['limit']:.2f}"]
    return "| " + " | ".join([*cells, f"{record['error']:.0e}"]) + " |"


def table(records: list[dict[str, Any]]) -> str:
    """Return all rows under their heads."""
    heads = (
        "task", "files", "limit", "in memory", "read, then at once", "in parts", "over in memory",
        "over read, at once", "processor, over in memory", "peak of the limit", "difference",
    )  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "| --- " + "| ---: " * (len(heads) - 1) + "|"]
    return "\n".join([*lines, *map(row, records)])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(CASES), help="one task")
    parser.add_argument("--json", type=Path, help="record to write; what it holds is kept")
    parser.add_argument("--readme", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        what, name, folder = args.one
        ways = Ways(CASES[name], Path(folder))
        print(json.dumps({"times": times, "peak": peak}[what](ways)))
        return
    found: dict[str, dict[str, Any]] = {}
    if args.json and args.json.exists():
        found = {one["task"]: one for one in json.loads(args.json.read_text())["streamed"]}
    for name in [args.only] if args.only else list(CASES):
        found[name] = measured(name)
        print(row(found[name]), flush=True)
        records = [found[task] for task in CASES if task in found]
        if args.json:
            own = {"machine": describe(), "streamed": records}
            args.json.write_text(json.dumps(own, indent=1) + "\n")
        if args.readme:
            put_into_readme(table(records), args.readme, "streamed")


if __name__ == "__main__":
    main()
