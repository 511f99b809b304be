"""A run of plain images loaded by compiled code, without Python between its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._interp import linear_tables
from fastmm.batch_options import BatchOptions
from fastmm.batch_runs import Run
from fastmm.read.dicom.header import Header

__all__ = ["fetch_plain", "load_plain", "plain_layout", "plain_scale"]


@dataclass(frozen=True)
class _Images:
    """Where the images of a run are, and what their values mean."""

    paths: NDArray[np.uint8]
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    slope: NDArray[np.float64]
    intercept: NDArray[np.float64]


def plain_layout(run: Run) -> tuple[np.dtype[Any], int, int]:
    """Return the type of the stored pixels of a plain run, and its rows and columns."""
    layout = _header(run).layout
    kind = np.dtype(f"{'i' if layout.signed else 'u'}{layout.allocated // 8}")
    return kind, layout.rows, layout.columns


def load_plain(out: NDArray[np.float32], run: Run, options: BatchOptions) -> list[bool]:
    """Load a plain run into its rows of `out`; say which pieces could be loaded."""
    from fastmm.kernels.loading import load

    images = _locate(run)
    kind, height, width = plain_layout(run)
    rescale = options.rescale(images.slope, images.intercept)
    rows = out[run.rows]
    done = np.zeros(len(rows), bool)
    load(
        images.paths, images.starts, images.offsets, _bits(run), np.empty(0, kind), height, width,
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
    fetch(images.paths, images.starts, images.offsets, _bits(run), images.slope, flat, done)
    return _by_piece(run, done)


def plain_scale(run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slope and intercept of each image of a run."""
    images = _locate(run)
    return images.slope, images.intercept


def _header(run: Run) -> Header:
    header = run.pieces[0].job.header
    if not isinstance(header, Header):
        raise TypeError("a plain run holds DICOM files")
    return header


def _locate(run: Run) -> _Images:
    names: list[bytes] = []
    starts: list[int] = []
    offsets: list[int] = []
    slopes, intercepts, end = [], [], 0
    for job, first, count in run.pieces:
        header: Any = job.header
        names.append(os.fsencode(header.path) + b"\0")
        starts += [end] * count
        end += len(names[-1])
        size = header.layout.n_bytes // header.layout.frames
        offsets += [header.offset + frame * size for frame in range(first, first + count)]
        slopes.append(header.slope[first : first + count])
        intercepts.append(header.intercept[first : first + count])
    return _Images(
        np.frombuffer(b"".join(names), np.uint8),
        np.array(starts),
        np.array(offsets),
        np.concatenate(slopes),
        np.concatenate(intercepts),
    )


def _bits(run: Run) -> tuple[int, int, int, int, int, int]:
    """Return what the kernel `unpack` is told: shifts up and down, and the padding."""
    layout = _header(run).layout
    low, high, of_values = layout.padding_range or (0, 0, True)
    up = layout.allocated - 1 - layout.high_bit
    down = layout.allocated - layout.stored
    return up, down, int(layout.padding is not None), low, high, int(of_values)


def _by_piece(run: Run, done: NDArray[np.bool_]) -> list[bool]:
    ends = np.cumsum([piece.frames for piece in run.pieces])
    return [bool(part.all()) for part in np.split(done, ends[:-1])]
