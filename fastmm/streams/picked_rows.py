"""Some rows of an array on disk, in any order, read when they are sliced."""

from __future__ import annotations

import math
from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import Any
from weakref import finalize

import numpy as np

from fastmm.streams.lazy_rows import LazyRows
from fastmm.streams.sources import open_source

__all__ = ["PickedRows", "RowFile"]

_DENSE = 3  # rows that are read for one that is wanted: still less than to read them one by one


class PickedRows:
    """Rows (n, d) of an array on disk that look like an array, of which slices are in memory.

    Parameters
    ----------
    rows : LazyRows
        All rows of the array.
    index : int array of shape (n,), optional
        Which ones; -1 for a row of zeros. Default: all.

    Examples
    --------
    >>> file = RowFile(2)
    >>> file.append(np.arange(6, dtype=np.float32).reshape(3, 2))
    >>> file.rows().take([2, -1])[:]
    array([[4., 5.],
           [0., 0.]], dtype=float32)
    """

    def __init__(self, rows: LazyRows, index: Any = None) -> None:
        self._rows = rows
        self._index = None if index is None else np.asarray(index, np.intp)
        count = len(rows) if self._index is None else self._index.size
        self.shape, self.dtype, self.ndim = (count, *rows.shape[1:]), rows.dtype, rows.ndim

    __iter__ = None  # else NumPy would read them one by one

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = self[:]
        return found if dtype is None else found.astype(dtype, copy=False)

    def __getitem__(self, part: Any) -> Any:
        rows, *rest = part if isinstance(part, tuple) else (part,)
        if self._index is None:
            found = self._rows[slice(*rows.indices(len(self))) if isinstance(rows, slice) else rows]
        else:
            found = self._picked(self._index[rows])
        return found[(slice(None), *rest)] if rest else found

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def take(self, rows: Any) -> PickedRows:
        """Return some of these rows, given by index or mask; none is read. -1 stays -1."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        if self._index is None:
            return PickedRows(self._rows, rows)
        return PickedRows(self._rows, np.where(rows < 0, -1, self._index[rows]))

    def _picked(self, index: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        here = index >= 0
        if not here.all():
            found = np.zeros((index.size, *self.shape[1:]), self.dtype)
            if here.any():
                found[here] = self._read(index[here])
            return found
        return self._read(index)

    def _read(self, index: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if not index.size:
            return np.empty((0, *self.shape[1:]), self.dtype)
        first, stop = int(index.min()), int(index.max()) + 1
        if stop - first > _DENSE * index.size:
            return self._rows[index]  # type: ignore[no-any-return]
        found: np.ndarray[Any, Any] = self._rows[first:stop]
        if stop - first == index.size and bool((np.diff(index) == 1).all()):
            return found
        picked: np.ndarray[Any, Any] = found[index - first]
        return picked


class RowFile:
    """Rows that are appended to a file, which vanishes when nothing refers to it any more.

    Parameters
    ----------
    width : int
        Values of a row.
    dtype : dtype, default float32
        Of the values.

    Examples
    --------
    >>> file = RowFile(3)
    >>> file.append(np.ones((2, 3)))
    >>> file.mapped().shape
    (2, 3)
    """

    def __init__(self, width: int, dtype: Any = np.float32) -> None:
        # Without a name: nothing is left of it when the process is killed.
        self._file = TemporaryFile(prefix="fastmm-")  # noqa: SIM115
        finalize(self, self._file.close)
        self.width, self.dtype, self.count = width, np.dtype(dtype), 0
        self._mapped: Any = None

    def append(self, rows: Any) -> None:
        """Write rows (m, width) behind those that are there."""
        rows = np.ascontiguousarray(rows, self.dtype)
        if rows.shape[1:] != (self.width,):
            raise ValueError(f"Rows must have {self.width} values, got shape {rows.shape}.")
        self._file.write(memoryview(rows).cast("B") if rows.size else b"")
        self.count += len(rows)

    def extend(self, parts: Iterable[Any]) -> None:
        """Write rows part by part."""
        for part in parts:
            self.append(part)
            del part

    def mapped(self) -> np.ndarray[Any, Any]:
        """Return all rows as an array that is mapped, not read; no more can be appended."""
        if self._mapped is None:
            self._file.flush()
            shape = (self.count, self.width)
            empty = self.count * self.width == 0
            self._mapped = (
                np.zeros(shape, self.dtype)
                if empty
                else np.memmap(self._file, self.dtype, "r", 0, shape)
            )
            self._file.close()
        return self._mapped  # type: ignore[no-any-return]

    def rows(self) -> PickedRows:
        """Return all rows, to be read when they are sliced."""
        return PickedRows(LazyRows(open_source(self.mapped())))
