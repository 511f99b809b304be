"""Plain files: native little-endian pixels of one sample, which compiled code reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm.read.ahead import READERS
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.layout import Layout
from fastmm.read.source import Source

__all__ = ["Images", "is_plain", "locate", "plain_series", "stored_type", "unpack_bits"]

_PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
_FEW = 8  # files for which loading compiled code does not pay
_FILES = 16  # that one thread reads at a time


class Images(NamedTuple):
    """Where images are in files, and what their stored values mean."""

    paths: NDArray[np.uint8]
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    slope: NDArray[np.float64]
    intercept: NDArray[np.float64]


def is_plain(source: Source) -> bool:
    """Say whether a file holds native little-endian pixels of 8 or 16 bits, one a place."""
    if not isinstance(source, Header) or source.syntax not in _PLAIN:
        return False
    if source.lookup is not None or source.order is not None:
        return False
    layout = source.layout
    narrow = layout.allocated == 16 or (layout.allocated == 8 and not layout.signed)
    return narrow and layout.samples == 1 and not layout.floating


def stored_type(layout: Layout) -> np.dtype[Any]:
    """Return the type of native pixels."""
    return np.dtype(f"{'i' if layout.signed else 'u'}{layout.allocated // 8}")


def unpack_bits(layout: Layout) -> tuple[int, int, int, int, int, int]:
    """Return what the kernel `unpack` is told: shifts up and down, and the padding."""
    low, high, of_values = layout.padding_range or (0, 0, True)
    up = layout.allocated - 1 - layout.high_bit
    down = layout.allocated - layout.stored
    return up, down, int(layout.padding is not None), low, high, int(of_values)


def locate(pieces: Iterable[tuple[Header, int, int]]) -> Images:
    """Find the images of pieces (file, first frame, number of frames) of plain files."""
    names: list[bytes] = []
    starts: list[int] = []
    offsets: list[int] = []
    slopes, intercepts, end = [], [], 0
    for header, first, count in pieces:
        names.append(os.fsencode(header.path) + b"\0")
        starts += [end] * count
        end += len(names[-1])
        size = header.layout.n_bytes // header.layout.frames
        at = header.offset + first * size
        offsets += range(at, at + count * size, size)
        slopes.append(header.slope[first : first + count])
        intercepts.append(header.intercept[first : first + count])
    return Images(
        np.frombuffer(b"".join(names), np.uint8),
        np.array(starts),
        np.array(offsets),
        np.concatenate(slopes),
        np.concatenate(intercepts),
    )


def plain_series(
    headers: Sequence[Header],
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None, float] | None:
    """Read slices of one layout: values, where they are valid, and the lowest valid one.

    Returns None for files that are not plain, too few, or that cannot be read this way.
    """
    layout = headers[0].layout
    if len(headers) < _FEW or layout.frames > 1:
        return None
    if not all(is_plain(header) and header.layout == layout for header in headers):
        return None
    from fastmm.kernels._files import READS
    from fastmm.kernels.values import read

    if not READS:
        return None
    pixels = layout.rows * layout.columns
    out = np.empty((len(headers), pixels), np.float32)
    valid = np.ones((len(headers), pixels if layout.padding else 0), np.uint8)
    lowest, done = np.empty(len(headers)), np.zeros(len(headers), bool)
    bits, like = unpack_bits(layout), np.empty(0, stored_type(layout))

    def fill(start: int) -> None:
        here = slice(start, start + _FILES)
        images = locate((header, 0, 1) for header in headers[here])
        read(
            images.paths, images.starts, images.offsets, bits, like, images.slope,
            images.intercept, out[here], valid[here], lowest[here], done[here],
        )  # fmt: skip

    with ThreadPoolExecutor(READERS) as pool:
        for _ in pool.map(fill, range(0, len(headers), _FILES)):
            pass
    if not done.all():
        return None
    shape = (len(headers), layout.rows, layout.columns)
    marks = valid.view(bool).reshape(shape) if layout.padding and not valid.all() else None
    return out.reshape(shape), marks, float(lowest.min())
