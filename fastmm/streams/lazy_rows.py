"""Arrays on disk whose rows are read when they are indexed, and read ahead in loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fastmm.streams.limits import refuse_for_dask
from fastmm.streams.nonfinite import Nonfinite
from fastmm.streams.pages import HUGE, mapping_of
from fastmm.streams.row_reader import RowReader
from fastmm.streams.sources import MappedSource, Source, is_source, open_source

__all__ = ["LazyRows", "lazy_rows", "read_ahead", "refuse_nonfinite", "rows_in_turn"]

_BLOCK = 1 << 22  # bytes of a mapped file whose pages are in memory at once
_CHECKED = 1 << 24  # bytes that are looked at for NaN at once


class LazyRows:
    r"""Rows (n, \*shape) behind slices: indexed by a slice or by integers, they are read.

    `turn` is done to what is read, (rows, ...) to (rows, \*shape). `chunk` says how many rows a
    store decodes together.
    """

    def __init__(
        self,
        source: Source,
        shape: tuple[int, ...] | None = None,
        turn: Callable[[Any], Any] | None = None,
        chunk: int = 1,
    ) -> None:
        self._source, self._turn, self._chunk = source, turn, max(1, min(chunk, source.shape[0]))
        self.shape = source.shape if shape is None else shape
        self.dtype = source.dtype.newbyteorder("=")
        self._row = math.prod(source.shape[1:]) * source.dtype.itemsize

    __iter__ = None  # else NumPy would read them one by one

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: Any) -> Any:
        if isinstance(part, slice):
            return self._turned(self._run(part, self._read))
        index = np.asarray(part)
        if index.ndim == 0:
            raise TypeError("rows on a disk are read by slices or arrays of integers")
        numbers, places = np.unique(index, return_inverse=True)
        found = np.empty((numbers.size, *self._source.shape[1:]), self.dtype)
        ends = [*(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), numbers.size]
        begin, read = 0, self._reader()
        for end in ends if numbers.size else ():  # files are read by runs
            read(int(numbers[begin]), int(numbers[end - 1]) + 1, found[begin:end])
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
        return LazyRows(self._source, shape, both, self._chunk)

    def in_turn(
        self, parts: Iterable[slice], finite: str | None = None
    ) -> Iterator[tuple[slice, Any]]:
        """Yield each part and its rows, read ahead, parts in order; no chunk is decoded twice.

        NaN and infinity are refused as those of `finite`, with their count and the first place:
        nothing is yielded from there on, and the error comes when all parts are read.
        """
        read, bad = self._reader(), Nonfinite()
        checked = finite is not None and self.dtype.kind == "f"

        def take(part: slice) -> Any:
            found = self._run(part, read)
            return None if checked and bad.among(found, part.start) else self._turned(found)

        for part, found in read_ahead(take, parts, True):
            if found is not None:
                yield part, found
            del found
        bad.refuse(str(finite), self._size())

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
        kept = self._chunk * self._row if self._chunk > 1 else 0
        own: int = self.copies * rows * self._row + beside + kept
        return own

    @property
    def as_views(self) -> bool:
        """Whether `views` gives rows as kernels take them, and none is copied."""
        return self.in_file and self._source.plain

    @property
    def in_file(self) -> bool:
        """Whether `views` looks at rows where they lie in a file."""
        return self._turn is None and isinstance(self._source, MappedSource)

    def viewed(self, rows: int) -> int:
        """Return the bytes that a view of so many rows takes."""
        own: int = rows * self._row + self._source.extra
        return own

    def views(self, parts: list[slice]) -> Iterator[tuple[slice, Any]]:
        """Yield parts of a file as views, fetched ahead; pages are let go after each part."""
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            if following is not None:
                self._source.fetch((following,))
            yield part, self.view(part)
            self.drop(part)

    def view(self, part: slice) -> Any:
        """Return a part as a view of its file."""
        return self._source.read((part,))

    def drop(self, part: slice) -> None:
        """Let go of the pages of a part."""
        self._source.drop((part,))

    def parts(self, most: int) -> list[slice]:
        """Cut the rows into parts of about `most` bytes; no chunk of a store is cut in two."""
        step = max(1, most // max(self._row, 1))
        if step > self.grain:
            step -= step % self.grain
        return [slice(i, min(i + step, len(self))) for i in range(0, len(self), step)]

    def plain(self) -> LazyRows:
        """Return the rows as they are read."""
        return LazyRows(self._source, chunk=self._chunk)

    def _size(self) -> int:
        return math.prod(self._source.shape)

    def _run(self, part: slice, read: Callable[[int, int, Any], None]) -> Any:
        first, stop, _ = part.indices(len(self))
        found = np.empty((max(0, stop - first), *self._source.shape[1:]), self.dtype)
        read(first, stop, found)
        return found

    def _reader(self) -> Callable[[int, int, Any], None]:
        """Return what reads runs in ascending order, and keeps a chunk that one of them cuts."""
        if self._chunk == 1:
            return self._read

        def some(first: int, stop: int) -> Any:
            return self._source.read((slice(first, stop),))

        return RowReader(some, len(self), self._chunk).read

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
    if not source.shape:
        return None
    # Of a shard, chunks are decoded one by one.
    own = getattr(array, "chunks", None) if source.grain else None
    return LazyRows(source, chunk=int(own[0]) if own else 1)


def rows_in_turn(
    rows: Any, parts: Iterable[slice], finite: str | None = None
) -> Iterator[tuple[slice, Any]]:
    """Yield each part, in order, and its rows, those on a disk as `LazyRows.in_turn` does.

    Parameters
    ----------
    rows : array, LazyRows, or what is read by slices
        Rows.
    parts : iterable of slice
        Which ones at a time.
    finite : str, optional
        Name of the rows, to refuse NaN and infinity in those that are read from a disk.

    Examples
    --------
    >>> list(rows_in_turn([1, 2, 3], [slice(0, 2)]))
    [(slice(0, 2, None), [1, 2])]
    """
    if hasattr(rows, "in_turn"):
        return iter(rows.in_turn(parts, finite))
    return ((part, rows[part]) for part in parts)


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
    for _, _values in rows.in_turn(rows.parts(min(_CHECKED, limit // 8)), name):
        del _values
