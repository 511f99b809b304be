"""Rows that Gram matrices are made of, in memory or on disk, and what depends on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

from fastmm._check import finite
from fastmm._space import Space, enter
from fastmm.streams.lazy_rows import LazyRows, read_ahead, refuse_nonfinite
from fastmm.streams.pages import mapping_of
from fastmm.streams.sources import Region, is_source, open_source

__all__ = ["TileRows", "variance_of"]


class TileRows:
    """Rows that are read by regions.

    Parameters
    ----------
    array : array, memory-mapped array or chunked store
        What a kernel function was given.
    name : str
        Of the argument, for errors.

    Examples
    --------
    >>> TileRows(np.eye(3), "X").read((slice(0, 1),))
    array([[1., 0., 0.]])
    """

    copies, extra = 0.0, 0
    grain: tuple[int, ...] = ()

    def __init__(self, array: Any, name: str) -> None:
        self.name = name
        self.on_disk = is_source(array) or mapping_of(array) is not None
        self.space = Space("cpu")
        self.leave: Callable[[Any], Any] = lambda made: made
        if self.on_disk:
            self._source = open_source(array)
            self.copies, self.extra = self._source.copies, self._source.extra
            self.grain = self._source.grain
            self.shape, self.dtype = self._source.shape, self._source.dtype
        else:
            self.space, (self._native,), self.leave = enter(**{name: array})
            if self._native is None:
                raise TypeError(f"`{name}` must be an array, got None.")
            self.shape, self.dtype = tuple(self._native.shape), np.dtype(self._native.dtype)
        self.ndim = len(self.shape)

    @property
    def row(self) -> int:
        """Bytes of all that an entry of the first axis holds."""
        return int(prod(self.shape[1:]) * self.dtype.itemsize)

    def read(self, region: Region) -> Any:
        """Return a part: a view, or what was read into the memory of the host."""
        if not self.on_disk:
            return self._native[region or ...]
        self._source.fetch(region)
        return self._source.read(region)

    def drop(self, region: Region) -> None:
        """Give back what a part took."""
        if self.on_disk:
            self._source.drop(region)

    def overlaps(self, array: Any) -> bool:
        """Say whether an array of the same device may lie in the same memory."""
        if self.on_disk:
            return self._source.overlaps(array)
        return bool(self.space.xp.may_share_memory(self._native, array))

    def parts(self, most: int) -> Iterator[Any]:
        """Yield all that there is in parts of about `most` bytes, at least a row."""
        if self.on_disk:
            rows = LazyRows(self._source)
            yield from (part for _, part in read_ahead(rows.__getitem__, rows.parts(most), True))
            return
        step = max(1, most // max(self.row, 1))
        yield from (self._native[i : i + step] for i in range(0, self.shape[0], step))

    def refuse_nonfinite(self, most: int) -> None:
        """Refuse NaN and infinity, read in parts of about `most` bytes."""
        if self.on_disk:
            refuse_nonfinite(LazyRows(self._source), self.name, 8 * most)
        else:
            finite(self._native, self.name, self.space.xp)


def variance_of(rows: TileRows, most: int) -> float:
    """Return the variance of all entries, 0 where they are all the same.

    In two passes: squares of what is left of the mean lose no digits.
    """
    total, size, first, constant = 0.0, prod(rows.shape), None, True
    most = most * rows.dtype.itemsize // 8  # what is read is held in float64, too
    for part in rows.parts(most):
        first = part[(slice(0, 1),) * part.ndim] if first is None else first
        constant = constant and bool((part == first).all())
        total += float(part.sum(dtype=np.float64))
    if constant:
        return 0.0
    mean, squares = total / size, 0.0
    for part in rows.parts(most):
        squares += _squares(part, mean)
    return squares / size


def _squares(part: Any, mean: float) -> float:
    apart = part.astype(np.float64)
    apart -= mean
    apart *= apart
    return float(apart.sum())
