"""Measure how long the stages of a run take, and what passes through them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Stopwatch"]


@dataclass
class _Stage:
    seconds: float = 0.0
    images: int = 0
    size: int = 0
    fits: int = 0


@dataclass
class Stopwatch:
    """Adds up seconds, images, bytes and fits by stage, in the order they first ran."""

    stages: dict[str, _Stage] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[_Stage]:
        """Time the body of a ``with``; the stage it yields takes the counts."""
        stage = self.stages.setdefault(name, _Stage())
        start = time.perf_counter()
        try:
            yield stage
        finally:
            stage.seconds += time.perf_counter() - start

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each stage: seconds, images, images/s, MB, MB/s, fits."""
        rows: list[dict[str, Any]] = []
        for name, stage in self.stages.items():
            row: dict[str, Any] = {"stage": name, "seconds": stage.seconds}
            if stage.images:
                row["images"] = stage.images
                row["images_per_s"] = stage.images / stage.seconds
            if stage.size:
                row["mb"] = stage.size / 1e6
                row["mb_per_s"] = stage.size / 1e6 / stage.seconds
            if stage.fits:
                row["fits"] = stage.fits
            rows.append(row)
        return rows
