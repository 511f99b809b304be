"""Several training runs at once, each on its own share of the cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from fastmm.deep.tensors import import_torch

__all__ = ["Progress", "train_at_once"]

Progress = Callable[[int, int], object]


class _StoppedError(Exception):
    """Another run failed, or the user interrupted: what is under way is of no use."""


def train_at_once(
    runs: Sequence[Callable[[Progress], Any]],
    progress: Progress | None = None,
    *,
    together: bool = True,
) -> list[Any]:
    """Call every run with a ``progress(done, total)``, and return what they return.

    Convolutions of small batches gain little from a second thread, networks side by side
    do: torch releases the interpreter while it computes. A run computes the same bits
    beside others as alone, on as many threads as it then has.

    Parameters
    ----------
    runs : sequence of callable
        Each trains one network, and calls what it is given after each epoch.
    progress : callable, optional
        Called as ``progress(done, total)``, in thousandths of all runs, from one thread at a
        time.
    together : bool, default True
        Whether runs may compute at once. One after the other on a GPU, which one fills.

    Returns
    -------
    list
        One result a run, in their order.

    Examples
    --------
    >>> from fastmm.deep.at_once import train_at_once
    >>> train_at_once([lambda told: told(1, 2), lambda told: 7])
    [None, 7]
    """
    told = _Shares(len(runs), progress)
    cores = _cores()
    threads = min(len(runs), cores) if together else 1
    if threads < 2:
        return [run(told.of(number)) for number, run in enumerate(runs)]
    with _torch_threads(max(1, cores // threads)), ThreadPoolExecutor(threads) as pool:
        under_way = [pool.submit(run, told.of(number)) for number, run in enumerate(runs)]
        try:
            return [each.result() for each in under_way]
        except BaseException:
            told.stopped.set()
            for each in under_way:
                each.cancel()
            raise


class _Shares:
    """Adds up what the runs have done, and ends all of them once one has failed."""

    def __init__(self, count: int, progress: Progress | None) -> None:
        self.done, self.progress = [0.0] * count, progress
        self.lock, self.stopped = threading.Lock(), threading.Event()

    def of(self, number: int) -> Progress:
        def tell(done: int, total: int) -> None:
            if self.stopped.is_set():
                raise _StoppedError
            with self.lock:
                self.done[number] = done / total
                if self.progress is not None:
                    self.progress(round(1000 * sum(self.done)), 1000 * len(self.done))

        return tell


def _cores() -> int:
    """Return the number of cores that this process may use, and torch would."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(allowed or 1, int(import_torch().get_num_threads())))


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads for an operation; new threads take over what is set here."""
    torch = import_torch()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
