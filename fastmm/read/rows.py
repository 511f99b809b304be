"""Which row of a batch belongs to which file: planned from headers, before pixels are read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastmm.errors import DicomError, FastmmError
from fastmm.read.dicom import read_header, read_pixels
from fastmm.read.header import Header
from fastmm.read.series import choose_series, find_members, sort_slices
from fastmm.read.source import Slice

__all__ = [
    "READERS",
    "Job",
    "Plan",
    "Report",
    "plan_rows",
    "read_ahead",
    "read_filled",
    "series_units",
]

Report = list[tuple[Path, int, Exception]]
READERS = 4  # files that are read at a time


@dataclass
class Job:
    """One file whose pixels go to rows from `row` on."""

    header: Header
    row: int
    path: Path
    first: int  # of the rows of `path`


@dataclass
class Plan:
    """The files to read, the rows they fill, their units, and what to warn of (with counts)."""

    jobs: list[Job] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    n_rows: int = 0


def plan_rows(paths: Sequence[Path], pool: ThreadPoolExecutor, faults: Report | None) -> Plan:
    """Read all headers and give every image its row, so that pixels can come in any order."""
    plan = Plan()
    found = read_ahead(pool, _headers_of, [(path,) for path in paths])
    for path, (error, result) in zip(paths, found, strict=True):
        headers, broken, notes = result or ([], [(path, error)], [])
        if broken and faults is None:
            raise broken[0][1]
        count = 0
        for header in headers:
            plan.jobs.append(Job(header, plan.n_rows + count, path, count))
            count += header.frames
            notes = [*notes, *header.notes]
        for file, fault in broken:
            if faults is not None:
                faults.append((file, count, fault))
            count += 1
        for note in notes:
            plan.notes[note] = plan.notes.get(note, 0) + 1
        plan.counts.append(count)
        plan.units.append(headers[0].units if headers else "")
        plan.n_rows += count
    return plan


def series_units(path: Path) -> str:
    """Return the unit of the rescaled values of a file or folder, from its headers."""
    headers, broken, _ = _headers_of(path)
    if broken:
        raise broken[0][1]
    return headers[0].units


def _headers_of(path: Path) -> tuple[list[Header], list[tuple[Path, Exception]], list[str]]:
    if not path.is_dir():
        return [read_header(path)], [], []
    members, skipped = find_members(path)
    notes = ["a file is no DICOM despite its suffix and was skipped"] * len(skipped)
    headers = [m.header for m in members if m.header is not None]
    broken: list[tuple[Path, Exception]] = [(m.path, m.error) for m in members if m.error]
    if not headers:
        if not broken:
            raise DicomError(
                f"{path}: holds no DICOM images; other formats are not read from folders."
            )
        return [], broken, notes
    try:
        headers, more = sort_slices(choose_series(path, headers, None))
    except FastmmError as error:
        rows = sum(h.frames for h in headers)
        return [], [*broken, *[(path, error)] * rows], notes
    return headers, broken, notes + more


def read_filled(header: Header, channel: int | None) -> Slice:
    """Read pixels, padding filled with the lowest valid value of its image."""
    part = read_pixels(header, channel=channel)
    if part.valid is None:
        return part
    stored = part.stored.copy()
    for frame, valid, slope in zip(stored, part.valid, header.slope, strict=True):
        good = frame[valid]
        if good.size == 0:
            raise DicomError(f"{header.path}: every pixel is padding.")
        frame[~valid] = good.min() if slope > 0 else good.max()
    return Slice(header, stored, None, part.n_bytes)


def read_ahead(
    pool: ThreadPoolExecutor, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[Any, Any]]:
    """Yield (error, result) of each call in order, few calls ahead of the consumer."""
    running: deque[Future[Any]] = deque()
    todo = iter(calls)
    try:
        while True:
            while len(running) < 2 * READERS and (call := next(todo, None)) is not None:
                running.append(pool.submit(function, *call))
            if not running:
                return
            try:
                yield None, running.popleft().result()
            except (FastmmError, OSError) as error:
                yield error, None
    finally:
        for future in running:
            future.cancel()
