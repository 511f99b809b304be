"""Operators on memory-mapped arrays under a limit of memory, against one call on all of it.

The ratio of the two times in a task is what streaming costs; `peak_of_limit` is the peak of
memory above the start of the call, over the limit, in a process of its own.
``python benchmarks/bench_streaming.py [--most MB] [--json FILE] [--readme FILE]`` measures time
and memory as files grow, in less than 90 s for each operator (--only) and 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from summary import put_into_readme

import fastmm
from fastmm.bench.machine import describe
from fastmm.streams.limits import check_limit

ROOT = Path(__file__).resolve().parent.parent
FULL, SMALL = (256, 512, "64MB"), (6, 64, "16MB")  # images, side, limit
SIZES, LIMIT, ROUNDS = (64, 256, 1024, 4096), "128MB", 3  # of files in MB, as they grow
AT_ONCE = 1024  # MB of the largest file that is brought into memory as a whole

OPERATORS: dict[str, Callable[..., Any]] = {
    "resize to a quarter": lambda x, **to: fastmm.resize(x, (x.shape[1] // 4,) * 2, **to),
    "z-score": lambda x, **to: fastmm.normalize(x, **to),
    "statistics of 16 x 16": lambda x, **to: fastmm.patch_statistics(
        x, (16, 16), step=16, statistics=("mean", "std"), **to
    ),
}


@pytest.fixture(params=sorted(OPERATORS))
def files(request: Any, pick: Any, tmp_path: Path) -> tuple[str, Any, Any, str]:
    """Give an operator's name, images on disk, a place on disk for its result, and a limit."""
    count, side, limit = pick(FULL, SMALL)
    images, out = written(tmp_path, request.param, count, side)
    return request.param, images, out, limit


def bench_streaming(timed: Any, files: Any) -> None:
    """Go from a mapped file to a mapped file, some images at a time."""
    name, images, out, limit = files
    expected = OPERATORS[name](images)
    timed(
        lambda: OPERATORS[name](images, memory_limit=limit, out=out),
        group=group(name, images),
        peer=f"fastmm, within {limit}",
        bytes=images.nbytes + out.nbytes,
        check=lambda result: error_of(result, expected),
        on="CPU",
    )


def bench_streaming_at_once(timed: Any, files: Any) -> None:
    """Bring the same file into memory as a whole, and the result out of it."""
    name, images, out, _ = files
    expected = OPERATORS[name](images)

    def call() -> Any:
        out[:] = OPERATORS[name](np.array(images))
        return out

    timed(
        call,
        group=group(name, images),
        peer="fastmm, at once",
        bytes=images.nbytes + out.nbytes,
        check=lambda result: error_of(result, expected),
        on="CPU",
    )


@pytest.mark.parametrize("within", [True, False])
def bench_streaming_in_memory(timed: Any, files: Any, within: bool) -> None:
    """Go from memory into an array that is given, in chunks, against a plain call."""
    name, images, out, limit = files
    images, given = np.array(images), np.array(out)
    to = {"memory_limit": limit, "out": given} if within else {}
    expected = OPERATORS[name](images)
    timed(
        lambda x: OPERATORS[name](x, **to),
        images,
        group=group(name, images).replace("file to file", "in memory"),
        peer=f"fastmm, within {limit}" if within else "fastmm, at once",
        bytes=images.nbytes + out.nbytes,
        check=lambda result: error_of(result, expected),
    )


def bench_streaming_peak(benchmark: Any, files: Any) -> None:
    """Measure the peak of memory over the limit; the time is that of a whole process."""
    name, images, out, limit = files
    given = "peak", name, str(images.filename), str(out.filename), limit
    found = benchmark.pedantic(in_process, given, rounds=1)
    share = found["peak"] / check_limit(limit)
    benchmark.extra_info.update(peak_of_limit=share, peer="fastmm")
    assert share <= 1.3


def group(name: str, images: Any) -> str:
    """Return the task."""
    return f"{name}, {len(images)} x {images.shape[1]} x {images.shape[2]} int16, file to file"


def error_of(result: Any, expected: Any) -> float:
    """Return the largest difference, which is none."""
    return float(abs(np.asarray(result) - expected).max())


def written(folder: Path, name: str, count: int, side: int) -> tuple[Any, Any]:
    """Write images; return them mapped, and a mapped place for the result of an operator."""
    some = np.random.default_rng(0).integers(-1000, 3000, (16, side, side), np.int16)
    images = mapped(folder / "images.npy", (count, side, side), "int16")
    for start in range(0, count, 16):
        images[start : start + 16] = some[: count - start]
    images.flush()
    like = OPERATORS[name](some[:1])
    out = mapped(folder / "out.npy", (count, *like.shape[1:]), like.dtype)
    return np.load(folder / "images.npy", mmap_mode="r"), out


