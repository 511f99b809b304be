"""Scans that are read one by one, where all of them have no room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastmm.examinations import load_in_turn

__all__ = ["ScansInTurn"]


class ScansInTurn:
    """Images of examinations, each read when it is asked for.

    Parameters
    ----------
    modality : ImageModality
        How they are read.
    paths : sequence of path, (path, path) or None
        Of each examination.
    device : {"auto", "cpu", "cuda"}
        Where.
    limit : int
        Bytes.

    Examples
    --------
    >>> from fastmm import ImageModality
    >>> ScansInTurn(ImageModality(), [None], "cpu", 10**6)[0] is None
    True
    """

    def __init__(self, modality: Any, paths: Sequence[Any], device: str, limit: int) -> None:
        self.modality, self.paths, self.device, self.limit = modality, paths, device, limit

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Any:
        if self.paths[row] is None:
            return None
        (loaded,) = load_in_turn(self.modality, [self.paths[row]], self.device, None, self.limit)
        return loaded.images[0]
