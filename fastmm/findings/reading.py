"""Read a cohort's files and compute the features of each modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastmm.blocks import Block
from fastmm.cohort import Cohort
from fastmm.modalities import ImageModality
from fastmm.stopwatch import Stopwatch

__all__ = ["Task", "read_blocks"]

Task = Callable[[str], Callable[[int, int], object]]
_PICTURES = 8


def read_blocks(
    cohort: Cohort,
    modalities: Mapping[str, Any],
    device: str,
    watch: Stopwatch,
    task: Task,
    scheduler: str | None = None,
) -> tuple[dict[str, Block], dict[str, Any]]:
    """Return the features of each modality, and some images as the model sees them."""
    if scheduler is not None:
        from fastmm.dask_study import extract_on_cluster

        blocks, images = extract_on_cluster(
            cohort, modalities, scheduler, device, watch, task, _PICTURES
        )
        return blocks, {name: _shown(some) for name, some in images.items()}
    blocks = {}
    pictures: dict[str, Any] = {}
    for name, modality in modalities.items():
        if not isinstance(modality, ImageModality):
            with watch("tables"):
                blocks[name] = modality.extract(cohort.tables[name])
            continue
        with watch("read, window, resize") as stage:
            progress = task(f"read {name}")
            loaded = modality.load(cohort.scans(name), device=device, progress=progress)
            slices = loaded.images
            stage.images += sum(len(s) for s in slices if s is not None)
            stage.size += loaded.n_bytes
        with watch("features") as stage:
            blocks[name] = modality.extract(loaded)
            stage.images += sum(len(s) for s in slices if s is not None)
        pictures[name] = _shown([s[len(s) // 2] for s in slices if s is not None][:_PICTURES])
    return blocks, pictures


def _shown(images: list[Any]) -> Any:
    host = [each.get() if hasattr(each, "get") else each for each in images]
    stack = np.stack(host).astype(np.float32)
    low, high = np.nanpercentile(stack, [1, 99])
    return np.nan_to_num(np.clip((stack - low) / max(high - low, 1e-12), 0, 1))  # NaN: no region
