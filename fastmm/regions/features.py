"""The size of regions as features beside those of their slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmm.blocks import Block
from fastmm.features.regional import NAMES
from fastmm.regions.sizes import SIZE_NAMES

__all__ = ["spread_sizes", "statistic_names", "with_sizes"]


def spread_sizes(sizes: Sequence[Any], paths: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return (examinations, 2): the sizes of those that are there, NaN for the others."""
    found = np.full((len(paths), 2), np.nan)
    found[[path is not None for path in paths]] = np.array(sizes, np.float64)
    return found


def with_sizes(block: Block, sizes: Any) -> Block:
    """Return a block with the sizes as its last columns, in each row of an examination."""
    if not block.present.any():
        return block
    if sizes is None:
        raise ValueError("`region_size` needs scans that are read from files with their masks.")
    sizes = np.where(block.present[:, None], sizes, 0.0)
    if block.counts is not None:
        sizes = np.repeat(sizes, block.counts, axis=0)
    return Block(np.hstack([block.values, sizes.astype(np.float32)]), block.present, block.counts)


def statistic_names(modality: Any, features: int) -> list[str]:
    """Return the names of the features of a modality with ``features="statistics"``."""
    sizes = list(SIZE_NAMES) if modality.region_size else []
    slices = (features - len(sizes)) // len(NAMES)
    if slices == 1:
        return [*NAMES, *sizes]
    return [*(f"{name}, slice {k + 1}" for k in range(slices) for name in NAMES), *sizes]
