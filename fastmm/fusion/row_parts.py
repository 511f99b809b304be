"""Rows of blocks cut into parts that fit, and whether they are to be cut at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from fastmm.blocks import Block
from fastmm.features.table import Columns
from fastmm.fusion.room import memory_fit_bytes

__all__ = [
    "block_width",
    "bytes_in_memory",
    "bytes_of_network",
    "over_parts",
    "row_parts",
    "score_parts",
    "take_rows",
]

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
    each = 4 * (8 + 4 * copies) * sum(map(block_width, blocks.values())) + 32 * _known(model)
    parts = row_parts(count, each * rows, limit)
    return [np.arange(part.start, part.stop) for part in parts]


def over_parts(
    model: Any,
    X: Mapping[str, Any],
    compute: Callable[[dict[str, Block]], dict[str, Any]],
    copies: int = 1,
    fixed: Collection[str] = (),
) -> dict[str, Any]:
    """Join what a function returns for parts of the examinations: arrays by name, rows first.

    What has a name of `fixed` is the same for all parts.
    """
    blocks = model.extract(X)
    parts = model.parts(blocks, copies)
    if len(parts) < 2:
        return compute(blocks)
    found = [compute(take_rows(blocks, part)) for part in parts]
    return {
        name: own if name in fixed else np.concatenate([part[name] for part in found])
        for name, own in found[0].items()
    }


def bytes_in_memory(blocks: Mapping[str, Block], form: str, tuned: bool) -> float:
    """Return what a fit takes where nothing is parted, features from a disk counted in."""
    n = len(next(iter(blocks.values())).present)
    width = sum(map(block_width, blocks.values()))
    return _read(blocks) + memory_fit_bytes(n, len(blocks), width, form, tuned=tuned)


def bytes_of_network(blocks: Mapping[str, Block]) -> float:
    """Return what a network's features take: as they come, standardised, and those of a fold."""
    n = len(next(iter(blocks.values())).present)
    return _read(blocks) + 12.0 * n * sum(map(block_width, blocks.values()))


def _read(blocks: Mapping[str, Block]) -> float:
    """Return the bytes of features on a disk, once they are read."""
    own = [block for block in blocks.values() if block.on_disk]
    return sum(4.0 * len(block.present) * block_width(block) for block in own)


def _slices(block: Block) -> int:
    """Return how many rows an examination becomes at most."""
    return 1 if block.counts is None else int(block.counts.max(initial=1))


def block_width(block: Block) -> int:
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
