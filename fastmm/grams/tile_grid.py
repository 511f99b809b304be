"""Which tiles a Gram matrix is made in: as large as a limit allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

__all__ = ["Grid", "Place", "tile_side"]


class Place(NamedTuple):
    """Where a tile lies: single entries of the leading axes, then rows and columns."""

    leading: tuple[int, ...]
    rows: slice
    columns: slice

    @property
    def region(self) -> tuple[slice, ...]:
        """Return the part of the result that this is."""
        return (*(slice(i, i + 1) for i in self.leading), self.rows, self.columns)

    @property
    def mirrored(self) -> Place:
        """Return the tile on the other side of the diagonal."""
        return Place(self.leading, self.columns, self.rows)


class Grid(NamedTuple):
    """Tiles of at most `side` rows and columns; of `mirrored` ones, none below the diagonal."""

    leading: tuple[int, ...]
    rows: int
    columns: int
    side: int
    mirrored: bool

    def __iter__(self) -> Iterator[Place]:  # type: ignore[override]
        for before in product(*map(range, self.leading)):
            for first in range(0, self.rows, self.side):
                rows = slice(first, min(first + self.side, self.rows))
                for begin in range(first if self.mirrored else 0, self.columns, self.side):
                    yield Place(before, rows, slice(begin, min(begin + self.side, self.columns)))


def tile_side(most: int, fits: Callable[[int], bool], grains: list[tuple[int, ...]]) -> int:
    """Return the largest side of a tile that fits, at least 1.

    Parameters
    ----------
    most : int
        Beyond which there is nothing.
    fits : callable
        Says whether a tile of so many rows and columns has room; of no larger one than fits.
    grains : list of tuple of int
        Chunks of the stores that are read and written: multiples of theirs spare doing so twice.

    Examples
    --------
    >>> tile_side(1000, lambda side: side**2 <= 10_000, [(7, 3)])
    84
    """
    low, high = 1, max(1, most)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    if low < most:
        edges = [math.lcm(*grain) for grain in grains if grain]
        for edge in (math.lcm(*edges), *edges):
            if edge <= low:
                return low - low % edge
    return low
