"""Calls that read files, made ahead of their consumer by threads, results in order."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

from fastmm.errors import FastmmError

__all__ = ["CORES", "READERS", "read_ahead", "read_patiently"]

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
READERS = max(4, CORES)  # files that are read at a time: some wait for the disk
_SLOW = 0.02  # seconds that a call waits for a slow disk; a busy machine takes less away


def read_ahead(
    pool: Executor, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[Any, Any]]:
    """Yield (error, result) of each call in order, few calls ahead of the consumer."""
    running: deque[Future[Any]] = deque()
    todo = iter(calls)
    try:
        while True:
            while len(running) < 2 * READERS and (call := next(todo, None)) is not None:
                running.append(pool.submit(function, *call))
            if not running:
                return
            try:
                yield None, running.popleft().result()
            except (FastmmError, OSError) as error:
                yield error, None
    finally:
        for future in running:
            future.cancel()


def read_patiently(
    pool: Executor | None, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[Any, Any]]:
    """Yield as `read_ahead`, but take threads only where calls wait for the disk.

    Work that is mostly Python's gets slower when threads share it.
    """
    todo = iter(calls)
    for call in todo:
        start, busy = time.perf_counter(), time.thread_time()
        error = result = None
        try:
            result = function(*call)
        except (FastmmError, OSError) as fault:
            error = fault
        took, worked = time.perf_counter() - start, time.thread_time() - busy
        yield error, result
        if pool is not None and took - worked > _SLOW:
            yield from read_ahead(pool, function, todo)
            return
