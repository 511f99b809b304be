"""What a machine can do: measured here in a second or two, or stated."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fastmm._space import Space, cuda_available
from fastmm.solve.threads import one_thread, scipy_threads_only

__all__ = [
    "STATED_GPU",
    "STATED_NODE",
    "Machine",
    "measured_gpu",
    "storage_rate",
    "this_machine",
    "with_storage",
]

_SAMPLE = 32 << 20  # bytes of files that are read to learn the rate of their storage
_ASSUMED_STORAGE = 1e9  # where there are no files to try: an NVMe disk behind a file system


@dataclass(frozen=True)
class Machine:
    """Rates of a machine: bytes per second, flops per second.

    Attributes
    ----------
    name : str
        What it is called.
    cores : int
        Cores in use, or 1 for a GPU, which counts as a whole.
    memory : float
        Bytes.
    copy, core_copy : float
        Bytes per second, read and written, of all cores and of one.
    float32, float64, core_float64 : float
        Flops per second of matrix products.
    storage : float
        Bytes per second from files.
    upload : float or None
        Bytes per second from the host to a GPU; None for a processor.
    stated : bool
        Whether the rates are stated, and not measured here.

    Examples
    --------
    >>> STATED_GPU.stated
    True
    """

    name: str
    cores: int
    memory: float
    copy: float
    core_copy: float
    float32: float
    float64: float
    core_float64: float
    storage: float = _ASSUMED_STORAGE
    upload: float | None = None
    stated: bool = False


# NVIDIA's data sheet of the H200 SXM: 141 GB at 4.8 TB/s, 67 TFLOP/s in float32 and in float64
# products. Copies and products are taken to reach 0.85 and 0.75 of that, uploads from pageable
# memory 10 GB/s of 64.
STATED_GPU = Machine(
    "H200", 1, 141e9, 0.85 * 4.8e12, 0.85 * 4.8e12, 0.75 * 67e12, 0.75 * 67e12, 0.75 * 67e12,
    upload=10e9, stated=True,
)  # fmt: skip


# A node with two processors of 16 cores: products reach 40 GFLOP/s a core in float64, copies
# 0.75 of eight channels of DDR5-4800, a parallel file system gives 2 GB/s.
STATED_NODE = Machine(
    "node of 32 cores", 32, 256e9, 230e9, 20e9, 2 * 32 * 40e9, 32 * 40e9, 40e9, 2e9, stated=True
)


@cache
def this_machine() -> Machine:
    """Measure this machine: copies and matrix products, with all cores and with one."""
    from fastmm.bench.limits import measure_limits
    from fastmm.bench.machine import cores
    from fastmm.environment import processor
    from fastmm.solve.memory import memory_limit

    space = Space("cpu")
    every = measure_limits(space, quick=True)
    with one_thread(space), scipy_threads_only(space):
        product = _product()
        lone = 2 * len(product[0]) ** 3 / _best(lambda: np.matmul(*product[:2], out=product[2]))
    source = np.ones(1 << 24, np.float32)
    target = np.zeros_like(source)
    lone_copy = 2 * source.nbytes / _best(lambda: np.copyto(target, source))
    count = cores()
    return Machine(
        processor(), count, 2.0 * memory_limit(space), max(every.copy, lone_copy), lone_copy,
        every.float32, max(every.float64, lone), lone,
    )  # fmt: skip


@cache
def measured_gpu() -> Machine | None:
    """Measure the GPU of this machine; None where none is usable."""
    if not cuda_available():
        return None
    from fastmm.bench.devices import memory_of, model_of
    from fastmm.bench.limits import measure_limits

    space = Space("cuda")
    found = measure_limits(space, quick=True)
    return Machine(
        model_of(space), 1, float(memory_of(space)), found.copy, found.copy, found.float32,
        found.float64, found.float64, upload=found.pageable_upload,
    )  # fmt: skip


def with_storage(machine: Machine, files: Sequence[Path]) -> Machine:
    """Return the machine with the rate at which these files come, as they lie now."""
    rate = storage_rate(files)
    return machine if rate is None else replace(machine, storage=rate)


def storage_rate(files: Sequence[Path]) -> float | None:
    """Read a few files whole; return bytes per second, None where there is too little to tell.

    Some files at a time, as a run does. What is in memory already comes from there, and will in
    the run.
    """
    some, total = [], 0
    for file in files:
        total += file.stat().st_size
        some.append(file)
        if total >= _SAMPLE:
            break
    if total < 1 << 16:
        return None
    start = time.perf_counter()
    with ThreadPoolExecutor(max(4, os.cpu_count() or 1)) as pool:
        found = sum(pool.map(_read, some))
    return found / (time.perf_counter() - start)


def _read(file: Path) -> int:
    found = 0
    with file.open("rb", buffering=0) as stream:
        while (part := stream.read(1 << 20)) and found < _SAMPLE:
            found += len(part)
    return found


def _product() -> tuple[Any, Any, Any]:
    one = np.random.default_rng(0).standard_normal((768, 768))
    return one, one.T.copy(), np.empty_like(one)


def _best(call: Callable[[], object]) -> float:
    """Return the least time of a few: what a core does where it is left alone."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
