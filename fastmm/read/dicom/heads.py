"""Headers of many DICOM files at once: the fast lane.

A compiled scanner finds the elements of uncompressed little-endian files in their first
bytes, a chunk of files a call. Whatever it does not know, damage included, goes to
`read_header`; what it knows takes the same way through `interpret`, so both lanes say the
same of a file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import FastmmError
from fastmm.read import limits
from fastmm.read.ahead import read_patiently
from fastmm.read.dicom.header import Header, interpret
from fastmm.read.dicom.place import read_position
from fastmm.read.dicom.slices import read_header
from fastmm.read.dicom.tag_table import TAGS
from fastmm.read.dicom.tags import PixelElement, Tags
from fastmm.read.source import Source

__all__ = ["read_headers"]

_CHUNK = 32  # files a call of the scanner
_FEW = 8  # files for which loading the scanner does not pay
# First bytes that are read of a file, and of one whose header is longer.
_HEAD, _LONG_HEAD = 1 << 14, 1 << 18
_FOUND, _LATER = 0, 1  # as fastmm.kernels.elements says
_IMPLICIT = "1.2.840.10008.1.2"
_PIXEL_DATA, _POSITION = TAGS["PixelData"][0], TAGS["ImagePositionPatient"][0]
_TAGS = sorted(tag for tag, _ in TAGS.values())
_WANTED = np.array(_TAGS, np.int64)
_POSITION_PLACE = _TAGS.index(_POSITION)
# A file that has one of these is for the full reader.
_NOT_HERE = {tag for tag, kind in TAGS.values() if kind == "sequence"}
_NOT_HERE |= {TAGS["FloatPixelData"][0], TAGS["DoubleFloatPixelData"][0]}

Found = Any  # a Header (or what `other` returns), or the FastmmError or OSError about a file


def read_headers(
    paths: Sequence[Path],
    pool: Executor | None = None,
    *,
    other: Callable[[Path], Source] = read_header,
) -> Iterator[Found]:
    """Yield the headers of files in order; what is wrong with a file takes its place.

    `other` reads what the fast lane does not. With a `pool`, files are read in parallel
    where the disk is slow.
    """
    if len(paths) < _FEW:
        for path in paths:
            yield _read_one(path, other)
        return
    read = _Reader(other)
    chunks = [(paths[i : i + _CHUNK],) for i in range(0, len(paths), _CHUNK)]
    for error, headers in read_patiently(pool, read, chunks):
        if error is not None:
            raise error
        yield from headers


def _read_one(path: Path, read: Callable[[Path], Source]) -> Found:
    try:
        return read(path)
    except (FastmmError, OSError) as error:
        return error


class _Reader:
    """Reads chunks of headers, and remembers what the files of a series have in common."""

    def __init__(self, other: Callable[[Path], Source]) -> None:
        from fastmm.kernels.elements import find

        self._find, self._other = find, other
        self._known: dict[tuple[Any, ...], Header] = {}

    def __call__(self, paths: Sequence[Path]) -> list[Found]:
        found: list[Header | None] = [None] * len(paths)
        todo: Sequence[int] = range(len(paths))
        for size in (_HEAD, _LONG_HEAD):
            todo = self._scan(paths, todo, found, size)
        return [
            _read_one(p, self._other) if h is None else h for p, h in zip(paths, found, strict=True)
        ]

    def _scan(
        self, paths: Sequence[Path], todo: Sequence[int], found: list[Header | None], size: int
    ) -> list[int]:
        """Read the headers that fit in `size` bytes; return the files with longer ones."""
        if not todo:
            return []
        heads = np.empty((len(todo), size), np.uint8)
        read = [_read_head(paths[i], heads[row]) for row, i in enumerate(todo)]
        lengths = np.array([length for length, _ in read])
        places = np.empty((len(todo), len(_WANTED), 2), np.int64)
        status = np.empty(len(todo), np.int64)
        same = np.empty(len(todo), bool)
        self._find(heads, lengths, _WANTED, _POSITION, places, status, same)
        found_at = places.tolist()
        before: Header | None = None
        later = []
        for row, (i, state) in enumerate(zip(todo, status.tolist(), strict=True)):
            if state == _FOUND:
                head, at, end = heads[row].data, found_at[row], read[row][1]
                header = None
                if before is not None and same[row]:
                    header = _sibling(before, paths[i], head, at, end)
                found[i] = before = header or self._interpret(paths[i], head, at, end)
            elif state == _LATER and lengths[row] == size:
                later.append(i)
        return later

    def _interpret(
        self, path: Path, head: memoryview, places: list[list[int]], end: int
    ) -> Header | None:
        elements = {
            tag: bytes(head[at : at + size])
            for tag, (at, size) in zip(_TAGS, places, strict=True)
            if at >= 0 and tag != _PIXEL_DATA
        }
        if not _NOT_HERE.isdisjoint(elements):
            return None
        at, size = places[-1]  # the highest tag
        tags = Tags(path, elements, little_endian=True)
        syntax = tags.text("TransferSyntaxUID")
        vr = b"" if syntax == _IMPLICIT else bytes(head[at - 8 : at - 6])
        key = (*(item for item in elements.items() if item[0] != _POSITION), vr, size)
        sibling = self._known.get(key)
        if sibling is not None:
            return _sibling(sibling, path, head, places, end)
        pixels = PixelElement("PixelData", at, size, vr)
        sop_class = tags.text("MediaStorageSOPClassUID")
        try:
            header = interpret(tags, syntax, sop_class, pixels, end, limits.MAX_BYTES)
        except FastmmError:
            return None  # the full reader words it, should it agree
        if header.frames == 1:
            self._known[key] = header
        return header


def _sibling(
    header: Header, path: Path, head: memoryview, places: list[list[int]], end: int
) -> Header | None:
    """Return the header of a file that differs in its position only; None if it is odd."""
    offset = places[-1][0]
    if header.frames > 1 or end - offset < header.layout.n_bytes:
        return None
    at, size = places[_POSITION_PLACE]
    elements = {_POSITION: bytes(head[at : at + size])} if at >= 0 else {}
    try:
        positions = read_position(Tags(path, elements, little_endian=True))
    except FastmmError:
        return None
    return _like(header, path=path, offset=offset, positions=positions)


def _like(header: Header, **changes: Any) -> Header:
    # dataclasses.replace takes four times as long, a tenth of all there is to do for a file.
    other = object.__new__(Header)
    other.__dict__.update(header.__dict__, **changes)
    return other


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
