"""Rows out of files on the CPU: each file is read and resized by one thread, in its cache.

A thread reads the stored pixels of a file into a buffer, puts them right in place, and
resizes them into the row of the batch: one pass over the pixels in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._interp import resize_linear
from fastmm._space import Space
from fastmm.errors import FastmmError
from fastmm.loading.options import BatchOptions, Progress
from fastmm.loading.plain import load_plain
from fastmm.loading.runs import Piece, Run, join_runs, note_fault, split_runs
from fastmm.read.ahead import read_ahead
from fastmm.read.filled import read_filled
from fastmm.read.rows import Plan
from fastmm.read.source import Slice, rescaled

__all__ = ["fill_rows", "resize_frames"]

# What the kernel reads as it is; other types are rare and rescaled before.
_NATIVE = {"uint8", "int16", "uint16"}

Faults = list[tuple[Piece, Exception]]


def fill_rows(
    out: NDArray[np.float32],
    plan: Plan,
    options: BatchOptions,
    pool: ThreadPoolExecutor,
    tick: Progress,
) -> int:
    """Fill the rows of `out` as planned; return the bytes of pixel data that were read."""
    tasks = join_runs(list(split_runs(plan.jobs, options)))
    # One thread for each task; the threads of a kernel are for the only one.
    options = replace(options, space=replace(options.space, parallel=len(tasks) == 1))
    calls = [(out, runs, options) for runs in tasks]
    n_bytes = 0
    for runs, (error, result) in zip(tasks, read_ahead(pool, _fill, calls), strict=True):
        if error is not None:
            raise error
        count, faults = result
        n_bytes += count
        for piece, fault in faults:
            note_fault(options, piece, fault)
        tick(runs[-1].rows.stop, plan.n_rows)
    return n_bytes


def _fill(
    out: NDArray[np.float32], runs: Sequence[Run], options: BatchOptions
) -> tuple[int, Faults]:
    pieces = [piece for run in runs for piece in run.pieces]
    done = load_plain(out, runs, options) if runs[0].plain else [False] * len(pieces)
    n_bytes = 0
    faults: Faults = []
    for piece, is_done in zip(pieces, done, strict=True):
        if is_done:
            n_bytes += piece.plain_bytes
            continue
        rows = out[piece.row : piece.row + piece.frames]
        try:
            part = read_filled(piece.job.header, options.channel, options.nonfinite)
            n_bytes += part.n_bytes
            resize_frames(rows, part, piece, options)
        except (FastmmError, OSError) as error:
            faults.append((piece, error))
            rows[...] = np.nan
    return n_bytes, faults


def resize_frames(rows: Any, part: Slice, piece: Piece, options: BatchOptions) -> None:
    """Rescale, window, resize and normalise some images of a file into their rows."""
    frames = slice(piece.first, piece.first + piece.frames)
    space, images = options.space, part.stored[frames]
    slope, intercept = part.header.slope[frames], part.header.intercept[frames]
    if images.dtype.name not in _NATIVE:
        images = rescaled(images, slope, intercept)
        slope, intercept = np.ones_like(slope), np.zeros_like(intercept)
    rescale = options.rescale(slope, intercept)
    images = space.asarray(np.ascontiguousarray(images))
    options.resize(images, rows, rescale)
    if options.normalize is not None:
        valid = None if part.valid is None else part.valid[frames]
        rows[...] = options.normalize(rows, _mask(space, valid, rows.shape))


def _mask(space: Space, valid: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> Any:
    """Return which pixels of the resized images are not for the most part padding."""
    if valid is None:
        return None
    share = space.xp.empty(shape, np.float32)
    resize_linear(space, space.asarray(valid.view(np.uint8))[:, None], share[:, None])
    return share >= 0.5
