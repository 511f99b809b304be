"""The tables of a cohort: its own columns, or another file joined by a key."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmm.errors import CohortError
from fastmm.features.table import is_ambiguous, is_blank, parse_number
from fastmm.read.table import Rows, read_rows

__all__ = ["TableSource", "places", "quoted", "read_table"]

_MANY = 8  # texts that all differ: from here on they are taken for identifiers


@dataclass(frozen=True)
class TableSource:
    """Where the columns of a table modality come from.

    Columns of the cohort file itself, or all columns of another file. Its `key` column holds
    what the cohort's column of that name does; the patients, where it has none.
    """

    columns: tuple[str, ...] = ()
    file: Path | None = None
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> TableSource:
        """Read "COL,COL", names with commas in double quotes, or "FILE.csv:KEY"."""
        file, colon, key = text.rpartition(":")
        if colon and file.lower().endswith((".csv", ".tsv", ".parquet")):
            if not key:
                raise ValueError(f"`table` must name a key column, as FILE.csv:KEY, got {text!r}.")
            return cls(file=Path(file), key=key)
        parts = next(csv.reader([text], skipinitialspace=True), [])
        columns = tuple(part.strip() for part in parts if part.strip())
        if not columns:
            raise ValueError(f"`table` must be COL,COL or FILE.csv:KEY, got {text!r}.")
        return cls(columns=columns)


def read_table(
    name: str,
    source: TableSource,
    rows: Rows,
    groups: Any,
    folder: Path,
    keep_out: Mapping[str, str],
    mistakes: list[str],
    notes: list[str],
) -> Rows:
    """Return the columns of a table modality, row by row of the cohort.

    `keep_out` names columns that must not become features, and what they are. What is wrong
    goes into `mistakes`, what a reader should know into `notes`.
    """
    if source.file is None:
        table = {column: rows[column] for column in source.columns}
    else:
        if source.key not in rows and "the patient" not in keep_out.values():
            raise ValueError(
                f"`group` must name the patient column to join a table by the key {source.key!r}, "
                "which is no column of the cohort."
            )
        beside = folder / source.file
        file = beside if beside.exists() else source.file
        if not file.exists():
            mistakes.append(f"table {name!r}: there is no file {source.file}")
            return {}
        own = rows.get(source.key, groups)
        if source.key not in rows and source.key not in keep_out:
            notes.append(f"{name}: {source.key!r} is no column of the cohort; matched by patient")
        table = _joined(name, file, source.key, own, mistakes, notes)
    for column, cells in table.items():
        if column in keep_out:
            mistakes.append(f"table {name!r} must not hold {keep_out[column]}, column {column!r}")
        else:
            _check_column(f"table {name!r}, column {column!r},", cells, mistakes, notes)
    if not table:
        mistakes.append(f"table {name!r} must have a column beside its key")
        return {}
    blank = np.array([[is_blank(cell) for cell in cells] for cells in table.values()])
    count = int(blank[:, ~blank.all(axis=0)].sum())  # a row without any value lacks the table
    if count:
        notes.append(f"{name}: {count} blank cells; numbers become the median and are marked")
    return table


def quoted(names: Iterable[str]) -> str:
    """List columns as `TableSource.parse` reads them: those with commas in double quotes."""
    return ", ".join(f'"{name}"' if "," in name else name for name in names)


def places(rows: Sequence[int]) -> str:
    """Say how many rows, and where the first ones are."""
    shown = ", ".join(str(i) for i in rows[:5]) + (", ..." if len(rows) > 5 else "")
    return f"{len(rows)} row(s) ({shown}, counted from 0)"


def _check_column(what: str, cells: list[str], mistakes: list[str], notes: list[str]) -> None:
    numbers = [None if is_blank(cell) else parse_number(cell) for cell in cells]
    texts = [i for i, c in enumerate(cells) if not is_blank(c) and numbers[i] is None]
    filled = sum(not is_blank(cell) for cell in cells)
    unclear = [i for i in texts if is_ambiguous(cells[i])]
    if unclear:
        mistakes.append(
            f"{what} must say what its commas are, decimal or of thousands; write points, or "
            f"none: {places(unclear)}"
        )
    elif texts and len(texts) < filled / 2:
        mistakes.append(f"{what} must hold numbers alone or words; no number: {places(texts)}")
    elif len(texts) >= _MANY and len({cells[i] for i in texts}) == filled:
        mistakes.append(f"{what} differs in each row and looks like an identifier")
    elif not texts:
        infinite = sum(number is not None and np.isinf(number) for number in numbers)
        commas = sum("," in cell for cell in cells)
        if infinite:
            notes.append(f"{what} {infinite} infinite cells became the nearest finite value")
        if commas:
            notes.append(f"{what} {commas} decimal commas were read as points")


def _joined(
    name: str, file: Path, key: str, groups: Any, mistakes: list[str], notes: list[str]
) -> Rows:
    other = read_rows(file)
    if key not in other:
        raise CohortError(f"{file.name} lacks the key column {key}; it has {quoted(other)}.")
    keys = other.pop(key)
    twice = sum(times > 1 for value, times in Counter(keys).items() if not is_blank(value))
    if twice:
        mistakes.append(f"{file.name} must have each key once; {twice} key(s) occur more often")
    place = {value: i for i, value in enumerate(keys) if not is_blank(value)}
    at = [place.get(patient) for patient in groups]
    lost, unused = sum(i is None for i in at), len(set(keys) - set(groups))
    if lost:
        notes.append(f"{name}: {lost} cohort rows match nothing in {file.name}, so lack it")
    if lost == len(at):
        mistakes.append(f"no row of {file.name} matches the cohort by its key {key!r}")
    if unused:
        notes.append(f"{name}: {unused} rows of {file.name} match no cohort row and are not used")
    return {c: ["" if i is None else cells[i] for i in at] for c, cells in other.items()}
