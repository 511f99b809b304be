"""Which images one thread loads at a time: runs of rows that follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fastmm.loading.options import BatchOptions
from fastmm.read.ahead import CORES
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.plain import is_plain
from fastmm.read.rows import Job
from fastmm.read.source import Source

__all__ = ["Piece", "Run", "join_runs", "note_fault", "split_runs"]

_IMAGES = 16  # of a run
_JOINED = 64  # of plain runs one after the other: few, with little Python for each


class Piece(NamedTuple):
    """Some frames of a file, from number `first` on."""

    job: Job
    first: int
    frames: int

    @property
    def row(self) -> int:
        """The first row it fills."""
        return self.job.row + self.first

    @property
    def plain_bytes(self) -> int:
        """Bytes of its pixels, in a plain file."""
        layout = self.job.header.layout  # type: ignore[attr-defined]
        return int(layout.n_bytes // layout.frames * self.frames)


class Run(NamedTuple):
    """Pieces that one thread loads; those of a plain run have one layout."""

    pieces: list[Piece]
    plain: bool

    @property
    def rows(self) -> slice:
        """All rows it fills."""
        last = self.pieces[-1]
        return slice(self.pieces[0].row, last.row + last.frames)


def split_runs(jobs: Sequence[Job], options: BatchOptions) -> Iterator[Run]:
    """Split jobs, in order, into runs of about equal work."""
    from fastmm.kernels._files import READS

    compiled = READS and options.interpolation == "linear" and not options.antialias
    run, stop, layout = Run([], False), 0, None
    for job in jobs:
        before, layout = layout, _layout(job)
        # Headers of one series share their layout, so that looking is mostly enough.
        if layout is None or layout is not before:
            plain = compiled and is_plain(job.header) and _needs_no_mask(job.header, options)
        alike = plain == run.plain and (not plain or layout is before or layout == before)
        for piece in _pieces(job, plain):
            full = bool(run.pieces) and stop - run.pieces[0].row >= _IMAGES
            if full or not alike or piece.row != stop:
                if run.pieces:
                    yield run
                run, alike = Run([], plain), True
            run.pieces.append(piece)
            stop = piece.row + piece.frames
    if run.pieces:
        yield run


def join_runs(runs: Sequence[Run]) -> list[list[Run]]:
    """Join short plain runs that follow each other, but leave some for each core."""
    images = sum(run.rows.stop - run.rows.start for run in runs)
    most = min(_JOINED, max(_IMAGES, images // (4 * CORES)))
    joined: list[list[Run]] = []
    for run in runs:
        same = bool(joined) and run.plain and joined[-1][-1].plain
        if same and run.rows.stop - joined[-1][0].rows.start <= most:
            joined[-1].append(run)
        else:
            joined.append([run])
    return joined


def note_fault(options: BatchOptions, piece: Piece, fault: Exception) -> None:
    """Write a fault into the report, or raise it."""
    if options.faults is None:
        raise fault
    job, first, frames = piece
    places = range(job.first + first, job.first + first + frames)
    options.faults.extend((job.header.path, place, fault) for place in places)


def _pieces(job: Job, plain: bool) -> Sequence[Piece]:
    frames = job.header.frames
    step = _IMAGES if plain else frames  # what is decoded is decoded as a whole
    return [Piece(job, at, min(step, frames - at)) for at in range(0, frames, step)]


def _layout(job: Job) -> object:
    return job.header.layout if isinstance(job.header, Header) else None


def _needs_no_mask(header: Source, options: BatchOptions) -> bool:
    # What is normalised needs to know which pixels are padding.
    padding = header.layout.padding  # type: ignore[attr-defined]
    return options.normalize is None or padding is None
