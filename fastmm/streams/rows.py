"""Rows that features are made of, images or paths, with a digest of each run of them."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from fastmm.streams.fingerprints import digest_of_files, digest_of_values
from fastmm.streams.pages import mapping_of
from fastmm.streams.sources import Source, open_source

__all__ = ["RowSource", "open_rows", "rows_of"]


class RowSource:
    """Paths of examinations.

    Parameters
    ----------
    paths : sequence of path, pair of paths, or None
        One for each row.

    Examples
    --------
    >>> RowSource([None, None, None]).order(2)
    [0, 1]
    """

    kind = "paths"

    def __init__(self, paths: Sequence[Any]) -> None:
        self._paths, self.count = list(paths), len(paths)

    def several(self, n_bytes: int) -> int:
        """Return how many rows make a chunk of about so many bytes."""
        return 16

    def order(self, size: int) -> list[int]:
        """Return the numbers of chunks: first those that tell how long a row is."""
        chunks = range(-(-self.count // size))
        return sorted(chunks, key=lambda c: all(p is None for p in self._part(c, size)))

    def read(self, rows: slice) -> Any:
        """Return what an operator takes."""
        return self._paths[rows]

    def digest(self, chunk: int, size: int) -> str:
        """Return a digest of what a chunk is made of."""
        return digest_of_files(self._part(chunk, size))

    def _part(self, chunk: int, size: int) -> list[Any]:
        return self._paths[chunk * size : (chunk + 1) * size]


class _ArrayRows(RowSource):
    """Images behind slices."""

    def __init__(self, source: Source, digest: str | None) -> None:
        self._source, self.count = source, source.shape[0]
        self.kind = f"{source.dtype.str}{list(source.shape)}"
        self._digest = digest

    def several(self, n_bytes: int) -> int:
        row: int = math.prod(self._source.shape[1:]) * self._source.dtype.itemsize
        return max(1, n_bytes // max(row, 1))

    def order(self, size: int) -> list[int]:
        return list(range(-(-self.count // size)))

    def read(self, rows: slice) -> Any:
        return self._source.read((rows,))

    def digest(self, chunk: int, size: int) -> str:
        if self._digest is not None:
            return self._digest
        part = self._source.read((slice(chunk * size, min((chunk + 1) * size, self.count)),))
        return digest_of_values(self._source.space.to_host(part))


def rows_of(operator: Any, options: dict[str, Any]) -> Callable[[Any], Any]:
    """Return a function from images, or paths, to rows of features, None where all are missing."""
    if not hasattr(operator, "extract"):
        return lambda part: np.asarray(operator(part, **options))

    def extract(paths: Any) -> Any:
        block = operator.extract(paths, **options)
        if block.counts is not None:
            raise ValueError(
                '`operator` must give a row for each image, which `pool="rows"` lacks.'
            )
        if not block.present.any():
            return None  # which does not know how long a row is
        values: np.ndarray[Any, Any] = block.values
        values[~block.present] = np.nan
        return values

    return extract


def open_rows(images: Any) -> RowSource:
    """Return images or paths as rows that have digests.

    Parameters
    ----------
    images : array, memory-mapped array, chunked store, or sequence of paths
        What `FeatureStore.fill` was given.

    Returns
    -------
    RowSource

    Raises
    ------
    TypeError, ValueError
        If this is none of them, or has no rows.

    Examples
    --------
    >>> open_rows(np.zeros((4, 2, 2))).count
    4
    """
    if isinstance(images, (list, tuple)) and all(_is_path(item) for item in images):
        return RowSource(images)
    source = open_source(images)
    if not source.shape:
        raise ValueError("`images` must have an axis of rows, got a single value.")
    return _ArrayRows(source, _digest_behind(images))


def _is_path(item: Any) -> bool:
    if isinstance(item, tuple):
        return len(item) == 2 and all(isinstance(one, (str, os.PathLike)) for one in item)
    return item is None or isinstance(item, (str, os.PathLike))


def _digest_behind(images: Any) -> str | None:
    """Return a digest of the files of an array on disk, where they are known to be all of it."""
    if isinstance(images, np.memmap):
        # A view has another order or other rows than its file, which no file tells.
        base: Any = images.base
        whole = isinstance(base, mmap.mmap) and mapping_of(images) is not None
        return _of_files([images.filename], images.offset) if whole else None
    root = getattr(getattr(images, "store", None), "root", None)
    if isinstance(root, Path):
        return _of_files([root / str(getattr(images, "path", ""))], "")
    name = getattr(getattr(images, "file", None), "filename", None)
    return _of_files([name], getattr(images, "name", "")) if isinstance(name, str) else None


def _of_files(files: Sequence[Any], which: object) -> str:
    """Return a digest of files and of which array in them is meant."""
    return blake2b(f"{digest_of_files(files)}{which}".encode(), digest_size=16).hexdigest()
