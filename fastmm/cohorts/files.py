"""The files that the rows of a cohort name."""

from __future__ import annotations

import re
from pathlib import Path

from fastmm.cohorts.tables import places
from fastmm.features.table import is_blank
from fastmm.read.table import Rows

__all__ = ["find_masks", "find_paths", "named_columns"]


def find_paths(
    cells: list[str], column: str, folder: Path, mistakes: list[str]
) -> list[Path | None]:
    """Return the path of each row, None where the cell is blank; lost ones are mistakes."""
    paths = [None if is_blank(cell) else folder / cell for cell in cells]
    lost = [i for i, path in enumerate(paths) if path is not None and not path.exists()]
    if lost:
        mistakes.append(
            f"column {column!r} must name files or folders, relative to {folder}; "
            f"{places(lost)} not found"
        )
    return paths


def named_columns(template: str) -> list[str]:
    """Return the columns that a template of paths names."""
    return re.findall(r"{([^{}]*)}", template) or [template]


def find_masks(
    rows: Rows, image: str, template: str, folder: Path, mistakes: list[str]
) -> list[Path | None]:
    """Return the mask of each row that has the image."""
    columns = named_columns(template)
    text = template if template not in columns else f"{{{template}}}"
    filled = []
    for i in range(len(rows[image])):
        cell = "" if is_blank(rows[image][i]) else text
        for column in columns:
            value = rows[column][i]
            cell = "" if is_blank(value) else cell.replace(f"{{{column}}}", value)
        filled.append(cell)
    bare = [i for i, cell in enumerate(filled) if not cell and not is_blank(rows[image][i])]
    if bare:
        mistakes.append(f"each {image!r} must have a mask, {template!r}; {places(bare)} none")
    return find_paths(filled, template, folder, mistakes)
