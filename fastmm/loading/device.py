"""Rows out of files on a GPU: raw pixels go up once, while the next ones are read.

Two buffers of pinned memory take turns. Threads read the stored pixels of one chunk into
the first; its upload and its kernel run behind, and meanwhile the second is filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._space import Space, telling_of_memory
from fastmm.loading.filling import resize_frames
from fastmm.loading.options import BatchOptions, Progress
from fastmm.loading.plain import fetch_plain, plain_layout, plain_scale
from fastmm.loading.runs import Piece, Run, note_fault, split_runs
from fastmm.read.ahead import read_ahead
from fastmm.read.filled import read_filled
from fastmm.read.rows import Plan

__all__ = ["Staging", "fill_device_rows"]

# Of one buffer: long enough to hide a launch, short enough that two of them are no burden.
_CHUNK_BYTES = 64 << 20


class Staging:
    """Two host buffers from which uploads run behind; plain memory where there is no GPU."""

    def __init__(self, space: Space) -> None:
        self._space, self._turn = space, 0
        self._buffers: list[Any] = [np.empty(0, np.uint8)] * 2
        self._uploads: list[Any] = [None, None]

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the other buffer as an array, once its last upload is through."""
        self._turn = 1 - self._turn
        if self._uploads[self._turn] is not None:
            self._uploads[self._turn].synchronize()
        n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if self._buffers[self._turn].size < n_bytes:
            self._buffers[self._turn] = self._allocate(n_bytes)
        return self._buffers[self._turn][:n_bytes].view(dtype).reshape(shape)  # type: ignore[no-any-return]

    def upload(self, staged: NDArray[Any]) -> Any:
        """Start the upload of what `take` gave; return the array on the device."""
        if self._space.kind != "cuda":
            return staged
        cupy = self._space.xp
        stream = cupy.cuda.get_current_stream()
        array = cupy.empty(staged.shape, staged.dtype)
        array.set(staged, stream=stream)
        self._uploads[self._turn] = stream.record()
        return array

    def _allocate(self, n_bytes: int) -> Any:
        if self._space.kind != "cuda":
            return np.empty(n_bytes, np.uint8)
        import cupyx

        return cupyx.empty_pinned(n_bytes, np.uint8)


def fill_device_rows(
    out: Any, plan: Plan, options: BatchOptions, pool: ThreadPoolExecutor, tick: Progress
) -> int:
    """Fill the rows of `out` as planned; return the bytes of pixel data that were read."""
    staging, n_bytes = Staging(options.space), 0
    for chunk in _chunks(split_runs(plan.jobs, options)):
        if chunk[0].plain:
            late = _fill_plain(out, chunk, options, staging, pool)
            n_bytes += sum(piece.plain_bytes for run in chunk for piece in run.pieces)
            n_bytes -= sum(piece.plain_bytes for piece in late)
        else:
            late = [piece for run in chunk for piece in run.pieces]
        n_bytes += _fill_decoded(out, late, options, pool)
        tick(chunk[-1].rows.stop, plan.n_rows)
    return n_bytes


def _chunks(runs: Iterator[Run]) -> Iterator[list[Run]]:
    """Join runs of one layout, and decoded ones, up to the size of a buffer."""
    chunk: list[Run] = []
    held = 0
    for run in runs:
        size = sum(piece.plain_bytes for piece in run.pieces) if run.plain else _CHUNK_BYTES // 8
        if chunk and (held + size > _CHUNK_BYTES or not _alike(chunk[-1], run)):
            yield chunk
            chunk, held = [], 0
        chunk.append(run)
        held += size
    if chunk:
        yield chunk


def _alike(one: Run, other: Run) -> bool:
    if one.plain != other.plain or one.rows.stop != other.rows.start:
        return False
    return not one.plain or plain_layout(one) == plain_layout(other)


def _fill_plain(
    out: Any,
    chunk: Sequence[Run],
    options: BatchOptions,
    staging: Staging,
    pool: ThreadPoolExecutor,
) -> list[Piece]:
    """Fill the rows of a chunk by one kernel; return what has to be read another way."""
    kind, height, width = plain_layout(chunk[0])
    first, stop = chunk[0].rows.start, chunk[-1].rows.stop
    staged = staging.take((stop - first, height, width), kind)
    calls = [(staged[run.rows.start - first : run.rows.stop - first], run) for run in chunk]
    late: list[Piece] = []
    for run, (error, done) in zip(chunk, read_ahead(pool, fetch_plain, calls), strict=True):
        if error is not None:
            raise error
        late += [piece for piece, is_done in zip(run.pieces, done, strict=True) if not is_done]
    scales = [plain_scale(run) for run in chunk]
    rescale = options.rescale(*(np.concatenate(part) for part in zip(*scales, strict=True)))
    rows = out[first:stop]
    with telling_of_memory(options.space):
        options.resize(staging.upload(staged), rows, rescale)
        if options.normalize is not None:
            rows[...] = options.normalize(rows, None)
    return late


def _fill_decoded(
    out: Any, pieces: Sequence[Piece], options: BatchOptions, pool: ThreadPoolExecutor
) -> int:
    n_bytes = 0
    calls = [(piece.job.header, options.channel, options.nonfinite) for piece in pieces]
    for piece, (error, part) in zip(pieces, read_ahead(pool, read_filled, calls), strict=True):
        rows = out[piece.row : piece.row + piece.frames]
        if error is not None:
            note_fault(options, piece, error)
            rows[...] = np.nan
        else:
            n_bytes += part.n_bytes
            with telling_of_memory(options.space):
                resize_frames(rows, part, piece, options)
    return n_bytes
