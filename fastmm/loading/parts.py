"""Which rows of a batch are loaded at a time: as many as a limit of memory allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from fastmm.loading.options import BatchOptions
from fastmm.read.ahead import READERS
from fastmm.read.folder import is_folder
from fastmm.read.rows import Plan, plan_rows
from fastmm.read.source import Source
from fastmm.streams.held import COPIES, FILES, FOLDERS
from fastmm.streams.limits import say_bytes

__all__ = ["Budget", "held_bytes", "plan_parts", "stored_bytes"]

_STAGED = 128 << 20  # pinned memory on the way to a GPU


class Budget:
    """Bytes for a load: `copies` of its rows, and `each` more for every row of a path.

    Parameters
    ----------
    limit : int or None
        Bytes in all; None: what is best for speed.
    copies : int, default 1
        Times that a row is in memory.
    whole : bool, default False
        Whether the rows of a path stay together.

    Examples
    --------
    >>> Budget(1 << 20).whole
    False
    """

    def __init__(self, limit: int | None, *, copies: int = 1, whole: bool = False) -> None:
        self.limit, self.copies, self.whole = limit, copies, whole

    def rows(self, plan: Plan, options: BatchOptions, largest: int) -> int:
        """Return how many rows fit beside the files that are being read."""
        row = self.copies * 4 * math.prod(options.shape)
        if self.limit is None:
            return max(largest, (64 << 20) // row)
        held = held_bytes(plan, options)
        if self.limit < held + largest * row:
            what = "the images of one path" if self.whole else "those of one file"
            raise ValueError(
                f"`memory_limit` must be at least {say_bytes(held + largest * row)} here, got "
                f"{say_bytes(self.limit)}: {what} take {say_bytes(largest * row)}, and files "
                f"that are read at the same time {say_bytes(held)}."
            )
        return (self.limit - held) // row


def held_bytes(plan: Plan, options: BatchOptions) -> int:
    """Return the bytes that files take while they are read, a thread each."""
    sizes = sorted((stored_bytes(job.header) for job in plan.jobs), reverse=True)
    staged = _STAGED if options.space.kind == "cuda" else 0
    return COPIES * sum(sizes[:READERS]) + staged


def plan_parts(
    paths: Sequence[Path], pool: Executor, options: BatchOptions, budget: Budget
) -> Iterator[Plan]:
    """Plan rows, some paths at a time, and cut the plans to what fits into a budget.

    Each plan counts its rows from 0. Counts and units of paths are those of a plan of whole
    paths; where paths are cut, units and warnings come with their first part.
    """
    todo = iter(paths)
    while block := _block(todo):
        plan = plan_rows(block, pool, options.faults, options.adapt)
        ends = np.cumsum(plan.counts).tolist() if budget.whole else _ends(plan)
        starts = [0, *ends[:-1]]
        largest = max((e - s for s, e in zip(starts, ends, strict=True)), default=0)
        most = budget.rows(plan, options, largest)
        first = 0
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            if end - starts[first] > most:
                yield _cut(plan, starts[first], start, (first, number) if budget.whole else None)
                first = number
        if ends:
            yield _cut(plan, starts[first], ends[-1], (first, len(ends)) if budget.whole else None)


def _block(todo: Iterator[Path]) -> list[Path]:
    """Take paths until their headers may be many."""
    block: list[Path] = []
    folders = 0
    for path in islice(todo, FILES):
        block.append(path)
        folders += is_folder(path)
        if folders == FOLDERS:
            break
    return block


def _ends(plan: Plan) -> list[int]:
    """Return where files end, whose rows are loaded together."""
    starts = sorted({0, *(job.row for job in plan.jobs), *plan.lost})
    return [*starts[1:], plan.n_rows] if plan.n_rows else []


def _cut(plan: Plan, first: int, stop: int, paths: tuple[int, int] | None) -> Plan:
    jobs = [replace(j, row=j.row - first) for j in plan.jobs if first <= j.row < stop]
    counts, units = (plan.counts, plan.units) if paths is None else ([], [])
    if paths is not None:
        counts, units = plan.counts[slice(*paths)], plan.units[slice(*paths)]
    lost = [row - first for row in plan.lost if first <= row < stop]
    notes = plan.notes if first == 0 else {}
    return Plan(jobs, counts, units, notes, lost, stop - first)


def stored_bytes(source: Source) -> int:
    """Return the bytes of a file's pixels as they are stored, unpacked."""
    layout = getattr(source, "layout", None)
    if layout is not None and hasattr(layout, "n_bytes"):
        return int(layout.n_bytes)
    pixels = math.prod(getattr(source, "shape", (1, 1))[-2:]) * source.frames
    kind = getattr(source, "dtype", None)
    if kind is not None:
        return int(pixels * np.dtype(kind).itemsize)
    return int(pixels * getattr(source, "samples", 1) * -(-getattr(source, "bits", 64) // 8))
