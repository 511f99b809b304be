"""Parts made side by side, each by a core of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from threading import Event, Lock
from typing import Any

from fastmm._space import on_this_thread

__all__ = ["side_by_side"]


def side_by_side(
    places: Iterable[Any],
    read: Callable[[Any], Any],
    compute: Callable[[Any, Any], Any],
    write: Callable[[Any, Any], None],
    *,
    cores: int,
    together: bool,
) -> None:
    """Carry each place through ``write(place, compute(place, read(place)))``, some at a time.

    Kernels run on the thread that calls them. Where parts take milliseconds and all cores turn to
    each stage of each of them, the idle threads of a pool wait busily and keep those of others
    from their cores, which was measured to take up to 5 times as long.

    Parameters
    ----------
    places : iterable
        What to carry.
    read, compute, write : callable
        The stages. One place is read at a time, in order, while others compute.
    cores : int
        How many threads.
    together : bool
        Whether several may write at a time.

    Examples
    --------
    >>> made = {}
    >>> side_by_side([1, 2], lambda p: p, lambda p, x: x + 1, made.__setitem__, cores=2,
    ...              together=True)
    >>> sorted(made.items())
    [(1, 2), (2, 3)]
    """
    todo, turn, failed = iter(places), Lock(), Event()
    alone: AbstractContextManager[Any] = nullcontext() if together else Lock()

    def carry() -> None:
        try:
            with on_this_thread():
                while not failed.is_set():
                    with turn:
                        place = next(todo, None)
                        part = None if place is None else read(place)
                    if place is None:
                        return
                    made = compute(place, part)
                    with alone:
                        write(place, made)
                    del part, made  # before the next one is read
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(cores, "fastmm-part") as pool:
        try:
            # NumPy's settings of errors are those of the caller in each thread.
            for done in [pool.submit(copy_context().run, carry) for _ in range(cores)]:
                done.result()
        finally:
            failed.set()
