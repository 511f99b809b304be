"""A run of plain images loaded by compiled code, without Python between its files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._interp import linear_tables
from fastmm.batch_options import BatchOptions
from fastmm.batch_runs import Run
from fastmm.read.dicom.layout import Layout
from fastmm.read.dicom.plain import Images, locate, stored_type, unpack_bits

__all__ = ["fetch_plain", "load_plain", "plain_layout", "plain_scale"]


def plain_layout(run: Run) -> tuple[np.dtype[Any], int, int]:
    """Return the type of the stored pixels of a plain run, and its rows and columns."""
    layout = _layout(run)
    return stored_type(layout), layout.rows, layout.columns


def load_plain(out: NDArray[np.float32], run: Run, options: BatchOptions) -> list[bool]:
    """Load a plain run into its rows of `out`; say which pieces could be loaded."""
    from fastmm.kernels.loading import load

    images = _locate(run)
    kind, height, width = plain_layout(run)
    rescale = options.rescale(images.slope, images.intercept)
    rows = out[run.rows]
    done = np.zeros(len(rows), bool)
    load(
        images.paths, images.starts, images.offsets, unpack_bits(_layout(run)),
        np.empty(0, kind), height, width,
        rows[:, None], np.asarray(rescale.slope, np.float32),
        np.asarray(rescale.intercept, np.float32),
        np.array([rescale.low, rescale.high], np.float32),
        *linear_tables(height, rows.shape[1], "f"), *linear_tables(width, rows.shape[2], "f"),
        done,
    )  # fmt: skip
    if options.normalize is not None and done.any():
        rows[done] = options.normalize(rows[done], None)
    return _by_piece(run, done)


def fetch_plain(out: NDArray[Any], run: Run) -> list[bool]:
    """Read the stored pixels of a plain run into `out` of shape (images, rows, columns)."""
    from fastmm.kernels.loading import fetch

    images = _locate(run)
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
    images = _locate(run)
    return images.slope, images.intercept


def _layout(run: Run) -> Layout:
    return run.pieces[0].job.header.layout  # type: ignore[attr-defined, no-any-return]


def _locate(run: Run) -> Images:
    return locate((job.header, first, count) for job, first, count in run.pieces)  # type: ignore[misc]


def _by_piece(run: Run, done: NDArray[np.bool_]) -> list[bool]:
    ends = np.cumsum([piece.frames for piece in run.pieces])
    return [bool(part.all()) for part in np.split(done, ends[:-1])]
