"""Signs that a cohort gives away what is to be predicted: told, since they may be right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastmm.features.table import is_blank
from fastmm.read.table import Rows

__all__ = ["find_leaks"]

_LEVELS = 5  # values of a column: more may fit the label by chance
_ROWS = 4  # rows for each value, likewise


def find_leaks(
    y: Any, groups: Any, images: Mapping[str, Sequence[Path | None]], tables: Mapping[str, Rows]
) -> list[str]:
    """Return notes on scans of several patients, and on columns that repeat the label."""
    notes = []
    for name, paths in images.items():
        shared = _shared(paths, groups)
        if shared:
            notes.append(
                f"column {name!r} names {shared} file(s) or folder(s) for more than one patient: "
                "the same scan may stand in training and test, and then scores are too high"
            )
    labels = y.tolist()
    for name, table in tables.items():
        for column, cells in table.items():
            texts = ["" if is_blank(cell) else cell.strip().lower() for cell in cells]
            if _tells([not text for text in texts], labels):
                notes.append(f"{name}: where {column!r} is blank tells the label of each row{_WHY}")
            elif _tells(texts, labels):
                notes.append(f"{name}: {column!r} alone tells the label of each row{_WHY}")
    return notes


_WHY = "; if it was not known before the label, leave it out"


def _shared(paths: Sequence[Path | None], groups: Any) -> int:
    owners = defaultdict(set)
    for path, patient in zip(paths, groups.tolist(), strict=True):
        if path is not None:
            owners[path].add(patient)
    return sum(len(those) > 1 for those in owners.values())


def _tells(values: Sequence[Any], labels: Sequence[Any]) -> bool:
    """Say whether few values, each in rows of one class alone, tell the classes."""
    levels = set(values)
    if not 1 < len(levels) <= _LEVELS or len(values) < _ROWS * len(levels):
        return False
    return len(set(zip(values, labels, strict=True))) == len(levels)
