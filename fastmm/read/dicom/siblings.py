"""Headers of files that differ from one that was read in their place and rescale only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import FastmmError
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.place import FARTHEST, read_position
from fastmm.read.dicom.rescale import fits, inverted
from fastmm.read.dicom.scans import POSITION, Scan
from fastmm.read.dicom.tags import Tags

__all__ = ["sibling"]


def sibling(header: Header, path: Path, scan: Scan, row: int, *, scaled: bool) -> Header | None:
    """Return the header of the file of a row, given that of another one of its series.

    `scaled` says that the rescale may be another. None if the file is odd, or if something
    of it has to be read by others.
    """
    offset = int(scan.places[row, -1, 0])
    if header.frames > 1 or int(scan.sizes[row]) - offset < header.layout.n_bytes:
        return None
    changes: dict[str, Any] = {"path": path, "offset": offset}
    try:
        changes["positions"] = _positions(path, scan, row)
    except FastmmError:
        return None
    if scaled:
        intercept, slope = scan.numbers[row, 3:].tolist()
        if slope == 0:
            return None
        if header.inverted_about is not None:
            slope, intercept = inverted(slope, intercept, header.inverted_about)
        if not fits(slope, intercept, *header.layout.limits):  # nor does a NaN
            return None
        changes.update(slope=np.array([slope]), intercept=np.array([intercept]))
    return _like(header, changes)


def _positions(path: Path, scan: Scan, row: int) -> NDArray[np.float64] | None:
    x, y, z = scan.numbers[row, :3].tolist()
    if abs(x) < FARTHEST and abs(y) < FARTHEST and abs(z) < FARTHEST:
        return scan.numbers[row : row + 1, :3]
    text = scan.position(row)
    elements = {} if text is None else {POSITION: text}
    return read_position(Tags(path, elements, little_endian=True))


def _like(header: Header, changes: dict[str, Any]) -> Header:
    # dataclasses.replace takes four times as long, a tenth of all there is to do for a file.
    other = object.__new__(Header)
    other.__dict__.update(header.__dict__, **changes)
    return other
