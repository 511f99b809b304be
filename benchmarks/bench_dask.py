"""Two workers against one and against none; fits in chunks against fits in memory.

``pytest benchmarks/bench_dask.py`` times each by itself. ``python benchmarks/bench_dask.py
[reading] [fitting]`` takes turns, so that a ratio does not change with what else the machine
does, and prints medians. Each worker has one core to itself: more would be taken by the
threads that read.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastmm import RidgeCV
from fastmm.blocks import Block
from fastmm.cohort import Cohort, read_cohort
from fastmm.datasets import make_cohort
from fastmm.modalities import ImageModality
from fastmm.stopwatch import Stopwatch

PATIENTS, ROWS = 240, (40_000, 400)  # 1,920 CT slices and as many MR slices; 64 MB of float32
ALPHAS = (0.1, 1.0, 10.0, 100.0)
LIMIT = "48MB"
MODALITIES = {"ct": ImageModality(window=(0.0, 2000.0)), "mr": ImageModality(normalize="zscore")}


@pytest.mark.parametrize("workers", [2, 1, 0])
def bench_extract(timed: Any, pick: Any, tmp_path: Path, workers: int) -> None:
    patients = pick(PATIENTS, 4)
    cohort = cohort_of(tmp_path, patients)
    expected = alone(cohort)
    with cluster(workers) as address:
        timed(
            (lambda: alone(cohort)) if address is None else (lambda: spread(cohort, address)),
            group=f"read and describe {patients} patients",
            peer=("no dask", "one worker", "fastmm")[workers],
            files=sum(1 for _ in tmp_path.rglob("*.dcm")),
            check=lambda blocks: apart(blocks, expected),
            tolerance=0.0,
            on="CPU",
        )


@pytest.mark.parametrize("how", ["chunks", "memory", "dask"])
def bench_fit(timed: Any, pick: Any, tmp_path: Path, how: str) -> None:
    n, d = pick(ROWS, (600, 20))
    X, y, groups = rows_of(tmp_path, n, d)
    expected = RidgeCV(ALPHAS).fit(np.array(X), y, groups=groups).cv_predictions_
    timed(
        fits(X, y, groups, LIMIT)[how],
        group=f"ridge search {n} x {d}, patients left out",
        peer={"chunks": "fastmm", "memory": "in memory", "dask": "dask, threads"}[how],
        bytes=X.nbytes,
        check=lambda model: float(abs(model.cv_predictions_ - expected).max()),
        tolerance=1e-6,
        on="CPU",
    )


def cohort_of(folder: Path, patients: int) -> Cohort:
    file = make_cohort(folder / "cohort", patients, 0, missing=0.0)
    return read_cohort(file, label="malignant", group="patient", images=list(MODALITIES))


def alone(cohort: Cohort) -> dict[str, Block]:
    found = {}
    for name, modality in MODALITIES.items():
        loaded = modality.load(cohort.scans(name), device="cpu")
        found[name] = modality.extract(loaded.images)
    return found


def spread(cohort: Cohort, address: str) -> dict[str, Block]:
    from fastmm.findings.cluster import extract_on_cluster

    quiet = lambda name: lambda done, total: None  # noqa: E731
    return extract_on_cluster(cohort, MODALITIES, address, "cpu", Stopwatch(), quiet, 0)[0]


def apart(blocks: dict[str, Block], expected: dict[str, Block]) -> float:
    return max(float(abs(blocks[n].values - expected[n].values).max()) for n in expected)


@contextmanager
def cluster(workers: int) -> Iterator[str | None]:
    """Start worker processes, each pinned to a core; none for 0."""
    if workers == 0:
        yield None
        return
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as made, distributed.Client(made) as client:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        for worker, core in zip(client.nthreads(), cores, strict=False):
            client.run(pin, core, workers=[worker])
        yield made.scheduler_address


def pin(core: int) -> None:
    """Keep every thread of this process, and those to come, on one core."""
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def rows_of(folder: Path, n: int, d: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Write rows to a file, and map it."""
    rng, file = np.random.default_rng(0), folder / "X.npy"
    X = np.lib.format.open_memmap(file, "w+", np.float32, (n, d))
    for start in range(0, n, 10_000):
        X[start : start + 10_000] = rng.normal(size=X[start : start + 10_000].shape)
    X.flush()
    return np.load(file, mmap_mode="r"), rng.normal(size=n), np.arange(n) // 8


def fits(X: Any, y: Any, groups: Any, limit: str) -> dict[str, Callable[[], Any]]:
    def by_dask() -> Any:
        da = pytest.importorskip("dask.array", reason="dask is not installed")
        lazy = da.from_array(X, chunks=(5000, X.shape[1]))
        return RidgeCV(ALPHAS).fit(lazy, y, groups=groups)

    return {
        "memory": lambda: RidgeCV(ALPHAS).fit(np.array(X), y, groups=groups),
        "chunks": lambda: RidgeCV(ALPHAS, memory_limit=limit).fit(X, y, groups=groups),
        "dask": by_dask,
    }


def in_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of calls that take turns, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(own) for name, own in times.items()}


def processor(call: Callable[[], Any], address: str) -> tuple[float, list[float]]:
    """Return the processor time of a call here, and of each worker: load disturbs it little."""
    from distributed import Client

    with Client(address) as client:
        before, start = client.run(time.process_time), time.process_time()
        call()
        here, after = time.process_time() - start, client.run(time.process_time)
    return here, [after[worker] - before[worker] for worker in before]


def reading() -> None:
    """Measure reading and features, with no worker, one and two, in turns."""
    with tempfile.TemporaryDirectory() as folder, cluster(1) as one, cluster(2) as two:
        cohort = cohort_of(Path(folder), PATIENTS)
        found = in_turns(
            {
                "no dask, all cores": lambda: alone(cohort),
                "one worker": lambda: spread(cohort, str(one)),
                "two workers": lambda: spread(cohort, str(two)),
            },
            rounds=3,
        )
        for name, seconds in found.items():
            print(f"read and describe {PATIENTS} patients, {name}: {seconds:.3f} s")
        print(f"two workers against one: {found['one worker'] / found['two workers']:.2f} times")
        own = [processor(lambda at=at: spread(cohort, at), at) for at in (str(one), str(two))]
        for name, (here, workers) in zip(("one worker", "two workers"), own, strict=True):
            shares = ", ".join(f"{seconds:.2f}" for seconds in workers)
            print(f"processor time, {name}: {shares} s, and {here:.2f} s that hands out and joins")
        (alone_here, (all_of_it,)), (here, halves) = own
        ratio = (alone_here + all_of_it) / (here + max(halves))
        print(f"two against one by processor time, nothing overlapping: {ratio:.2f} times")


def fitting() -> None:
    """Measure a ridge search in memory, in chunks, and on dask arrays, in turns."""
    n, d = ROWS[0] // 2, ROWS[1] // 2
    with tempfile.TemporaryDirectory() as folder:
        found = in_turns(fits(*rows_of(Path(folder), n, d), "16MB"), rounds=3)
    for name, seconds in found.items():
        share = seconds / found["memory"]
        print(f"ridge search {n} x {d}, {name}: {seconds:.3f} s, {share:.2f} of in memory")


def main() -> None:
    """Measure what is named, or all, and print."""
    parts = {"reading": reading, "fitting": fitting}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
