"""Reading the next part, computing this one and writing the last one, at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ["flow"]


def flow(
    regions: Iterable[Any],
    read: Callable[[Any], Any],
    compute: Callable[[Any, Any], Any],
    write: Callable[[Any, Any], None],
    *,
    reads: bool,
    writes: bool,
) -> None:
    """Carry each region through ``write(region, compute(region, read(region)))``.

    Parameters
    ----------
    regions : iterable
        What to carry.
    read, compute, write : callable
        The stages. Of each, one call runs at a time, in order.
    reads, writes : bool
        Whether that stage waits for a disk or a device, so that a thread of its own pays.

    Examples
    --------
    >>> show = lambda region, result: print(result)
    >>> flow([1, 2], lambda r: r, lambda r, x: x + 1, show, reads=True, writes=True)
    2
    3
    """
    with ThreadPoolExecutor(2, "fastmm-stream") as pool:
        coming: Future[Any] | None = None
        leaving: Future[Any] | None = None
        todo = iter(regions)
        region = next(todo, None)
        try:
            while region is not None:
                part = read(region) if coming is None else coming.result()
                following = next(todo, None)
                coming = pool.submit(read, following) if reads and following is not None else None
                result = compute(region, part)
                del part
                if leaving is not None:
                    leaving.result()
                if writes:
                    leaving = pool.submit(write, region, result)
                else:
                    write(region, result)
                del result
                region = following
            if leaving is not None:
                leaving.result()
        finally:
            for future in (coming, leaving):
                if future is not None:
                    future.cancel()
