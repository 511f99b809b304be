"""Rows of an array on disk or in memory, read chunk by chunk ahead of the computation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.chunked.base import FLOAT, Rows, check_matrix, part_of
from fastmm.streams.limits import say_bytes
from fastmm.streams.sources import MappedSource, open_source

__all__ = ["LocalRows"]

_LEAST = 64  # rows of a chunk: fewer are all overhead
_MOST = 1 << 25  # bytes of a chunk in float64 beyond which nothing is gained


class LocalRows(Rows):
    """Rows of an array that is sliced: memory-mapped, zarr, h5py, or in memory.

    One chunk is read by a thread while another is computed with.
    """

    def __init__(self, array: Any, limit: int) -> None:
        check_matrix(array)
        self.array, self.limit, self.source = array, limit, open_source(array)
        self.shape = int(array.shape[0]), int(array.shape[1])
        self.dtype, self.space = np.dtype(array.dtype), Space("cpu")
        self.function: Callable[..., Any] | None = None
        self.constants: Sequence[Any] = ()

    def chunks(self, fixed: int = 0, per_row: int = 0) -> list[slice]:
        """Cut the rows into chunks, beside `fixed` bytes and `per_row` more for each row."""
        n, d = self.shape
        source, width = self.source, self.source.shape[1]
        read = 0 if source.in_memory else width * self.dtype.itemsize
        # One being computed with, one being read; and two float64 copies at work.
        row = 2 * read + 2 * FLOAT * d + per_row
        if self.function is not None:  # it copies what it reads, and what it makes
            row += FLOAT * (2 * width + 3 * d)
        fixed += source.extra
        least = fixed + min(n, _LEAST) * row
        if least > self.limit:
            raise ValueError(
                f"`memory_limit` must be at least {say_bytes(least)} for {n} rows of {d} "
                f"features, got {say_bytes(self.limit)}."
            )
        step = min((self.limit - fixed) // row, max(_LEAST, _MOST // (FLOAT * d)), n)
        grain = source.grain[0] if source.grain else 1
        if step > grain:  # no part of a store is read twice
            step -= step % grain
        else:
            step = -(-n // -(-n // step))  # all alike
        return [slice(start, min(start + step, n)) for start in range(0, n, step)]

    def each(
        self,
        function: Callable[..., Any],
        parts: Sequence[Any],
        arrays: Sequence[Any] = (),
        constants: Sequence[Any] = (),
    ) -> Iterator[Any]:
        """Call a function on parts, the next of which is read meanwhile."""
        for part, X in zip(parts, self._ahead(parts), strict=True):
            yield function(X, *(part_of(array, part) for array in arrays), *constants)

    def reduce(
        self,
        function: Callable[..., Any],
        join: Callable[[Any, Any], Any],
        parts: Sequence[Any],
        arrays: Sequence[Any] = (),
        constants: Sequence[Any] = (),
    ) -> Any:
        """Join results one by one, so that only two are held."""
        results = iter(self.each(function, parts, arrays, constants))
        total = next(results)
        for result in results:
            total = join(total, result)
        return total

    def pairs(
        self, function: Callable[..., Any], parts: Sequence[Any], constants: Sequence[Any] = ()
    ) -> Iterator[tuple[int, int, Any]]:
        """Call a function on all pairs of parts; each part is read once for each before it."""
        for i, part in enumerate(parts):
            first, others = self.take(part), list(range(i, len(parts)))
            for j, second in zip(others, self._ahead([parts[j] for j in others]), strict=True):
                yield i, j, function(first, second, *constants)

    def take(self, part: Any) -> Any:
        """Return some rows in memory."""
        X = self._read(part)
        return X if self.function is None else self.function(X, *self.constants)

    def mapped(
        self, function: Callable[..., Any], width: int, constants: Sequence[Any]
    ) -> LocalRows:
        """Return the rows that a function makes of these."""
        made = LocalRows(self.array, self.limit)
        made.shape = self.shape[0], width
        made.function, made.constants = function, constants
        return made

    def _ahead(self, parts: Sequence[Any]) -> Iterator[Any]:
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._read, parts[0])
            for following in [*parts[1:], None]:
                X = coming.result()
                if following is not None:
                    coming = reader.submit(self._read, following)
                yield X if self.function is None else self.function(X, *self.constants)
                del X  # before the next one is taken

    def _read(self, part: Any) -> np.ndarray[Any, Any]:
        source = self.source
        if isinstance(part, slice):
            region = (part, slice(0, self.source.shape[1]))
            found = source.read(region)
            if isinstance(source, MappedSource):
                # Copied here, in the thread that reads ahead; pages of the file that stay
                # mapped would count as memory of this process.
                found = np.array(found)
                source.drop(region)
            return found  # type: ignore[no-any-return]
        if source.in_memory:
            return self.array[part]  # type: ignore[no-any-return]
        cuts = np.flatnonzero(np.diff(part) != 1) + 1  # files are read by runs
        runs = [slice(int(run[0]), int(run[-1]) + 1) for run in np.split(part, cuts)]
        return np.concatenate([self._read(run) for run in runs])
