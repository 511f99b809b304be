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

__all__ = ["ALIKE", "FOUND", "POSITION", "SCALE", "Scan", "scan"]

# As fastmm.kernels.heads says.
FOUND, _LATER = 0, 1
ALIKE = 2
POSITION = TAGS["ImagePositionPatient"][0]
SCALE = TAGS["RescaleIntercept"][0], TAGS["RescaleSlope"][0]
_TAGS = sorted(tag for tag, _ in TAGS.values())
_WANTED = np.array(_TAGS, np.int64)
_FREE = np.array([_TAGS.index(tag) for tag in (POSITION, *SCALE)])
# How many bytes of a file are read, one step after the other, until its pixels are reached.
_STEPS = np.array([1 << 12, 1 << 14, 1 << 16, 1 << 18])
_ROOM = 1 << 11  # bytes for the wanted elements of a file, which take 300 to 700


class Scan(NamedTuple):
    """What is found in the heads of some files.

    `places` (n, tags, 2) are offset and length in `values`, of the pixels those in the file.
    `numbers` (n, 5) are position, intercept and slope, NaN where they have to be read from
    the text; `same` says how far a file agrees with the one before.
    """

    sizes: NDArray[np.int64]
    places: NDArray[np.int64]
    values: NDArray[np.uint8]
    status: NDArray[np.int64]
    same: NDArray[np.int64]
    numbers: NDArray[np.float64]

    def elements(self, row: int) -> dict[int, bytes]:
        """Return the wanted elements of a file but its pixels."""
        values = self.values[row].tobytes()
        places = zip(_TAGS[:-1], self.places[row].tolist(), strict=False)
        return {tag: values[at : at + size] for tag, (at, size) in places if at >= 0}

    def position(self, row: int) -> bytes | None:
        """Return the text of the position, or None."""
        at, size = self.places[row, _FREE[0]].tolist()
        return None if at < 0 else self.values[row, at : at + size].tobytes()

    def vr(self, row: int) -> bytes:
        """Return the VR of the pixels, in a file of explicit VR."""
        return self.values[row, -8:-6].tobytes()


def scan(paths: Sequence[Path]) -> Scan:
    """Scan the heads of files."""
    from fastmm.kernels._files import LOOKS
    from fastmm.kernels.heads import read

    n = len(paths)
    found = Scan(
        np.empty(n, np.int64),
        np.empty((n, len(_TAGS), 2), np.int64),
        np.empty((n, _ROOM), np.uint8),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty((n, 5)),
    )
    if LOOKS:
        names = [_c_name(path) for path in paths]
        starts = np.cumsum([0, *map(len, names[:-1])])
        read(
            np.frombuffer(b"".join(names), np.uint8), starts, _STEPS,
            found.sizes, _WANTED, _FREE, *found[1:],
        )  # fmt: skip
    else:
        head = np.empty(_STEPS[-1], np.uint8)
        for row, path in enumerate(paths):
            found.sizes[row] = _scan_one(path, head, row, found)
    return found


def _c_name(path: Path) -> bytes:
    """Return the name as C has it; of one that C cannot have, the name of no file."""
    name = os.fsencode(path)
    return name + b"\0" if b"\0" not in name else b"\0"


def _scan_one(path: Path, head: NDArray[np.uint8], row: int, found: Scan) -> int:
    """Scan a file without compiled reading; return its size, -1 of what is no regular file."""
    from fastmm.kernels.heads import find

    have, size = 0, -1
    try:
        about = os.stat(path)  # noqa: PTH116
        if stat.S_ISREG(about.st_mode):
            with path.open("rb", buffering=0) as file:
                size = about.st_size
                for stop in _STEPS.tolist():
                    have += file.readinto(head[have:stop].data) or 0
                    find(head[:have], row, _WANTED, _FREE, *found[1:])
                    if found.status[row] != _LATER or have < stop:
                        break
    except (OSError, ValueError):
        pass  # the full reader finds out, and tells
    if have == 0:
        find(head[:0], row, _WANTED, _FREE, *found[1:])
    return size
