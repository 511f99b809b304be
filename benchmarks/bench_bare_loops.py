"""Bare loops: what reading the input that a result needs, and writing as much, takes at least.

No arithmetic but a sum, all cores, results in memory used before. The table sets their times
beside fastmm's as the limit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from bench_interpolation import DOWN, TINY, UP, VOLUMES, group, volume_group
from bench_resizing import neighbours, resize_group
from intensity_peers import FULL, SMALL, float_images, group_of

from fastmm._memory import empty

TASKS = ("normalise by z-score", "normalise by min-max", "window")


@cache
def loop() -> Callable[..., None]:
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def run(images: Any, rows: Any, out: Any) -> None:
        for n in numba.prange(images.shape[0]):
            total = images.dtype.type(0)
            for row in rows:
                line = images[n, row]
                for i in range(line.size):
                    total += line[i]
            flat = out[n]
            for i in range(flat.size):
                flat[i] = total

    return run


def bare(timed: Any, images: np.ndarray, rows: np.ndarray, pixels: int, task: str) -> None:
    def call(x: np.ndarray) -> np.ndarray:
        out = empty((len(x), pixels), np.float32)
        loop()(x, rows, out)
        return out

    timed(
        call,
        images,
        group=task,
        peer="bare loop",
        bytes=4 * len(images) * (rows.size * images.shape[2] + pixels),
        check=lambda out: error_of(out, images, rows),
        tolerance=1e-3,
    )


def error_of(result: np.ndarray, images: np.ndarray, rows: np.ndarray) -> float:
    sums = images[[0, -1]][:, rows].sum((1, 2), dtype=np.float64)
    sizes = np.abs(images[[0, -1]][:, rows]).sum((1, 2), dtype=np.float64)
    return float((np.abs(result[[0, -1]] - sums[:, None]) / sizes[:, None]).max())


@pytest.mark.parametrize("task", TASKS)
def bench_intensity(timed: Any, pick: Any, task: str) -> None:
    images = float_images(*pick(FULL, SMALL))
    side = images.shape[1]
    bare(timed, images, np.arange(side), side * side, group_of(task, images))


@pytest.mark.parametrize(("method", "size"), [("linear", DOWN), ("cubic", DOWN), ("area", DOWN),
                                              ("linear", UP), ("cubic", UP)])  # fmt: skip
def bench_resize(timed: Any, pick: Any, method: str, size: Any) -> None:
    n, before, after = pick(size, TINY[size])
    images = float_images(n, before)
    rows, task = np.arange(before), group(method, n, before, after)
    if method == "linear" and size == DOWN:
        rows = np.union1d(*neighbours(before, after)[:2])
        task = resize_group(n, before, after)
    bare(timed, images, rows, after * after, task)


@pytest.mark.parametrize("which", list(VOLUMES))
def bench_volumes(timed: Any, pick: Any, which: str) -> None:
    n, before, after = pick(*VOLUMES[which])
    given = float_images(n * before, before).reshape(n, before * before, before)
    bare(timed, given, np.arange(before * before), after**3, volume_group(n, before, after))
