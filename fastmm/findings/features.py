"""Features of a cohort's modalities, all images in memory or some examinations at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastmm.blocks import Block, BlockFile, Examinations
from fastmm.cohort import Cohort
from fastmm.examinations import load_in_turn
from fastmm.findings.kept_features import kept_block, pictures_of
from fastmm.findings.unreadable import naming_rows
from fastmm.modalities import ImageModality
from fastmm.stopwatch import Stopwatch

__all__ = ["extract_blocks"]

Progress = Callable[[int, int], object]


def extract_blocks(
    cohort: Cohort,
    modalities: Mapping[str, Any],
    device: str,
    watch: Stopwatch,
    task: Callable[[str], Progress],
    shown: int,
    limit: int | None = None,
    store: Path | None = None,
) -> tuple[dict[str, Block], dict[str, list[Any]]]:
    """Read the modalities of a cohort and compute their features.

    Parameters
    ----------
    cohort : Cohort
        With a column for each modality.
    modalities : mapping of str to ImageModality or TableModality
        What becomes features, and how.
    device : {"auto", "cpu", "cuda"}
        Where.
    watch, task
        As for `fastmm.study.run_study`.
    shown : int
        How many examinations to return an image of.
    limit : int or None
        Bytes for images at a time, whose features go to a temporary file; None: all of a
        modality are in memory at once.
    store : Path or None
        Folder that keeps features; see `kept_block`.

    Returns
    -------
    blocks : dict of str to Block
        Features.
    pictures : dict of str to list of array of shape (h, w)
        The middle slice of the first examinations.
    """
    blocks: dict[str, Block] = {}
    pictures: dict[str, list[Any]] = {}
    for name, modality in modalities.items():
        if not isinstance(modality, ImageModality):
            with watch("tables"):
                blocks[name] = modality.extract(cohort.tables[name])
            continue
        if store is not None:
            with watch("read and features (kept)"):
                told, scans = task(f"read {name}"), cohort.scans(name)
                with naming_rows(name, modality, scans, device):
                    blocks[name] = kept_block(modality, scans, name, store, device, limit, told)
                    pictures[name] = pictures_of(modality, scans, device, shown, limit)
            continue
        file, pictures[name] = BlockFile(), []
        for loaded in _loaded(modality, cohort.scans(name), device, watch, task, name, limit):
            with watch("features") as stage:
                block = modality.extract(loaded)
                if limit is not None:
                    file.append(block)
                stage.images += _count(loaded.images)
            for slices in loaded.images:
                if slices is not None and len(pictures[name]) < shown:
                    # A view would keep all images of a part.
                    pictures[name].append(slices[len(slices) // 2].copy())
                del slices
            del loaded
        blocks[name] = block if limit is None else file.block()
    return blocks, pictures


def _loaded(
    modality: ImageModality,
    scans: Sequence[Any],
    device: str,
    watch: Stopwatch,
    task: Callable[[str], Progress],
    name: str,
    limit: int | None,
) -> Iterator[Examinations]:
    """Load parts, or all, each under the watch."""
    progress = task(f"read {name}")
    parts: Iterator[Examinations]
    if limit is None:
        parts = (modality.load(paths, device=device, progress=progress) for paths in [scans])
    else:
        parts = load_in_turn(modality, scans, device, progress, limit)
    while True:
        reads = naming_rows(name, modality, scans, device)
        with watch("read, window, resize") as stage, reads:
            loaded = next(parts, None)
            if loaded is None:
                return
            stage.images += _count(loaded.images)
            stage.size += loaded.n_bytes
        yield loaded
        del loaded


def _count(images: Sequence[Any]) -> int:
    return sum(len(slices) for slices in images if slices is not None)
