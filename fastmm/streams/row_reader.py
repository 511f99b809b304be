"""Rows of a chunked store read in ascending order, each chunk decoded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["RowReader"]


class RowReader:
    """Reads runs of rows; of a chunk that a run cuts, all rows are kept for the next run.

    Parameters
    ----------
    read : callable
        Takes the first row and the one behind the last, and returns them.
    rows : int
        Number of rows in all.
    chunk : int
        Rows that a store decodes together.

    Examples
    --------
    >>> store, out = np.arange(10), np.empty(3, int)
    >>> reader = RowReader(lambda first, stop: store[first:stop], 10, 4)
    >>> reader.read(2, 5, out)
    >>> out
    array([2, 3, 4])
    """

    def __init__(self, read: Callable[[int, int], Any], rows: int, chunk: int) -> None:
        self._read, self._rows, self._chunk = read, rows, chunk
        self._kept, self._first = np.empty(0), 0

    def read(self, first: int, stop: int, out: np.ndarray[Any, Any]) -> None:
        """Read a run of rows into `out`."""
        begin = first
        while begin < stop:
            end = self._end(begin, stop)
            out[begin - first : end - first] = self._some(begin, end)
            if end == self._first + len(self._kept):
                self._kept = np.empty(0)  # before another one is decoded
            begin = end

    def _end(self, begin: int, stop: int) -> int:
        """Return how far one read goes from there: over whole chunks, or within one."""
        behind = min(begin - begin % self._chunk + self._chunk, self._rows)
        if begin % self._chunk or stop < behind:
            return min(stop, behind)
        return stop if stop == self._rows else stop - stop % self._chunk

    def _some(self, begin: int, end: int) -> Any:
        if not (self._first <= begin and end <= self._first + len(self._kept)):
            whole = begin % self._chunk == 0 and (end % self._chunk == 0 or end == self._rows)
            if whole:
                return self._read(begin, end)
            self._kept, self._first = np.empty(0), begin - begin % self._chunk
            self._kept = self._read(self._first, min(self._first + self._chunk, self._rows))
        return self._kept[begin - self._first : end - self._first]