def mapped(path: Path, shape: tuple[int, ...], dtype: Any) -> Any:
    """Make a mapped array."""
    return np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=shape)


def in_process(what: str, name: str, source: str, target: str, limit: str) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--one", what, name, source, target, limit]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def call(name: str, source: str, target: str, limit: str) -> None:
    """Go from file to file, at once if there is no limit."""
    out = np.load(target, mmap_mode="r+")
    if limit:
        OPERATORS[name](np.load(source, mmap_mode="r"), memory_limit=limit, out=out)
    else:
        out[:] = OPERATORS[name](np.load(source))


def peak(name: str, source: str, target: str, limit: str) -> dict[str, float]:
    """Return the peak of memory above that before the call."""
    some, out = np.load(source, mmap_mode="r")[:2], np.load(target, mmap_mode="r+")[:2]
    OPERATORS[name](some, **({"memory_limit": limit, "out": out} if limit else {}))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    call(name, source, target, limit)
    return {"peak": resident("VmHWM") - before}


def times(name: str, source: str, target: str, limit: str) -> dict[str, float]:
    """Return the least time of each way, in turns, in seconds and of the processor."""
    found: dict[str, list[float]] = {}
    for turn in range(ROUNDS + 1):
        for way in ("", limit) if Path(source).stat().st_size < 2 * AT_ONCE * 1e6 else (limit,):
            wall, own = time.perf_counter(), time.process_time()
            call(name, source, target, way)
            taken = {"seconds": time.perf_counter() - wall, "processor": time.process_time() - own}
            if turn:
                for unit, value in taken.items():
                    found.setdefault(f"{unit} {'within' if way else 'at once'}", []).append(value)
    return {each: min(own) for each, own in found.items()}


def resident(key: str) -> float:
    """Return an entry of this process's status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith(key))


def growing(least: int, most: int, names: list[str]) -> Iterator[dict[str, Any]]:
    """Measure each operator on files that grow, at once and within a limit."""
    for name in names:
        for size in SIZES:
            if not least <= size <= most:
                continue
            with tempfile.TemporaryDirectory() as folder:
                images, out = written(Path(folder), name, size * 2, 512)
                given = name, str(images.filename), str(out.filename)
                record: dict[str, Any] = {"task": name, "MB": size, "result": out.nbytes}
                del images, out
                record |= in_process("times", *given, LIMIT)
                record["peak within"] = in_process("peak", *given, LIMIT)["peak"]
                if size <= AT_ONCE:
                    record["peak at once"] = in_process("peak", *given, "")["peak"]
            print(row(record), flush=True)
            yield record


def row(record: dict[str, Any]) -> str:
    """Return a row of the table."""

    def share(unit: str) -> str:
        once = record.get(f"{unit} at once")
        return "" if once is None else f"{record[f'{unit} within'] / once:.2f}"

    def shown(key: str, unit: float, text: str) -> str:
        return text.format(record[key] / unit) if key in record else ""

    cells = [
        record["task"],
        f"{record['MB']:,} MB",
        shown("seconds at once", 1, "{:.2f} s"),
        shown("seconds within", 1, "{:.2f} s"),
        share("seconds"),
        share("processor"),
        shown("peak at once", 1e6, "{:,.0f} MB"),
        shown("peak within", 1e6, "{:,.0f} MB"),
        f"{record['peak within'] / (check_limit(LIMIT) or 1):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def table(records: list[dict[str, Any]]) -> str:
    """Return all rows under their heads."""
    heads = (
        "operator", "file", "at once", f"within {LIMIT}", "ratio", "ratio of processor time",
        "peak at once", "peak within", "of the limit",
    )  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "| --- " + "| ---: " * (len(heads) - 1) + "|"]
    return "\n".join([*lines, *map(row, records)])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=1024, help="MB of the largest file")
    parser.add_argument("--least", type=int, default=0, help="MB of the smallest")
    parser.add_argument("--only", choices=sorted(OPERATORS), help="one operator")
    parser.add_argument("--json", type=Path, help="record to write; what it holds is kept")
    parser.add_argument("--readme", type=Path)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps({"times": times, "peak": peak}[args.one[0]](*args.one[1:])))
        return
    found: dict[tuple[str, int], dict[str, Any]] = {}
    if args.json and args.json.exists():
        before = json.loads(args.json.read_text())["growing"]
        found = {(record["task"], record["MB"]): record for record in before}
    for record in growing(args.least, args.most, [args.only] if args.only else list(OPERATORS)):
        found[record["task"], record["MB"]] = record
        records = sorted(found.values(), key=lambda r: (list(OPERATORS).index(r["task"]), r["MB"]))
        if args.json:
            own = {"machine": describe(), "growing": records}
            args.json.write_text(json.dumps(own, indent=1) + "\n")
        if args.readme:
            put_into_readme(table(records), args.readme, "streaming")


if __name__ == "__main__":
    main()
