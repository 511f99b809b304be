"""Which row of a batch belongs to which file: planned from headers, before pixels are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fastmm.errors import FastmmError
from fastmm.read.ahead import read_patiently
from fastmm.read.dicom.directory import is_directory, referenced_files
from fastmm.read.dicom.header import NoImageError
from fastmm.read.dicom.heads import read_headers
from fastmm.read.dicom.series import Member, choose_series, read_members
from fastmm.read.dicom.stacking import sort_slices
from fastmm.read.folder import is_folder, look_into
from fastmm.read.other_formats import beside, files_of
from fastmm.read.source import Source
from fastmm.read.sources import read_source

__all__ = [
    "Job",
    "Plan",
    "Report",
    "plan_rows",
    "series_units",
]

Report = list[tuple[Path, int, Exception]]


@dataclass
class Job:
    """One file whose pixels go to rows from `row` on."""

    header: Source
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
    lost: list[int] = field(default_factory=list)  # rows of files that have no header
    n_rows: int = 0


def plan_rows(
    paths: Sequence[Path],
    pool: Executor | None,
    faults: Report | None,
    adapt: Callable[[Source], Source] = lambda source: source,
) -> Plan:
    """Read all headers and give every image its row, so that pixels can come in any order.

    `adapt` turns each header into the one whose values are asked for.
    """
    plan = Plan()
    folders = [is_folder(path) for path in paths]
    pairs = list(zip(paths, folders, strict=True))
    files = [path for path, is_dir in pairs if not is_dir]
    of_files = read_headers(files, pool, other=read_source)
    of_folders = read_patiently(pool, _of_folder, [(path,) for path, is_dir in pairs if is_dir])
    for path, is_dir in pairs:
        if is_dir:
            error, found = next(of_folders)
        else:
            error, found = None, _of_file(path, next(of_files))
        found = found if error is None else _Found([], [(path, error)], [])
        _plan_path(plan, path, found, faults, adapt)
    return plan


def series_units(path: Path, adapt: Callable[[Source], Source] = lambda source: source) -> str:
    """Return the unit of the rescaled values of a file or folder, from its headers."""
    if is_folder(path):
        found = _of_folder(path)
    else:
        found = _of_file(path, next(read_headers([path], other=read_source)))
    if found.broken:
        raise found.broken[0][1]
    return adapt(found.sources[0]).units


class _Found(NamedTuple):
    """What a path holds: images, files that should be images, and what to warn of."""

    sources: Sequence[Source]
    broken: list[tuple[Path, Exception]]
    notes: list[str]


def _plan_path(
    plan: Plan,
    path: Path,
    found: _Found,
    faults: Report | None,
    adapt: Callable[[Source], Source],
) -> None:
    count, notes, broken, units = 0, found.notes, found.broken, ""
    if broken and faults is None:
        raise broken[0][1]
    for source in found.sources:
        try:
            source = adapt(source)
        except (FastmmError, OSError) as error:
            if faults is None:
                raise
            broken = [*broken, *[(source.path, error)] * source.frames]
            continue
        plan.jobs.append(Job(source, plan.n_rows + count, path, count))
        count += source.frames
        notes = [*notes, *source.notes]
        units = units or source.units
    for file, fault in broken:
        if faults is not None:
            faults.append((file, count, fault))
        plan.lost.append(plan.n_rows + count)
        count += 1
    for note in notes:
        plan.notes[note] = plan.notes.get(note, 0) + 1
    plan.counts.append(count)
    plan.units.append(units)
    plan.n_rows += count


def _of_file(path: Path, found: Source | FastmmError | OSError) -> _Found:
    if not isinstance(found, (FastmmError, OSError)):
        return _Found([found], [], [])
    if not isinstance(found, NoImageError) or not is_directory(path):
        return _Found([], [(path, found)], [])
    try:
        return _of_series(path, read_members(referenced_files(path))[0], [], "")
    except (FastmmError, OSError) as error:
        return _Found([], [(path, error)], [])


def _of_folder(path: Path) -> _Found:
    contents = look_into(path)
    notes = ["a file is no DICOM despite its suffix and was skipped"] * len(contents.skipped)
    members, _ = read_members(contents.dicom)
    if members:
        return _of_series(path, members, notes, beside(contents))
    files = files_of(path, contents)
    found = _sorted_out(zip(files, read_headers(files, other=read_source), strict=True))
    return found._replace(notes=notes)


def _of_series(path: Path, members: Sequence[Member], notes: list[str], beside: str) -> _Found:
    headers = [m.header for m in members if m.header is not None]
    broken: list[tuple[Path, Exception]] = [(m.path, m.error) for m in members if m.error]
    if not headers and broken:
        return _Found([], broken, notes)
    try:
        headers, more = sort_slices(choose_series(path, headers, None, beside))
    except FastmmError as error:
        rows = sum(h.frames for h in headers)
        return _Found([], [*broken, *[(path, error)] * rows], notes)
    return _Found(headers, broken, notes + more)


def _sorted_out(results: Iterable[tuple[Path, Source | FastmmError | OSError]]) -> _Found:
    sources: list[Source] = []
    broken: list[tuple[Path, Exception]] = []
    for path, result in results:
        if isinstance(result, (FastmmError, OSError)):
            broken.append((path, result))
        else:
            sources.append(result)
    return _Found(sources, broken, [])
