"""Pages of mapped files: fetched before they are needed, given back when they are not."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

__all__ = ["HUGE", "around", "drop_pages", "fetch_pages", "mapping_of", "touch_pages"]

HUGE = 2 << 20  # what a system may map at once, before and behind the part that is touched

_CAN = hasattr(mmap.mmap, "madvise")


def mapping_of(array: Any) -> mmap.mmap | None:
    """Return the mapped file that an array lies in, None where it lies in memory.

    Parameters
    ----------
    array : ndarray
        Any; a view of a `numpy.memmap` counts as long as it is one itself.

    Returns
    -------
    mmap.mmap or None
        A copy-on-write mapping counts as memory: its pages may hold what no file has.

    Examples
    --------
    >>> mapping_of(np.zeros(3)) is None
    True
    """
    found = array
    while isinstance(found, np.ndarray):
        mapping = getattr(found, "_mmap", None)
        if isinstance(found, np.memmap) and isinstance(mapping, mmap.mmap):
            return None if found.mode == "c" else mapping
        found = found.base
    return None


def around(array: np.ndarray[Any, Any]) -> int:
    """Return the bytes that may be mapped beside a part of a mapped array."""
    return min(2 * HUGE, array.nbytes)


def fetch_pages(part: np.ndarray[Any, Any]) -> None:
    """Ask for the pages of a part of a mapped array to be read, without waiting."""
    _advise(part, "MADV_WILLNEED")


def touch_pages(part: np.ndarray[Any, Any]) -> None:
    """Have the pages of a part mapped by the calling thread; those of others go on meanwhile."""
    if part.flags.c_contiguous and part.size:
        part.reshape(-1).view(np.uint8)[:: mmap.PAGESIZE].max()


def drop_pages(part: np.ndarray[Any, Any]) -> None:
    """Unmap the pages of a part of a mapped array: what was written stays with the file."""
    _advise(part, "MADV_DONTNEED")


def _advise(part: np.ndarray[Any, Any], advice: str) -> None:
    mapping = mapping_of(part)
    if mapping is None or not _CAN or part.size == 0:
        return
    # Address of the mapping itself; the view is gone again at once, so that it can be closed.
    base = np.frombuffer(mapping, np.uint8).__array_interface__["data"][0]
    low = high = int(part.__array_interface__["data"][0]) - base
    for size, stride in zip(part.shape, part.strides, strict=True):
        low, high = low + min(0, (size - 1) * stride), high + max(0, (size - 1) * stride)
    high += part.itemsize
    first = low // mmap.PAGESIZE * mmap.PAGESIZE
    last = min(-(-high // mmap.PAGESIZE) * mmap.PAGESIZE, len(mapping))
    if first < last:
        mapping.madvise(getattr(mmap, advice), first, last - first)
