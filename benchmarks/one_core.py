"""One core in its own time: what others at work on the same machine disturb little."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np

from fastmm.bench.machine import memory
from fastmm.planning.machines import Machine

__all__ = ["ONE", "be_alone", "one_core"]

ONE = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def be_alone() -> None:
    """Begin anew with one thread, unless that is so; libraries read it when they load."""
    if any(os.environ.get(name) != value for name, value in ONE.items()):
        os.environ.update(ONE)
        os.execv(sys.executable, [sys.executable, *sys.argv])


def one_core() -> Machine:
    """Measure one core, in its processor time; BLAS has been told of one thread."""
    product, copied = np.random.default_rng(0).standard_normal((1024, 1024)), np.ones(1 << 24)
    other, target = product.T.copy(), np.zeros_like(copied)
    out, narrow = np.empty_like(product), product.astype(np.float32)
    flops = 2 * 1024**3
    wide = flops / least(lambda: np.matmul(product, other, out=out))
    copy = 2 * copied.nbytes / least(lambda: np.copyto(target, copied))
    return Machine(
        "one core here", 1, float(memory()), copy, copy, flops / least(lambda: narrow @ narrow),
        wide, wide, 5e9,
    )  # fmt: skip


def least(call: Any) -> float:
    times = []
    for _ in range(5):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)
