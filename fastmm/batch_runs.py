"""Which images one thread loads at a time: runs of rows that follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fastmm.batch_options import BatchOptions
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
    run, count = Run([], False), 0
    for job in jobs:
        plain = compiled and is_plain(job.header) and _needs_no_mask(job.header, options)
        for piece in _pieces(job, plain):
            if run.pieces and (count >= _IMAGES or not _continues(run, piece, plain)):
                yield run
                run, count = Run([], plain), 0
            run = run if run.pieces else Run([], plain)
            run.pieces.append(piece)
            count += piece.frames
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


def _pieces(job: Job, plain: bool) -> Iterator[Piece]:
    frames = job.header.frames
    step = _IMAGES if plain else frames  # what is decoded is decoded as a whole
    for first in range(0, frames, step):
        yield Piece(job, first, min(step, frames - first))


def _continues(run: Run, piece: Piece, plain: bool) -> bool:
    if run.plain != plain:
        return False
    last = run.pieces[-1].job
    # Headers of one series share their layout, so that looking is mostly enough.
    same = not plain or _layout(last) is _layout(piece.job) or _layout(last) == _layout(piece.job)
    return same and piece.row == run.rows.stop


def _layout(job: Job) -> object:
    return job.header.layout if isinstance(job.header, Header) else None


def _needs_no_mask(header: Source, options: BatchOptions) -> bool:
    # What is normalised needs to know which pixels are padding.
    padding = header.layout.padding  # type: ignore[attr-defined]
    return options.normalize is None or padding is None
