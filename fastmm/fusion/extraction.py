"""Features of a modality for a model: in memory, or under a limit in a file."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from fastmm.blocks import Block, BlockFile, Examinations
from fastmm.examinations import load_in_turn

__all__ = ["block_of_files", "extract_block"]


def extract_block(modality: Any, data: Any, limit: int | None) -> Block:
    """Compute the features of examinations.

    Parameters
    ----------
    modality : ImageModality or TableModality
        What they are of.
    data : object
        What its ``extract`` takes.
    limit : int or None
        Bytes for images: files are then read some at a time, and features go to a file.

    Returns
    -------
    Block
    """
    if limit is None or not hasattr(modality, "load") or not _has_paths(data):
        block: Block = modality.extract(data)
        return block
    return block_of_files(modality, list(data), "cpu", None, limit)


def block_of_files(
    modality: Any, paths: Sequence[Any], device: str, progress: Any, limit: int
) -> Block:
    """Read examinations some at a time, and write their features to a file."""
    file = BlockFile()
    for part in load_in_turn(modality, paths, device, progress, limit):
        file.append(modality.extract(part))
        del part
    return file.block()


def _has_paths(data: Any) -> bool:
    if isinstance(data, Examinations):
        return False
    return any(isinstance(item, (str, PathLike, tuple)) for item in data)
