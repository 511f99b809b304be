"""The first bytes of many DICOM files, and where in them the wanted elements are."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm.read.dicom.tag_table import TAGS

__all__ = ["ALIKE", "FOUND", "PIXEL_DATA", "POSITION", "SCALE", "Scan", "scan"]

# As fastmm.kernels.heads says.
FOUND, _LATER = 0, 1
ALIKE = 2
PIXEL_DATA, POSITION = TAGS["PixelData"][0], TAGS["ImagePositionPatient"][0]
SCALE = TAGS["RescaleIntercept"][0], TAGS["RescaleSlope"][0]
_TAGS = sorted(tag for tag, _ in TAGS.values())
_WANTED = np.array(_TAGS, np.int64)
_FREE = np.array([_TAGS.index(tag) for tag in (POSITION, *SCALE)])
# How many bytes of a file are read, one after the other, until its pixels are reached.
_STEPS = np.array([1 << 12, 1 << 14])
_LONG_STEPS = np.array([1 << 16, 1 << 18])


class Scan(NamedTuple):
    """What is found in the heads of some files.

    `numbers` (n, 5) are position, intercept and slope, NaN where they have to be read from
    the text; `same` says how far a head agrees with the one before.
    """

    files: Sequence[int]  # which of the files that were asked for
    heads: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    sizes: NDArray[np.int64]
    places: NDArray[np.int64]
    status: NDArray[np.int64]
    same: NDArray[np.int64]
    numbers: NDArray[np.float64]

    def elements(self, row: int) -> dict[int, bytes]:
        """Return the wanted elements of a file but its pixels."""
        head = self.heads[row].data
        places = zip(_TAGS[:-1], self.places[row].tolist(), strict=False)
        return {tag: bytes(head[at : at + size]) for tag, (at, size) in places if at >= 0}

    def position(self, row: int) -> bytes | None:
        """Return the text of the position, or None."""
        at, size = self.places[row, _FREE[0]].tolist()
        return None if at < 0 else bytes(self.heads[row, at : at + size])

    def vr(self, row: int) -> bytes:
        """Return the VR of the pixels, in a file of explicit VR."""
        at = self.places[row, -1, 0]
        return bytes(self.heads[row, at - 8 : at - 6])


def scan(paths: Sequence[Path]) -> list[Scan]:
    """Scan the heads of files: those of all, and the heads of those where they are longer."""
    first = _scan(paths, range(len(paths)), _STEPS)
    longer = (first.status == _LATER) & (first.lengths == _STEPS[-1])
    if not longer.any():
        return [first]
    return [first, _scan(paths, np.flatnonzero(longer).tolist(), _LONG_STEPS)]


def _scan(paths: Sequence[Path], files: Sequence[int], steps: NDArray[np.int64]) -> Scan:
    from fastmm.kernels._files import LOOKS
    from fastmm.kernels.heads import find, read

    n = len(files)
    found = Scan(
        files,
        np.empty((n, steps[-1]), np.uint8),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty((n, len(_TAGS), 2), np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty((n, 5)),
    )
    results = found.places, found.status, found.same, found.numbers
    if LOOKS:
        names = [_c_name(paths[i]) for i in files]
        starts = np.cumsum([0, *map(len, names[:-1])])
        read(
            np.frombuffer(b"".join(names), np.uint8), starts, steps,
            found.heads, found.lengths, found.sizes, _WANTED, _FREE, *results,
        )  # fmt: skip
    else:
        for row, i in enumerate(files):
            found.lengths[row], found.sizes[row] = _read_head(paths[i], found.heads[row])
        find(found.heads, found.lengths, _WANTED, _FREE, *results)
    return found


def _c_name(path: Path) -> bytes:
    """Return the name as C has it; of one that C cannot have, the name of no file."""
    name = os.fsencode(path)
    return name + b"\0" if b"\0" not in name else b"\0"


def _read_head(path: Path, head: NDArray[np.uint8]) -> tuple[int, int]:
    """Fill `head` with the first bytes of a regular file; return their number and its size."""
    try:
        about = os.stat(path)  # noqa: PTH116
        if stat.S_ISREG(about.st_mode):
            with path.open("rb", buffering=0) as file:
                return file.readinto(head.data) or 0, about.st_size
    except OSError:
        pass  # the full reader finds out, and tells
    return 0, 0
