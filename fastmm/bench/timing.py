"""Time a call: warmed up, waited for, with inputs that no cache still holds."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.bench.machine import last_level_cache

__all__ = ["Timing", "peak_memory", "rotation", "time_call", "waiter"]

_MOST_SETS = 16
_FEWEST_ROUNDS, _MOST_ROUNDS = 3, 200


@dataclass(frozen=True)
class Timing:
    """The time of one call in seconds: median, quartiles and extremes of some rounds."""

    median: float
    low: float
    high: float
    least: float
    rounds: int

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        return (self.high - self.low) / 2 / self.median


def time_call(
    call: Callable[..., Any],
    sets: Sequence[tuple[Any, ...]],
    wait: Callable[[], Any],
    budget: float,
) -> Timing:
    """Time `call` with one set of arguments after the other, for `budget` seconds or so.

    The first rounds are not counted: they compile, fill pools and set clocks. What a round
    returns is freed before the next clock starts, and the device is waited for within it.
    """
    times: list[float] = []
    end, turn = float("inf"), 0
    while len(times) < _FEWEST_ROUNDS or (time.perf_counter() < end and len(times) < _MOST_ROUNDS):
        arguments = sets[turn % len(sets)]
        start = time.perf_counter()
        result = call(*arguments)
        wait()
        seconds = time.perf_counter() - start
        del result
        if turn < 2:  # warm-up
            end = time.perf_counter() + budget
        else:
            times.append(seconds)
        turn += 1
    low, median, high = np.quantile(times, (0.25, 0.5, 0.75))
    return Timing(float(median), float(low), float(high), min(times), len(times))


def waiter(space: Space) -> Callable[[], Any]:
    """Return what waits until the device has done its work; on the host there is none."""
    if space.kind != "cuda":
        return lambda: None
    return space.xp.cuda.get_current_stream().synchronize  # type: ignore[no-any-return]


def rotation(arguments: tuple[Any, ...], space: Space) -> list[tuple[Any, ...]]:
    """Return copies of the arguments, so many that twice the cache lies between two uses."""
    size = max(1, sum(leaf.nbytes for leaf in _arrays(arguments)))
    cache = last_level_cache("GPU" if space.kind == "cuda" else "CPU")
    count = int(np.clip(-(-2 * cache // size), 1, _MOST_SETS))
    return [arguments, *(_copied(arguments) for _ in range(count - 1))]


@contextmanager
def peak_memory(space: Space) -> Iterator[Callable[[], int]]:
    """Yield what tells, at the end of the body, how many bytes were allocated at most.

    On the CPU what NumPy and Python allocate is counted, on a GPU what CuPy's pool hands out.
    """
    if space.kind == "cuda":
        with _pool_watch(space) as peak:
            yield peak
        return
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()


@contextmanager
def _pool_watch(space: Space) -> Iterator[Callable[[], int]]:
    cupy = space.xp

    class Watch(cupy.cuda.memory_hook.MemoryHook):  # type: ignore[misc, name-defined]
        name = "fastmm.bench"
        used = peak = 0

        def malloc_postprocess(self, **facts: Any) -> None:
            self.used += facts["mem_size"]
            self.peak = max(self.peak, self.used)

        def free_postprocess(self, **facts: Any) -> None:
            self.used -= facts["mem_size"]

    with Watch() as watch:
        yield lambda: int(watch.peak)


def _arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _arrays(item)
    elif hasattr(value, "nbytes"):
        yield value


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(item) for item in value)
    return value.copy() if hasattr(value, "nbytes") else value
