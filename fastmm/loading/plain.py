"""Runs of plain images loaded by compiled code, without Python between their files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._interp import value_maps
from fastmm._taps import near_tables
from fastmm.loading.options import BatchOptions
from fastmm.loading.runs import Run
from fastmm.read.dicom.layout import Layout
from fastmm.read.dicom.plain import Images, locate, stored_type, unpack_bits

__all__ = ["fetch_plain", "load_plain", "plain_layout", "plain_scale"]


def plain_layout(run: Run) -> tuple[np.dtype[Any], int, int]:
    """Return the type of the stored pixels of a plain run, and its rows and columns."""
    layout = _layout(run)
    return stored_type(layout), layout.rows, layout.columns


def load_plain(out: NDArray[np.float32], runs: Sequence[Run], options: BatchOptions) -> list[bool]:
    """Load plain runs, in order, into their rows of `out`; say which pieces could be loaded."""
    first, stop = runs[0].rows.start, runs[-1].rows.stop
    rows, done = out[first:stop], np.zeros(stop - first, bool)
    of_type: dict[np.dtype[Any], list[Run]] = {}
    for run in runs:
        of_type.setdefault(stored_type(_layout(run)), []).append(run)
    for kind, some in of_type.items():
        where = np.concatenate([np.arange(r.rows.start, r.rows.stop) for r in some]) - first
        done[where] = _load(rows, where, kind, some, options)
    loaded: list[bool] = []
    for run in runs:
        here = slice(run.rows.start - first, run.rows.stop - first)
        if options.normalize is not None and done[here].any():
            rows[here][done[here]] = options.normalize(rows[here][done[here]], None)
        loaded += _by_piece(run, done[here])
    return loaded


def _load(
    rows: NDArray[np.float32],
    where: NDArray[np.int64],
    kind: np.dtype[Any],
    runs: Sequence[Run],
    options: BatchOptions,
) -> NDArray[np.bool_]:
    """Load images of one type of pixels; say which could be loaded."""
    from fastmm.kernels.loading import load

    images = _locate(runs)
    layouts: dict[Layout, int] = {}
    numbers = [layouts.setdefault(_layout(run), len(layouts)) for run in runs]
    rescale = options.rescale(images.slope, images.intercept)
    sizes = [(1, layout.rows, layout.columns) for layout in layouts]
    tables = [near_tables(size, (1, *rows.shape[1:]), "f") for size in sizes]
    near, weights = (np.stack(table) for table in zip(*tables, strict=True))
    done = np.zeros(len(where), bool)
    load(
        images.paths, images.starts, images.offsets, np.empty(0, kind),
        np.array([(layout.rows, layout.columns, *unpack_bits(layout)) for layout in layouts]),
        np.repeat(numbers, [run.rows.stop - run.rows.start for run in runs]),
        where, rows[:, None],
        value_maps(rescale, len(where), np.float32), near, weights,
        done,
    )  # fmt: skip
    return done


def fetch_plain(out: NDArray[Any], run: Run) -> list[bool]:
    """Read the stored pixels of a plain run into `out` of shape (images, rows, columns)."""
    from fastmm.kernels.loading import fetch

    images = _locate([run])
    done = np.zeros(len(out), bool)
    flat = out.reshape(len(out), -1)
    fetch(
        images.paths,
        images.starts,
        images.offsets,
        unpack_bits(_layout(run)),
        images.slope,
        flat,
        done,
    )
    return _by_piece(run, done)


def plain_scale(run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slope and intercept of each image of a run."""
    images = _locate([run])
    return images.slope, images.intercept


def _layout(run: Run) -> Layout:
    return run.pieces[0].job.header.layout  # type: ignore[attr-defined, no-any-return]


def _locate(runs: Iterable[Run]) -> Images:
    pieces = [piece for run in runs for piece in run.pieces]
    return locate((job.header, first, count) for job, first, count in pieces)  # type: ignore[misc]


def _by_piece(run: Run, done: NDArray[np.bool_]) -> list[bool]:
    """Say of which pieces all images are done."""
    starts = [piece.row - run.rows.start for piece in run.pieces]
    return np.logical_and.reduceat(done, starts).tolist()  # type: ignore[no-any-return]
