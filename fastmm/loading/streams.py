"""Images that are loaded some at a time into an array that is given, mapped or in a store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.loading.options import BatchOptions, Paths, Progress, check_paths, show_progress
from fastmm.loading.parts import Budget, plan_parts
from fastmm.loading.rows import ImageRows, allocate, fill_plan, warn_of
from fastmm.read.ahead import READERS
from fastmm.streams.pages import drop_pages
from fastmm.streams.pipeline import flow
from fastmm.streams.sinks import Sink, open_sink
from fastmm.streams.sources import MemorySource

__all__ = ["fill_out"]


def fill_out(
    paths: Paths,
    options: BatchOptions,
    progress: bool | Progress,
    limit: int | None,
    out: Any,
) -> ImageRows:
    """Fill `out` (N, h, w) with the images of all paths, within `limit` bytes.

    Parameters
    ----------
    paths, progress
        As in `load_images`.
    options : BatchOptions
        How each image becomes a row, and where.
    limit : int or None
        Bytes to have at a time.
    out : array, memory-mapped array or chunked store
        float32, with a row for each image.

    Returns
    -------
    ImageRows
        With `out` as its array; counts are not kept.

    Raises
    ------
    ValueError, TypeError
        If the limit is too small, or `out` has another shape or dtype.
    """
    sink, total = _sink(out, options)
    direct = sink.in_memory or isinstance(out, np.memmap)
    on_device = options.space.kind == "cuda" and not _on_device(out)
    direct = direct and not on_device
    budget = Budget(limit, copies=1 if direct else 4)
    notes: dict[str, int] = {}
    units: list[str] = []
    done = n_bytes = 0
    with show_progress(progress) as tick, ThreadPoolExecutor(READERS) as pool:

        def parts() -> Any:
            row = 0
            for plan in plan_parts(check_paths(paths), pool, options, budget):
                if row + plan.n_rows > total:
                    raise _other_length(total, f"at least {row + plan.n_rows}")
                for note, count in plan.notes.items():
                    notes[note] = notes.get(note, 0) + count
                units.extend(plan.units)
                yield slice(row, row + plan.n_rows), plan
                row += plan.n_rows

        def load(region: Any, part: Any) -> Any:
            nonlocal done, n_bytes
            rows, plan = region
            target = out[rows] if direct else allocate((plan.n_rows, *options.shape), options)
            start = rows.start
            n_bytes += fill_plan(target, plan, options, pool, lambda n, _: tick(start + n, total))
            done = rows.stop
            return options.space.to_host(target) if on_device else target

        def write(region: Any, made: Any) -> None:
            if not direct:
                sink.write((region[0],), made)
            elif isinstance(made, np.memmap):
                drop_pages(made)

        flow(parts(), lambda region: None, load, write, reads=False, writes=not direct)
    if done != total:
        raise _other_length(total, str(done))
    warn_of(notes)
    return ImageRows(sink.finish(), (), tuple(units), n_bytes)


def _sink(out: Any, options: BatchOptions) -> tuple[Sink, int]:
    space = options.space if _on_device(out) else Space("cpu")
    total = int(out.shape[0]) if getattr(out, "shape", ()) else 0
    nothing = MemorySource(space.xp.empty(0, np.float32), space, lambda array: array)
    sink = open_sink(out, (total, *options.shape), np.dtype(np.float32), nothing)
    return sink, total


def _on_device(out: Any) -> bool:
    return type(out).__module__.partition(".")[0] == "cupy"


def _other_length(total: int, found: str) -> ValueError:
    return ValueError(f"`out` must have a row for each image, got {total} rows for {found} images.")
