"""Headers of many DICOM files at once: the fast lane.

A compiled scanner reads the first bytes of files and finds the elements of uncompressed
little-endian ones in them, a chunk of files a call. Whatever it does not know, damage
included, goes to `read_header`; what it knows takes the same way through `interpret`, so
both lanes say the same of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from fastmm.errors import FastmmError
from fastmm.read import limits
from fastmm.read.ahead import READERS, read_ahead, read_patiently
from fastmm.read.dicom.header import Header, interpret
from fastmm.read.dicom.scans import ALIKE, FOUND, POSITION, SCALE, Scan, scan
from fastmm.read.dicom.siblings import sibling
from fastmm.read.dicom.slices import read_header
from fastmm.read.dicom.tag_table import TAGS
from fastmm.read.dicom.tags import PixelElement, Tags
from fastmm.read.source import Source

__all__ = ["read_headers"]

# Files a call of the scanner: calls enough for all threads, each long enough to pay.
_FEWEST, _MOST = 32, 256
_FEW = 8  # files for which loading the scanner does not pay
_IMPLICIT = "1.2.840.10008.1.2"
# A file that has one of these is for the full reader.
_NOT_HERE = {tag for tag, kind in TAGS.values() if kind == "sequence"}
_NOT_HERE |= {TAGS["FloatPixelData"][0], TAGS["DoubleFloatPixelData"][0]}
_FREE = {POSITION, *SCALE}  # what differs between the files of a series

Found = Any  # a Header (or what `other` returns), or the FastmmError or OSError about a file


def read_headers(
    paths: Sequence[Path],
    pool: Executor | None = None,
    *,
    other: Callable[[Path], Source] = read_header,
) -> Iterator[Found]:
    """Yield the headers of files in order; what is wrong with a file takes its place.

    `other` reads what the fast lane does not. With a `pool`, files are scanned in parallel,
    and those of the other lane where the disk is slow.
    """
    if len(paths) < _FEW:
        for path in paths:
            yield _read_one(path, other)
        return
    read = _Reader(other)
    size = min(max(_FEWEST, len(paths) // (2 * READERS)), _MOST)
    chunks = [paths[i : i + size] for i in range(0, len(paths), size)]
    calls = zip(chunks, _scan_all(chunks, pool), strict=True)
    for error, headers in read_patiently(pool, read, calls):
        if error is not None:
            raise error
        yield from headers


def _scan_all(chunks: Sequence[Sequence[Path]], pool: Executor | None) -> Iterator[Scan]:
    if pool is None:
        yield from map(scan, chunks)
        return
    for error, found in read_ahead(pool, scan, [(chunk,) for chunk in chunks]):
        if error is not None:
            raise error
        yield found


def _read_one(path: Path, read: Callable[[Path], Source]) -> Found:
    try:
        return read(path)
    except (FastmmError, OSError) as error:
        return error


class _Reader:
    """Turns scans into headers, and remembers what the files of a series have in common."""

    def __init__(self, other: Callable[[Path], Source]) -> None:
        self._other = other
        self._known: dict[tuple[Any, ...], Header] = {}

    def __call__(self, paths: Sequence[Path], scan: Scan) -> list[Found]:
        return [
            _read_one(path, self._other) if header is None else header
            for path, header in zip(paths, self._take(paths, scan), strict=True)
        ]

    def _take(self, paths: Sequence[Path], scan: Scan) -> Iterator[Header | None]:
        """Yield the headers of the files whose elements are found, None for others."""
        header: Header | None = None
        files = zip(paths, scan.status.tolist(), scan.same.tolist(), strict=True)
        for row, (path, status, same) in enumerate(files):
            before, header = header, None
            if status == FOUND:
                if before is not None and same:
                    header = sibling(before, path, scan, row, scaled=same != ALIKE)
                header = header or self._interpret(path, scan, row)
            yield header

    def _interpret(self, path: Path, scan: Scan, row: int) -> Header | None:
        elements = scan.elements(row)
        if not _NOT_HERE.isdisjoint(elements):
            return None
        at, size = scan.places[row, -1].tolist()  # the highest tag
        tags = Tags(path, elements, little_endian=True)
        syntax = tags.text("TransferSyntaxUID")
        vr = b"" if syntax == _IMPLICIT else scan.vr(row)
        scaled = [tag in elements for tag in SCALE]
        key = (*(item for item in elements.items() if item[0] not in _FREE), *scaled, vr, size)
        known = self._known.get(key)
        header = known and sibling(known, path, scan, row, scaled=any(scaled))
        if header is not None:
            return header
        pixels = PixelElement("PixelData", at, size, vr)
        sop_class = tags.text("MediaStorageSOPClassUID")
        try:
            end = int(scan.sizes[row])
            header = interpret(tags, syntax, sop_class, pixels, end, limits.MAX_BYTES)
        except FastmmError:
            return None  # the full reader words it, should it agree
        if header.frames == 1:
            self._known[key] = header
        return header
