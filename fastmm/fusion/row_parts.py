"""Rows of blocks cut into parts that fit, and whether they are to be cut at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmm.blocks import Block
from fastmm.features.table import Columns
from fastmm.fusion.room import memory_fit_bytes

__all__ = ["bytes_in_memory", "row_parts", "score_parts", "take_rows"]

_MOST = 1 << 25  # bytes of a part, from which nothing is gained


def take_rows(blocks: Mapping[str, Block], rows: Any) -> dict[str, Block]:
    """Return blocks of some rows, given by index or mask."""
    return {name: block.take(rows) for name, block in blocks.items()}


def row_parts(count: int, each: float, limit: int | None) -> list[slice]:
    """Cut rows of so many bytes into parts of a share of the limit.

    Examples
    --------
    >>> row_parts(5, 100, 1000)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    room = _MOST if limit is None else min(_MOST, limit // 4)
    step = max(1, int(room // max(each, 1)))
    return [slice(i, min(i + step, count)) for i in range(0, count, step)]


def score_parts(
    model: Any, blocks: Mapping[str, Block], limit: int | None, copies: int
) -> list[Any]:
    """Cut rows that a model scores into parts, as numbers: one where none is on a disk.

    `copies` says how many values a row becomes, for each of its features.
    """
    count = len(next(iter(blocks.values())).present)
    if limit is None and not any(block.on_disk for block in blocks.values()):
        return [np.arange(count)]
    rows = max(_slices(block) for block in blocks.values())
    each = 4 * (8 + 4 * copies) * sum(map(_width, blocks.values())) + 32 * _known(model)
    parts = row_parts(count, each * rows, limit)
    return [np.arange(part.start, part.stop) for part in parts]


def bytes_in_memory(blocks: Mapping[str, Block], form: str, tuned: bool) -> float:
    """Return what a fit takes where nothing is parted, features from a disk counted in."""
    n = len(next(iter(blocks.values())).present)
    read = sum(4.0 * n * _width(block) for block in blocks.values() if block.on_disk)
    width = sum(map(_width, blocks.values()))
    return read + memory_fit_bytes(n, len(blocks), width, form, tuned=tuned)


def _slices(block: Block) -> int:
    """Return how many rows an examination becomes at most."""
    return 1 if block.counts is None else int(block.counts.max(initial=1))


def _width(block: Block) -> int:
    """Return how many numbers a row has; of a table, about."""
    if isinstance(block.values, Columns):
        return 2 * len(block.values.texts)
    return int(block.values.shape[1])


def _known(model: Any) -> int:
    """Return how many training rows a kernel compares new ones with, and how often."""
    members = getattr(model.fusion_, "members_", None)
    if members is not None:
        return max(map(_known, members.values()))
    kept = getattr(model.fusion_, "train_", None)
    if kept is not None:
        return len(next(iter(kept.values()))) * (4 + len(kept))
    known = getattr(getattr(model, "solver_", None), "X_fit_", None)
    return 0 if known is None else len(known)
