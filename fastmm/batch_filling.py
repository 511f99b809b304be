"""Rows out of files: read pixels ahead, and rescale, window and resize them in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._interp import Rescale, resize_linear
from fastmm.batch_options import BatchOptions, Progress
from fastmm.read.rows import Plan, read_ahead, read_filled
from fastmm.read.source import Slice

__all__ = ["fill_rows"]

# Raw pixels that wait for one kernel call, which takes one copy of them.
_CHUNK_BYTES = 128 << 20
# What the kernel reads as it is; other integers are rare and rescaled on the host.
_NATIVE = {"uint8", "int16", "uint16"}


def fill_rows(
    out: Any, plan: Plan, options: BatchOptions, pool: ThreadPoolExecutor, tick: Progress
) -> int:
    """Fill the rows of `out` as planned; return the bytes of pixel data that were read."""
    waiting: dict[tuple[Any, ...], list[tuple[int, Slice]]] = {}
    held = n_bytes = done = 0
    results = read_ahead(pool, read_filled, [(job.header, options.channel) for job in plan.jobs])
    for job, (error, part) in zip(plan.jobs, results, strict=True):
        frames = job.header.frames
        done += frames
        if part is None:
            if options.faults is None:
                raise error
            places = range(job.first, job.first + frames)
            options.faults.extend((job.header.path, place, error) for place in places)
        else:
            stored = part.stored
            n_bytes += part.n_bytes
            waiting.setdefault((stored.shape[1:], stored.dtype.str), []).append((job.row, part))
            held += stored.nbytes
        if held >= _CHUNK_BYTES or job is plan.jobs[-1]:
            for batch in waiting.values():
                _resize_batch(out, batch, options)
            waiting, held = {}, 0
        tick(done, plan.n_rows)
    return n_bytes


def _resize_batch(out: Any, batch: Sequence[tuple[int, Slice]], options: BatchOptions) -> None:
    """Resize images of one shape and dtype with one kernel call."""
    space = options.space
    rows = np.concatenate([np.arange(row, row + len(part.stored)) for row, part in batch])
    # Rows mostly follow each other, and are then written in place.
    together = bool((np.diff(rows) == 1).all())
    target = (
        out[int(rows[0]) : int(rows[-1]) + 1]
        if together
        else space.xp.empty((len(rows), *out.shape[1:]), np.float32)
    )
    images, rescale = _rescaled([part for _, part in batch], options.window)
    resize_linear(space, space.asarray(images)[:, None], target[:, None], rescale)
    if options.normalize is not None:
        target[...] = options.normalize(target)
    if not together:
        out[space.asarray(rows)] = target


def _rescaled(
    parts: Sequence[Slice], window: tuple[float, float] | None
) -> tuple[NDArray[Any], Rescale]:
    """Return the images, and what the kernel has to do to their values."""
    slope = np.concatenate([part.header.slope for part in parts])
    intercept = np.concatenate([part.header.intercept for part in parts])
    native = parts[0].stored.dtype.name in _NATIVE
    images = [part.stored if native else part.values() for part in parts]
    if not native:
        slope, intercept = np.ones_like(slope), np.zeros_like(intercept)
    low, high = -np.inf, np.inf
    if window is not None:
        center, width = window
        slope, intercept = slope / width, (intercept - (center - width / 2)) / width
        low, high = 0.0, 1.0
    joined = images[0] if len(images) == 1 else np.concatenate(images)
    return joined, Rescale(slope, intercept, low, high)  # type: ignore[arg-type]
