"""Read a cohort's files and compute the features of each modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fastmm.blocks import Block
from fastmm.cohort import Cohort
from fastmm.findings.features import extract_blocks
from fastmm.stopwatch import Stopwatch
from fastmm.streams.limits import check_limit

__all__ = ["Task", "read_blocks"]

Task = Callable[[str], Callable[[int, int], object]]
_PICTURES = 8


def read_blocks(
    cohort: Cohort,
    modalities: Mapping[str, Any],
    device: str,
    watch: Stopwatch,
    task: Task,
    *,
    scheduler: str | None = None,
    memory_limit: int | str | None = None,
    store: str | PathLike[str] | None = None,
) -> tuple[dict[str, Block], dict[str, Any]]:
    """Return the features of each modality, and some images as the model sees them."""
    limit = check_limit(memory_limit)
    if scheduler is None:
        folder = None if store is None else Path(store)
        blocks, images = extract_blocks(
            cohort, modalities, device, watch, task, _PICTURES, limit, folder
        )
    elif store is not None:
        raise ValueError("`store` keeps what this machine computes; leave out `scheduler`.")
    else:
        from fastmm.findings.cluster import extract_on_cluster

        blocks, images = extract_on_cluster(
            cohort, modalities, scheduler, device, watch, task, _PICTURES
        )
    return blocks, {name: _shown(some) for name, some in images.items()}


def _shown(images: list[Any]) -> Any:
    host = [each.get() if hasattr(each, "get") else each for each in images]
    stack = np.stack(host).astype(np.float32)
    low, high = np.nanpercentile(stack, [1, 99])
    return np.nan_to_num(np.clip((stack - low) / max(high - low, 1e-12), 0, 1))  # NaN: no region
