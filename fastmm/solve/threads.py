"""One pool of threads at work where NumPy and SciPy each bring their own BLAS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

from fastmm._blas import NUMPY, SCIPY
from fastmm._space import Space

__all__ = ["at_once", "free_threads", "one_thread", "scipy_threads_only"]


@contextmanager
def scipy_threads_only(space: Space) -> Iterator[None]:
    """Let NumPy's BLAS use one thread meanwhile, all others as they are.

    Idle threads of a pool wait busily, so that those of the other one lose the core: on two
    cores a fit that takes turns between them was measured to take 1.1 to 2.6 times as long.
    """
    with NUMPY if space.kind == "cpu" else nullcontext():
        yield


@contextmanager
def one_thread(space: Space) -> Iterator[None]:
    """Let SciPy's BLAS, too, use one thread meanwhile: for many small products.

    Threads that wait for each other after each of them gain nothing on free cores, and where
    the cores are busy a fit of 0.1 s was measured to take 10 s.
    """
    with SCIPY if space.kind == "cpu" else nullcontext():
        yield


def free_threads() -> int:
    """Return how many threads may each call NumPy's BLAS now without one waiting for another."""
    return max((count for _, count in list(NUMPY.before)), default=1) if NUMPY.inside else 1


def at_once(work: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Do the work for every item in as many threads as are free: they sleep when it is done."""
    items = list(items)
    threads = min(free_threads(), len(items))
    if threads <= 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, item) for item in items]:
            done.result()
