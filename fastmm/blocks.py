"""What modalities hand on: features before anything is fitted, and examinations as read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm.features.table import Columns
from fastmm.streams.picked_rows import PickedRows, RowFile

__all__ = ["Block", "BlockFile", "Examinations", "join_blocks", "same_widths", "spread_slices"]


@dataclass(frozen=True)
class Block:
    """Features of one modality before anything is fitted.

    Attributes
    ----------
    values : array of shape (rows, features), PickedRows, or Columns
        Image features, zeros where a row has none, in memory or on disk; or a table that is
        not yet encoded. Where `counts` is given, one row for each slice of those that are there.
    present : bool array of shape (rows,)
        Which rows have the modality.
    counts : int array of shape (rows,), or None
        Number of rows of `values` of each examination, 0 where it is missing; None where
        each has one.
    """

    values: Any
    present: np.ndarray[Any, Any]
    counts: np.ndarray[Any, Any] | None = None

    def take(self, rows: Any) -> Block:
        """Return the block of some rows, given by index or mask."""
        if self.counts is None:
            return Block(_rows(self.values, rows), self.present[rows])
        starts = np.cumsum(self.counts) - self.counts
        at = np.arange(len(self.present))[rows]
        own = [np.arange(starts[i], starts[i] + self.counts[i]) for i in at]
        values = _rows(self.values, np.concatenate([*own, np.empty(0, int)]).astype(int))
        return Block(values, self.present[at], self.counts[at])

    @property
    def on_disk(self) -> bool:
        """Whether the features are read when they are sliced."""
        return isinstance(self.values, PickedRows)

    def read(self) -> Block:
        """Return the block with its features in memory."""
        return Block(self.values[:], self.present, self.counts) if self.on_disk else self


class BlockFile:
    """Features of one modality that go to a file, some examinations at a time.

    Examples
    --------
    >>> file = BlockFile()
    >>> file.append(Block(np.ones((2, 3), np.float32), np.array([True, False])))
    >>> file.block().values[:]
    array([[1., 1., 1.],
           [0., 0., 0.]], dtype=float32)
    """

    def __init__(self) -> None:
        self._file: RowFile | None = None
        self._present: list[Any] = []
        self._counts: list[Any] = []

    def append(self, part: Block) -> None:
        """Write the features of some examinations, those that are there."""
        self._present.append(part.present)
        if part.counts is not None:
            self._counts.append(part.counts)
        if not part.present.any():
            return
        if self._file is None:
            self._file = RowFile(int(part.values.shape[1]), part.values.dtype)
        same_widths({self._file.width, int(part.values.shape[1])})
        self._file.append(part.values if part.counts is not None else part.values[part.present])

    def block(self) -> Block:
        """Return the block of all that was written."""
        present = np.concatenate([np.zeros(0, bool), *self._present])
        rows = (self._file or RowFile(0)).rows()
        if self._counts:
            return Block(rows, present, np.concatenate(self._counts))
        return Block(rows.take(np.where(present, np.cumsum(present) - 1, -1)), present)


def join_blocks(parts: Sequence[Block]) -> Block:
    """Put blocks of image features together, one below the other.

    Parameters
    ----------
    parts : sequence of Block
        Of one modality; parts without a feature have none of its examinations.

    Returns
    -------
    Block

    Raises
    ------
    ValueError
        If examinations have unlike numbers of features.

    Examples
    --------
    >>> one = Block(np.ones((2, 3), np.float32), np.ones(2, bool))
    >>> join_blocks([one, one]).values.shape
    (4, 3)
    """
    present = np.concatenate([np.zeros(0, bool), *(part.present for part in parts)])
    some = [part for part in parts if part.present.any()]
    widths = {int(part.values.shape[1]) for part in some}
    same_widths(widths)
    width = widths.pop() if widths else 0
    if parts and parts[0].counts is not None:
        values = np.concatenate([np.zeros((0, width), np.float32), *(p.values for p in some)])
        return Block(values, present, np.concatenate([part.counts for part in parts]))
    rows = np.zeros((len(present), width), np.float32)
    rows[present] = np.concatenate([rows[:0], *(part.values[part.present] for part in some)])
    return Block(rows, present)


def same_widths(widths: Collection[int]) -> None:
    """Refuse rows of several lengths, which come of stacked slices."""
    if len(widths) > 1:
        raise ValueError(
            '`pool="stack"` needs as many slices in each examination, got '
            f'{len(widths)} different numbers; choose pool="mean" or "max".'
        )


@dataclass(frozen=True)
class Examinations:
    """Images of several examinations, as a modality wants them.

    Attributes
    ----------
    images : list of array of shape (slices, h, w) or None
        One for each examination.
    units : str
        Unit of the files.
    n_bytes : int
        Bytes of pixel data that were read.
    sizes : array of shape (examinations, 2), or None
        Of regions of interest volume and extent, NaN where an examination is missing.
    """

    images: list[Any]
    units: str
    n_bytes: int
    sizes: Any = None


def spread_slices(
    blocks: Mapping[str, Block],
) -> tuple[dict[str, Block], np.ndarray[Any, Any] | None]:
    """Give every slice a row where a modality wants that; the others are repeated.

    Returns
    -------
    blocks : dict of str to Block
        With one row for each slice.
    owner : int array of shape (slices,), or None
        Examination of each slice; None where each examination has one row.

    Raises
    ------
    ValueError
        If two modalities have unlike numbers of slices in an examination.
    """
    several = {name: block.counts for name, block in blocks.items() if block.counts is not None}
    if not several:
        return dict(blocks), None
    counts: Any = np.max(list(several.values()), axis=0)
    for name, own in several.items():
        unlike = np.flatnonzero((own > 0) & (own != counts))
        if unlike.size:
            raise ValueError(
                f"Modalities whose slices are rows must have as many in each examination; {name!r} "
                f"has {own[unlike[0]]} and another {counts[unlike[0]]} in row {unlike[0]}."
            )
    counts = np.maximum(counts, 1)
    owner = np.repeat(np.arange(len(counts)), counts)
    spread = {}
    for name, block in blocks.items():
        if block.counts is None:
            spread[name] = block.take(owner)
            continue
        here = block.present[owner]
        if isinstance(block.values, PickedRows):
            spread[name] = Block(block.values.take(np.where(here, np.cumsum(here) - 1, -1)), here)
            continue
        values = np.zeros((len(owner), block.values.shape[1]), block.values.dtype)
        values[here] = block.values
        spread[name] = Block(values, here)
    return spread, owner


def _rows(values: Any, rows: Any) -> Any:
    return values.take(rows) if isinstance(values, (Columns, PickedRows)) else values[rows]
