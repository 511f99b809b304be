"""How many threads BLAS may use: NumPy and SciPy each bring a library of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["NUMPY", "SCIPY", "Limit", "numpy_threads"]


class Limit:
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


def numpy_threads() -> int:
    """Return how many threads NumPy's own BLAS uses now; 1 where `NUMPY` could not limit it."""
    return max((int(library.num_threads) for library in _numpy_blas()), default=1)


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


NUMPY, SCIPY = Limit(_numpy_blas), Limit(_other_blas)
