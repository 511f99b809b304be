"""Which parts of a batch are in memory at a time: as many images as a limit allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from fastmm.streams.limits import say_bytes

__all__ = ["Chunks", "Needs", "plan_chunks"]


@dataclass(frozen=True)
class Needs:
    """Bytes that a call takes: once, and for each image of a chunk.

    Attributes
    ----------
    fixed : int
        Whatever the chunks are: a result that is made, a store's own buffers.
    each : int
        For each image: what is read, made and written at the same time.
    moved : int
        For each image: what is read and made, by which chunks are kept in a cache.
    result : int
        Part of `fixed` that `out` would spare.
    """

    fixed: int
    each: int
    moved: int
    result: int = 0


@dataclass(frozen=True)
class Chunks:
    """Regions of batch axes: single entries of the first axes, `rows` of axis `axis`.

    Attributes
    ----------
    batch : tuple of int
        Sizes of the batch axes.
    axis : int
        The axis that is cut; those before it go one by one, those behind it whole.
    rows : int
        Entries of it at a time.

    Examples
    --------
    >>> [region[0] for region in Chunks((5,), 0, 2)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """

    batch: tuple[int, ...]
    axis: int
    rows: int

    def __len__(self) -> int:
        if not self.batch:
            return 1
        parts = -(-self.batch[self.axis] // self.rows)
        return math.prod(self.batch[: self.axis]) * parts if 0 not in self.batch else 0

    def __iter__(self) -> Iterator[tuple[slice, ...]]:
        if not self.batch:
            yield ()
            return
        if 0 in self.batch:
            return
        length = self.batch[self.axis]
        for before in product(*map(range, self.batch[: self.axis])):
            fixed = tuple(slice(i, i + 1) for i in before)
            for first in range(0, length, self.rows):
                yield (*fixed, slice(first, min(first + self.rows, length)))

    @property
    def images(self) -> int:
        """Images of the largest chunk."""
        return self.rows * math.prod(self.batch[self.axis + 1 :]) if self.batch else 1


def plan_chunks(
    batch: tuple[int, ...],
    needs: Needs,
    limit: int | None,
    cap: int,
    grains: tuple[tuple[int, ...], ...] = (),
) -> Chunks:
    """Choose the largest chunks within `limit` bytes, and no larger than serves speed.

    Parameters
    ----------
    batch : tuple of int
        Sizes of the batch axes.
    needs : Needs
        What they take.
    limit : int or None
        Bytes.
    cap : int
        Bytes read and made for a chunk beyond which larger ones are no faster.
    grains : tuple of tuple of int
        Chunks of the stores that are read and written, by axis: multiples of theirs spare
        reading or writing them twice.

    Returns
    -------
    Chunks

    Raises
    ------
    ValueError
        If not even one image fits; the message says what does.

    Examples
    --------
    >>> plan_chunks((100, 3), Needs(0, each=10, moved=10), 300, 1 << 20).rows
    10
    """
    if limit is not None and limit < needs.fixed + needs.each:
        least = needs.fixed + needs.each
        spare = ""
        if needs.result:
            spare = (
                f", of which the result takes {say_bytes(needs.result)}; `out` on disk spares that"
            )
        raise ValueError(
            f"`memory_limit` must be at least {say_bytes(least)} here, got "
            f"{say_bytes(limit)}: one image at a time takes that much{spare}."
        )
    most = math.prod(batch) if limit is None else (limit - needs.fixed) // max(needs.each, 1)
    wanted = max(1, min(most, cap // max(needs.moved, 1)))
    axis = 0
    while axis < len(batch) - 1 and math.prod(batch[axis + 1 :]) > wanted:
        axis += 1
    inner = max(1, math.prod(batch[axis + 1 :]))
    rows = max(1, wanted // inner)
    own = [grain[axis] for grain in grains if axis < len(grain)]
    for grain in (math.lcm(*own), *own):  # all stores alike, or else one of them
        if own and grain * inner <= most:
            rows = max(rows // grain, 1) * grain
            break
    return Chunks(batch, axis, min(rows, batch[axis]) if batch and batch[axis] else 1)
