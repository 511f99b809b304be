"""Rows of dask arrays: fits as graphs of tasks on their chunks, predictions as dask arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastmm._space import enter
from fastmm.solve.chunked.base import FLOAT, Rows, call, check_matrix, part_of
from fastmm.solve.memory import memory_limit

__all__ = ["DaskRows", "map_rows"]

_ARITY = 4  # results joined by one task
_MOST = 1 << 27  # bytes of a chunk in float64, where the dask array may be cut


class DaskRows(Rows):
    """Rows of a dask array or data frame, with NumPy or CuPy chunks.

    Every pass is one graph: a task for each chunk, and a tree of tasks that join results.
    Nothing that a later pass needs stays on a worker, so that one that dies costs its tasks
    and no more. The scheduler is the one dask would take: a client's cluster, or threads.
    """

    def __init__(self, array: Any, limit: int | None = None) -> None:
        array, self.names = _as_array(array)
        check_matrix(array)
        self.array = array.rechunk({1: -1}) if array.numblocks[1] > 1 else array
        self.shape = int(array.shape[0]), int(array.shape[1])
        self.dtype = np.dtype(array.dtype)
        self.space, _, _ = enter(X=array._meta)
        self.limit = memory_limit(self.space) if limit is None else limit
        self._given = limit is not None

    def chunks(self, fixed: int = 0, per_row: int = 0) -> list[slice]:
        """Return the chunks of the array, cut only where they are too large."""
        d = self.shape[1]
        row = FLOAT * 2 * d + per_row + d * self.dtype.itemsize
        room = self.limit - fixed if self._given else _MOST
        most = max(1, room // row)
        parts, start = [], 0
        for size in self.array.chunks[0]:
            step = -(-size // -(-size // most)) if size else 1
            parts += [
                slice(s, min(s + step, start + size)) for s in range(start, start + size, step)
            ]
            start += size
        return parts

    def each(
        self,
        function: Callable[..., Any],
        parts: Sequence[Any],
        arrays: Sequence[Any] = (),
        constants: Sequence[Any] = (),
    ) -> list[Any]:
        """Call a function on parts, each a task."""
        return _compute(self._tasks(function, parts, arrays, constants))

    def reduce(
        self,
        function: Callable[..., Any],
        join: Callable[[Any, Any], Any],
        parts: Sequence[Any],
        arrays: Sequence[Any] = (),
        constants: Sequence[Any] = (),
    ) -> Any:
        """Join results as a tree of tasks."""
        from dask import delayed

        joined = delayed(_join, pure=False)
        level = self._tasks(function, parts, arrays, constants)
        while len(level) > 1:
            level = [joined(join, level[i : i + _ARITY]) for i in range(0, len(level), _ARITY)]
        return _compute(level)[0]

    def pairs(
        self, function: Callable[..., Any], parts: Sequence[Any], constants: Sequence[Any] = ()
    ) -> Iterator[tuple[int, int, Any]]:
        """Call a function on all pairs of parts, each a task."""
        from dask import delayed

        blocks, shared = self._blocks(parts), delayed(tuple(constants), traverse=False)
        task = delayed(_call_pair, pure=False)
        places = [(i, j) for i in range(len(parts)) for j in range(i, len(parts))]
        tiles = _compute([task(function, blocks[i], blocks[j], shared) for i, j in places])
        for (i, j), tile in zip(places, tiles, strict=True):
            yield i, j, tile

    def take(self, part: Any) -> Any:
        """Return some rows in memory."""
        return _compute(self._blocks([part]))[0]

    def mapped(
        self, function: Callable[..., Any], width: int, constants: Sequence[Any]
    ) -> DaskRows:
        """Return the rows that a function makes of these, lazily."""
        from dask import delayed

        shared = delayed(tuple(constants), traverse=False)
        meta = self.space.xp.empty((0, width))
        made = self.array.map_blocks(
            _apply, function=function, constants=shared, dtype=np.float64, meta=meta,
            chunks=(self.array.chunks[0], (width,)),
        )  # fmt: skip
        return DaskRows(made, self.limit if self._given else None)

    def _tasks(
        self, function: Any, parts: Sequence[Any], arrays: Sequence[Any], constants: Sequence[Any]
    ) -> list[Any]:
        from dask import delayed

        task, shared = delayed(call, pure=False), delayed(tuple(constants), traverse=False)
        return [
            task(
                function, block, delayed([part_of(a, part) for a in arrays], traverse=False), shared
            )
            for block, part in zip(self._blocks(parts), parts, strict=True)
        ]

    def _blocks(self, parts: Sequence[Any]) -> list[Any]:
        """Return the rows of each part as something delayed."""
        ends = np.cumsum(self.array.chunks[0]).tolist()
        places = {pair: i for i, pair in enumerate(zip([0, *ends], ends, strict=False))}
        spans = [(p.start, p.stop) if isinstance(p, slice) else None for p in parts]
        if all(span in places for span in spans):
            blocks = self.array.to_delayed()[:, 0]
            return [blocks[places[span]] for span in spans if span is not None]
        return [_one_block(self.array[part]) for part in parts]


def map_rows(function: Callable[[Any], Any], X: Any) -> Any:
    """Apply a function of rows (n, d) to each chunk, lazily.

    What it makes of one row of zeros says of which dtype and shape its results are.
    """
    X, _ = _as_array(X)
    if X.ndim == 2 and X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    space, _, _ = enter(X=X._meta)
    probe = function(space.xp.zeros((1, *X.shape[1:]), X.dtype))
    if probe.ndim == 1:
        return X.map_blocks(function, dtype=probe.dtype, drop_axis=1, meta=probe[:0])
    return X.map_blocks(
        function, dtype=probe.dtype, chunks=(X.chunks[0], probe.shape[1:]), meta=probe[:0]
    )


def _as_array(array: Any) -> tuple[Any, Any]:
    """Return a dask array whose chunks are known, and the names of its columns or None."""
    names = None
    if hasattr(array, "to_dask_array"):  # a data frame
        names = list(getattr(array, "columns", ())) or None
        if names is not None and not all(isinstance(name, str) for name in names):
            names = None  # as in scikit-learn
        array = array.to_dask_array(lengths=True)
    if not hasattr(array, "map_blocks") or not hasattr(array, "chunks"):
        raise TypeError(f"`X` must be a dask array or data frame, got {type(array).__name__}.")
    if any(size != size for axis in array.chunks for size in axis):  # NaN: not known
        array = array.compute_chunk_sizes()
    return array, names


def _one_block(array: Any) -> Any:
    return array.rechunk(array.shape).to_delayed().ravel()[0]


def _call_pair(function: Any, X: Any, Y: Any, constants: Any) -> Any:
    return function(X, Y, *constants)


def _apply(X: Any, function: Any, constants: Any) -> Any:
    return function(X, *constants)


def _join(join: Callable[[Any, Any], Any], results: Sequence[Any]) -> Any:
    total = results[0]
    for result in results[1:]:
        total = join(total, result)
    return total


def _compute(tasks: Sequence[Any]) -> list[Any]:
    import dask

    with warnings.catch_warnings():
        # What a pass needs travels with its graph: on a worker, it could be lost with it.
        warnings.filterwarnings("ignore", message="Sending large graph")
        return list(dask.compute(*tasks))
