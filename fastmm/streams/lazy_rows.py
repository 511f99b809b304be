"""Arrays on disk whose rows are read when they are indexed, and read ahead in loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fastmm.streams.limits import refuse_for_dask
from fastmm.streams.pages import HUGE, mapping_of
from fastmm.streams.sources import MappedSource, Source, is_source, open_source

__all__ = ["LazyRows", "lazy_rows", "read_ahead", "refuse_nonfinite"]

_BLOCK = 1 << 22  # bytes of a mapped file whose pages are in memory at once
_CHECKED = 1 << 24  # bytes that are looked at for NaN at once


class LazyRows:
    r"""Rows (n, \*shape) behind slices: indexed by a slice or by integers, they are read.

    `turn` is done to what is read, (rows, ...) to (rows, \*shape).
    """

    def __init__(
        self,
        source: Source,
        shape: tuple[int, ...] | None = None,
        turn: Callable[[Any], Any] | None = None,
    ) -> None:
        self._source, self._turn = source, turn
        self.shape = source.shape if shape is None else shape
        self.dtype = source.dtype.newbyteorder("=")
        self._row = math.prod(source.shape[1:]) * source.dtype.itemsize

    __iter__ = None  # else NumPy would read them one by one

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: Any) -> Any:
        if isinstance(part, slice):
            found = np.empty((len(range(len(self))[part]), *self._source.shape[1:]), self.dtype)
            self._read(*part.indices(len(self))[:2], found)
            return self._turned(found)
        index = np.asarray(part)
        if index.ndim == 0:
            raise TypeError("rows on a disk are read by slices or arrays of integers")
        numbers, places = np.unique(index, return_inverse=True)
        found = np.empty((numbers.size, *self._source.shape[1:]), self.dtype)
        ends = [*(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), numbers.size]
        begin = 0
        for end in ends if numbers.size else ():  # files are read by runs
            self._read(int(numbers[begin]), int(numbers[end - 1]) + 1, found[begin:end])
            begin = end
        found = self._turned(found)
        return found if np.array_equal(index, numbers) else found[places.reshape(index.shape)]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def turned(self, shape: tuple[int, ...], turn: Callable[[Any], Any]) -> LazyRows:
        r"""Return rows of another shape, (n, \*shape) in all, that views of these are."""
        before = self._turn
        both = turn if before is None else lambda part: turn(before(part))
        return LazyRows(self._source, shape, both)

    @property
    def grain(self) -> int:
        """Rows that are read together at the least: those of a chunk of a store."""
        return self._source.grain[0] if self._source.grain else 1

    @property
    def copies(self) -> int:
        """Copies of a part while the next one is read."""
        return 2 if isinstance(self._source, MappedSource) else 3

    def held(self, rows: int) -> int:
        """Return the bytes that reading so many rows at a time takes, the next ones ahead."""
        mapped = isinstance(self._source, MappedSource)
        # Of a chunk of a store, what it is decoded from, too.
        beside = self._source.extra + _BLOCK if mapped else 2 * self._source.extra
        own: int = self.copies * rows * self._row + beside
        return own

    def parts(self, most: int) -> list[slice]:
        """Cut the rows into parts of about `most` bytes; no chunk of a store is cut in two."""
        step = max(1, most // max(self._row, 1))
        if step > self.grain:
            step -= step % self.grain
        return [slice(i, min(i + step, len(self))) for i in range(0, len(self), step)]

    def plain(self) -> LazyRows:
        """Return the rows as they are read."""
        return LazyRows(self._source)

    def _turned(self, found: Any) -> Any:
        return found if self._turn is None else self._turn(found)

    def _read(self, first: int, stop: int, out: np.ndarray[Any, Any]) -> None:
        mapped = isinstance(self._source, MappedSource)
        # Pages of a mapped file count as memory until they are dropped: few at a time.
        step = max(1, _BLOCK // max(self._row, 1)) if mapped else max(1, stop - first)
        beside = -(-HUGE // max(self._row, 1))
        for begin in range(first, stop, step):
            region = (slice(begin, min(begin + step, stop)),)
            out[begin - first : region[0].stop - first] = self._source.read(region)
            # What the system maps beside a part would stay, were rows read here and there.
            low, high = max(0, begin - beside), min(region[0].stop + beside, len(self))
            self._source.drop((slice(low, high),))


def lazy_rows(array: Any, limit: int | None) -> LazyRows | None:
    """Return an array on disk as rows that are read in parts, where there is a limit.

    Parameters
    ----------
    array : object
        What a fit was given: a memory-mapped array, or one behind slices, such as zarr's.
    limit : int or None
        Bytes that it may take.

    Returns
    -------
    LazyRows or None
        None for what is in memory, and for everything without a limit.

    Raises
    ------
    TypeError
        For dask arrays, whose chunks say what is in memory at a time.

    Examples
    --------
    >>> lazy_rows(np.zeros((3, 2)), 100) is None
    True
    """
    if limit is None:
        return None
    if type(array).__module__.partition(".")[0] == "dask":
        refuse_for_dask(limit, None)
    if not is_source(array) and mapping_of(array) is None:
        return None
    source = open_source(array)
    return LazyRows(source) if source.shape else None


def read_ahead(read: Callable[[Any], Any], parts: Iterable[Any], ahead: bool) -> Iterator[Any]:
    """Yield each part and what `read` makes of it, the next one read by a thread meanwhile.

    Parameters
    ----------
    read : callable
        Takes a part.
    parts : iterable
        What to read.
    ahead : bool
        Whether to: what is in memory already gains nothing.

    Examples
    --------
    >>> list(read_ahead(str, [1, 2], True))
    [(1, '1'), (2, '2')]
    """
    if not ahead:
        for part in parts:
            yield part, read(part)
        return
    todo = iter(parts)
    with ThreadPoolExecutor(1, "fastmm-read") as reader:
        part = next(todo, None)
        coming = None if part is None else reader.submit(read, part)
        while part is not None and coming is not None:
            found, now = coming.result(), part
            part = next(todo, None)
            coming = None if part is None else reader.submit(read, part)
            yield now, found
            del found  # before the next one is taken


def refuse_nonfinite(rows: LazyRows, name: str, limit: int) -> None:
    """Refuse NaN and infinity, with their count and the first place, in one pass."""
    if rows.dtype.kind != "f":
        return
    count, first = 0, None
    for part, values in read_ahead(rows.__getitem__, rows.parts(min(_CHECKED, limit // 8)), True):
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(values.sum()):
                continue
        bad = ~np.isfinite(values)
        if first is None and bad.any():
            at = [int(i) for i in np.unravel_index(int(bad.argmax()), values.shape)]
            first = (part.start + at[0], *at[1:])
        count += int(bad.sum())
    if first is not None:
        raise ValueError(
            f"`{name}` contains NaN or infinity: {count} of {rows.size} values, the first at index "
            f"{first if len(first) > 1 else first[0]}. Fill or drop them first."
        )
