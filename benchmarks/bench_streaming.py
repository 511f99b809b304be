"""Operators on memory-mapped arrays under a limit of memory, against one call on all of it.

The ratio of the two times in a task is what streaming costs; `peak_of_limit` is the peak of
memory above the start of the call, over the limit, in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastmm

ROOT = Path(__file__).resolve().parent.parent
FULL, SMALL = (256, 512, "64MB"), (6, 64, "16MB")  # images, side, limit

OPERATORS = {
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
    rng = np.random.default_rng(0)
    images = mapped(tmp_path / "images.npy", (count, side, side), "int16")
    for image in images:
        image[:] = rng.integers(-1000, 3000, image.shape)
    like = OPERATORS[request.param](images[:1])
    out = mapped(tmp_path / "out.npy", (count, *like.shape[1:]), like.dtype)
    return request.param, np.load(tmp_path / "images.npy", mmap_mode="r"), out, limit


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


def bench_streaming_peak(benchmark: Any, files: Any) -> None:
    """Measure the peak of memory over the limit; the time is that of a whole process."""
    name, images, out, limit = files
    command = [sys.executable, __file__, name, str(images.filename), str(out.filename), limit]
    found = benchmark.pedantic(peak_in_process, (command,), rounds=1)
    benchmark.extra_info.update(peak_of_limit=found["peak"] / found["limit"], peer="fastmm")
    assert found["peak"] <= 1.3 * found["limit"]


def group(name: str, images: Any) -> str:
    """Return the task."""
    return f"{name}, {len(images)} x {images.shape[1]} x {images.shape[2]} int16, file to file"


def error_of(result: Any, expected: Any) -> float:
    """Return the largest difference, which is none."""
    return float(abs(np.asarray(result) - expected).max())


def mapped(path: Path, shape: tuple[int, ...], dtype: Any) -> Any:
    """Make a mapped array."""
    return np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=shape)


def peak_in_process(command: list[str]) -> dict[str, float]:
    """Run this file in a process of its own."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    return dict(json.loads(done.stdout))


def measure_peak(name: str, source: str, target: str, limit: str) -> dict[str, float]:
    """Return the limit, and the peak of resident memory above that before the call."""
    from fastmm.streams.limits import check_limit

    images, out = np.load(source, mmap_mode="r"), np.load(target, mmap_mode="r+")
    OPERATORS[name](images[:2], memory_limit=limit, out=out[:2])
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    OPERATORS[name](images, memory_limit=limit, out=out)
    return {"peak": resident("VmHWM") - before, "limit": float(check_limit(limit) or 0)}


def resident(key: str) -> float:
    """Return an entry of this process's status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith(key))


if __name__ == "__main__":
    print(json.dumps(measure_peak(*sys.argv[1:])))
