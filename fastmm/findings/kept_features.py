"""Features of a cohort's images that a folder keeps: an interrupted run goes on where it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from fastmm.blocks import Block, BlockFile
from fastmm.examinations import load_in_turn
from fastmm.modalities import ImageModality
from fastmm.streaming import FeatureStore

__all__ = ["kept_block", "pictures_of"]

_ROWS = 256  # of a store that are read and checked at a time
_PICTURES = 1 << 28  # bytes for images that are only shown, where there is no limit


def kept_block(
    modality: ImageModality,
    scans: Sequence[Any],
    name: str,
    store: Path,
    device: str,
    limit: int | None,
    progress: Callable[[int, int], object],
) -> Block:
    """Return features of scans, those that a store lacks computed first.

    Parameters
    ----------
    modality : ImageModality
        What becomes features.
    scans : sequence of path, (path, path) or None
        Of each examination.
    name : str
        Of the modality, after which a folder in `store` is called.
    store : Path
        Folder.
    device : {"auto", "cpu", "cuda"}
        Where.
    limit : int or None
        Bytes for images at a time, and whether features go to a temporary file.
    progress : callable
        Counts examinations.

    Returns
    -------
    Block

    Raises
    ------
    ValueError
        If the store was made by something else, or of other images; or slices are rows.
    """
    if modality.pool == "rows":
        raise ValueError(
            '`store` keeps a row for each examination, which `pool="rows"` has not; leave one of '
            "them out."
        )
    store.mkdir(parents=True, exist_ok=True)
    kept = FeatureStore(store / _folder(name))
    kept.fill(modality, list(scans), progress=progress, device=device, memory_limit=limit)
    present, file = np.array([scan is not None for scan in scans]), BlockFile()
    for start in range(0, len(present), _ROWS):
        some = slice(start, min(start + _ROWS, len(present)))
        here, values = present[some], kept.read(some)
        values[~here] = 0
        file.append(Block(values, here))
    return file.block() if limit is not None else file.block().read()


def pictures_of(
    modality: ImageModality, scans: Sequence[Any], device: str, count: int, limit: int | None
) -> list[Any]:
    """Return the middle slice of the first scans that are there."""
    first = [scan for scan in scans if scan is not None][:count]
    found = []
    for loaded in load_in_turn(modality, first, device, None, limit or _PICTURES):
        found += [slices[len(slices) // 2].copy() for slices in loaded.images]
        del loaded
    return found


def _folder(name: str) -> str:
    """Return a name that every file system takes, another for each modality."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return (
        plain if plain == name else f"{plain}-{blake2b(name.encode(), digest_size=4).hexdigest()}"
    )
