"""One pool of threads at work where NumPy and SciPy each bring their own BLAS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

from fastmm._space import Space

__all__ = ["at_once", "free_threads", "scipy_threads_only"]

_LOCK = threading.Lock()
_before: list[tuple[Any, int]] = []
_inside = 0


@contextmanager
def scipy_threads_only(space: Space) -> Iterator[None]:
    """Let NumPy's BLAS use one thread meanwhile, all others as they are.

    Idle threads of a pool wait busily, so that those of the other one lose the core: on two
    cores a fit that takes turns between them was measured to take 1.1 to 2.6 times as long.
    """
    global _before, _inside
    if space.kind != "cpu":
        yield
        return
    with _LOCK:  # calls from several threads: the first one limits, the last one restores
        _inside += 1
        if _inside == 1:
            _before = [(library, library.num_threads) for library in _numpy_blas()]
            for library, _ in _before:
                library.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                for library, count in _before:
                    library.set_num_threads(count)


def free_threads() -> int:
    """Return how many threads may each call NumPy's BLAS now without one waiting for another."""
    return max(library.num_threads for library in _blas()) if _inside and _numpy_blas() else 1


def at_once(work: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Do the work for every item in as many threads as are free: they sleep when it is done."""
    threads = free_threads()
    if threads == 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, item) for item in items]:
            done.result()


@cache
def _numpy_blas() -> list[Any]:
    own = [library for library in _blas() if "numpy.libs" in library.filepath]
    return own if len(own) < len(_blas()) else []


@cache
def _blas() -> list[Any]:
    import scipy.linalg.blas  # noqa: F401  # so that its library is loaded, and found
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return [
        library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"
    ]
