"""One pool of threads at work where NumPy and SciPy each bring their own BLAS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

from fastmm._space import Space

__all__ = ["at_once", "free_threads", "one_thread", "scipy_threads_only"]


class _Limit:
    """Lets libraries use one thread while anybody is inside."""

    def __init__(self, libraries: Callable[[], list[Any]]) -> None:
        self.libraries, self.inside, self.lock = libraries, 0, threading.Lock()
        self.before: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self.lock:  # calls from several threads: the first one limits, the last restores
            self.inside += 1
            if self.inside == 1:
                self.before = [(library, library.num_threads) for library in self.libraries()]
                for library, _ in self.before:
                    library.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                for library, count in self.before:
                    library.set_num_threads(count)


@contextmanager
def scipy_threads_only(space: Space) -> Iterator[None]:
    """Let NumPy's BLAS use one thread meanwhile, all others as they are.

    Idle threads of a pool wait busily, so that those of the other one lose the core: on two
    cores a fit that takes turns between them was measured to take 1.1 to 2.6 times as long.
    """
    with _NUMPY if space.kind == "cpu" else nullcontext():
        yield


@contextmanager
def one_thread(space: Space) -> Iterator[None]:
    """Let SciPy's BLAS, too, use one thread meanwhile: for many small products.

    Threads that wait for each other after each of them gain nothing on free cores, and where
    the cores are busy a fit of 0.1 s was measured to take 10 s.
    """
    with _SCIPY if space.kind == "cpu" else nullcontext():
        yield


def free_threads() -> int:
    """Return how many threads may each call NumPy's BLAS now without one waiting for another."""
    return max((count for _, count in list(_NUMPY.before)), default=1) if _NUMPY.inside else 1


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


def _other_blas() -> list[Any]:
    return [library for library in _blas() if library not in _numpy_blas()] if _numpy_blas() else []


_NUMPY, _SCIPY = _Limit(_numpy_blas), _Limit(_other_blas)
