"""Read a table as columns of text, so that the identifier "00123" stays what it is."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from fastmm.errors import CohortError

__all__ = ["Rows", "read_rows"]

Rows = dict[str, list[str]]


def read_rows(path: Path) -> Rows:
    """Read a CSV (or tab-separated) file as columns of text."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            lines = list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
        except (csv.Error, UnicodeDecodeError) as error:
            raise CohortError(f"{path.name} is no CSV text in UTF-8: {error}.") from None
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    if len(lines) < 2:
        raise CohortError(f"{path.name} must have a header and at least one row.")
    header = [cell.strip() for cell in lines[0]]
    if len(header) == 1 and ";" in header[0]:
        raise CohortError(f"{path.name} must separate its cells by commas, got semicolons.")
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise CohortError(f"{path.name} has the column(s) {', '.join(twice)} more than once.")
    ragged = [i for i, line in enumerate(lines[1:]) if len(line) != len(header)]
    if ragged:
        raise CohortError(
            f"{path.name} must have {len(header)} cells in each row; {len(ragged)} row(s) "
            f"differ, the first is row {ragged[0]}, counted from 0."
        )
    return {name: [line[i].strip() for line in lines[1:]] for i, name in enumerate(header)}
