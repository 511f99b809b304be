"""Read a cohort table and find its mistakes before the first pixel is read.

One row is one examination; rows with the same patient are one group. Every cell is read
as text, so that the identifier "00123" stays what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastmm.errors import CohortError
from fastmm.features.table import is_blank
from fastmm.read.table import Rows, read_rows

__all__ = ["Cohort", "TableSource", "read_cohort"]


@dataclass(frozen=True)
class TableSource:
    """Where the columns of a table modality come from.

    Columns of the cohort file itself, or all columns of another file whose `key` column
    holds the cohort's group identifiers.
    """

    columns: tuple[str, ...] = ()
    file: Path | None = None
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> TableSource:
        """Read "COL,COL" or "FILE.csv:KEY"."""
        file, colon, key = text.rpartition(":")
        if colon and file.lower().endswith((".csv", ".tsv")):
            if not key:
                raise ValueError(f"`table` must name a key column, as FILE.csv:KEY, got {text!r}.")
            return cls(file=Path(file), key=key)
        columns = tuple(part.strip() for part in text.split(",") if part.strip())
        if not columns:
            raise ValueError(f"`table` must be COL,COL or FILE.csv:KEY, got {text!r}.")
        return cls(columns=columns)


@dataclass(frozen=True)
class Cohort:
    """A cohort that was read and found right.

    Attributes
    ----------
    source : Path
        The cohort file.
    count : int
        Number of rows, which are examinations.
    label : str or None
        Name of the label column.
    y : array of shape (count,) or None
        Labels, integers if each is one, else texts.
    groups : array of shape (count,)
        Patient of each row.
    images : dict of str to list of Path or None
        For each image modality the file or folder of each row, None where it is missing.
    tables : dict of str to dict of str to list of str
        For each table modality its columns.
    notes : list of str
        What a reader should know: counts of blanks, of rows without a match.
    """

    source: Path
    count: int
    label: str | None
    y: np.ndarray[Any, Any] | None
    groups: np.ndarray[Any, Any]
    images: dict[str, list[Path | None]]
    tables: dict[str, Rows]
    notes: list[str] = field(default_factory=list)

    @property
    def patients(self) -> int:
        """Number of different patients."""
        return len(set(self.groups.tolist()))


def read_cohort(
    path: str | Path,
    *,
    label: str | None = None,
    group: str | None = None,
    images: Sequence[str] = (),
    tables: dict[str, TableSource] | None = None,
) -> Cohort:
    r"""Read a cohort file and check all of it.

    Parameters
    ----------
    path : str or Path
        CSV file with a header; paths in it are relative to its folder.
    label : str, optional
        Column with the class of each row; not needed to apply a model.
    group : str, optional
        Column with the patient of each row. Default: each row is its own patient.
    images : sequence of str
        Columns with the file or folder of each image modality; blank where missing.
    tables : dict of str to TableSource, optional
        Table modalities by name.

    Returns
    -------
    Cohort

    Raises
    ------
    CohortError
        With all mistakes that were found, one a line.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from fastmm.cohort import TableSource, read_cohort
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "cohort.csv"
    >>> _ = file.write_text("patient,ill,age\na,0,50\nb,1,60\nc,0,55\nd,1,70\n")
    >>> read_cohort(file, label="ill", tables={"case": TableSource(("age",))}).y
    array([0, 1, 0, 1])
    """
    path = Path(path)
    rows = read_rows(path)
    count = len(next(iter(rows.values())))
    mistakes: list[str] = []
    notes: list[str] = []
    sources = tables or {}
    wanted = [c for c in (label, group) if c] + list(images)
    wanted += [c for source in sources.values() for c in source.columns]
    absent = [c for c in dict.fromkeys(wanted) if c not in rows]
    if absent:
        raise CohortError(
            f"{path.name} lacks the column(s) {', '.join(absent)}; it has {', '.join(rows)}."
        )
    groups = _groups(rows, group, count, mistakes)
    y = _labels(rows[label], label, groups, mistakes) if label else None
    found = {name: _paths(rows[name], name, path.parent, mistakes) for name in images}
    read = {
        name: _table(name, source, rows, groups, group, path.parent, mistakes, notes)
        for name, source in sources.items()
    }
    _whole_rows(rows, found, read, mistakes)
    if mistakes:
        raise CohortError(f"{path.name}: " + "\n".join(mistakes))
    return Cohort(path, count, label, y, groups, found, read, notes)


def _groups(rows: Rows, group: str | None, count: int, mistakes: list[str]) -> Any:
    if group is None:
        return np.array([str(i) for i in range(count)])
    blank = [i for i, value in enumerate(rows[group]) if value == ""]
    if blank:
        mistakes.append(f"column {group!r} must name a patient in each row; {_places(blank)} blank")
    return np.array(rows[group])


def _labels(cells: list[str], label: str, groups: Any, mistakes: list[str]) -> Any:
    blank = [i for i, cell in enumerate(cells) if is_blank(cell)]
    if blank:
        mistakes.append(f"label {label!r} must be given in each row; {_places(blank)} blank")
    patients = {c: set(groups[np.array(cells) == c]) for c in set(cells) if not is_blank(c)}
    if len(patients) < 2:
        mistakes.append(f"label {label!r} must have at least 2 classes, got {len(patients)}")
    if len(patients) > max(20, len(cells) // 4):
        mistakes.append(f"label {label!r} has {len(patients)} different values: no class label")
    small = sorted(c for c, members in patients.items() if len(members) < 2)
    if small and len(patients) <= 20:
        mistakes.append(f"class(es) {', '.join(small)} must have at least 2 patients to validate")
    try:
        return np.array([int(cell) for cell in cells])
    except ValueError:
        return np.array(cells)


def _paths(cells: list[str], column: str, folder: Path, mistakes: list[str]) -> list[Path | None]:
    paths = [None if is_blank(cell) else folder / cell for cell in cells]
    lost = [i for i, path in enumerate(paths) if path is not None and not path.exists()]
    if lost:
        mistakes.append(
            f"column {column!r} must name files or folders, relative to {folder}; "
            f"{_places(lost)} not found"
        )
    if all(path is None for path in paths):
        mistakes.append(f"column {column!r} must name at least one file or folder")
    return paths


def _table(
    name: str,
    source: TableSource,
    rows: Rows,
    groups: Any,
    group: str | None,
    folder: Path,
    mistakes: list[str],
    notes: list[str],
) -> Rows:
    if source.file is None:
        table = {column: rows[column] for column in source.columns}
    else:
        file = source.file if source.file.exists() else folder / source.file
        if group is None:
            raise ValueError("`group` must name the patient column to join a table by its key.")
        table = _joined(name, file, source.key, groups, mistakes, notes)
    for column, cells in table.items():
        if all(is_blank(cell) for cell in cells):
            mistakes.append(f"table {name!r}, column {column!r}, must have a value somewhere")
    blank = np.array([[is_blank(cell) for cell in cells] for cells in table.values()])
    count = int(blank[:, ~blank.all(axis=0)].sum())  # a row without any value lacks the table
    if count:
        notes.append(f"{name}: {count} blank cells; numbers become the median and are marked")
    return table


def _joined(
    name: str, file: Path, key: str, groups: Any, mistakes: list[str], notes: list[str]
) -> Rows:
    other = read_rows(file)
    if key not in other:
        raise CohortError(f"{file.name} lacks the key column {key}.")
    keys = other.pop(key)
    twice = sum(times > 1 for times in Counter(keys).values())
    if twice:
        mistakes.append(f"{file.name} must have each key once; {twice} key(s) occur more often")
    place = {key: i for i, key in enumerate(keys)}
    at = [place.get(patient) for patient in groups]
    lost, unused = sum(i is None for i in at), len(set(keys) - set(groups))
    if lost:
        notes.append(f"{name}: {lost} cohort rows match nothing in {file.name}, so lack it")
    if unused:
        notes.append(f"{name}: {unused} rows of {file.name} match no cohort row and are not used")
    if lost == len(at):
        mistakes.append(f"{file.name}: no key matches a patient of the cohort")
    return {c: ["" if i is None else cells[i] for i in at] for c, cells in other.items()}


def _whole_rows(
    rows: Rows,
    images: dict[str, list[Path | None]],
    tables: dict[str, Rows],
    mistakes: list[str],
) -> None:
    seen = Counter(zip(*rows.values(), strict=True))
    twice = sum(times > 1 for times in seen.values())
    if twice:
        mistakes.append(f"{twice} row(s) occur more than once, identical in every column")
    have = [np.array([p is not None for p in paths]) for paths in images.values()]
    have += [
        np.any([[not is_blank(c) for c in cells] for cells in table.values()], axis=0)
        for table in tables.values()
    ]
    empty = np.flatnonzero(~np.any(have, axis=0)).tolist() if have else []
    if empty:
        mistakes.append(f"each row must have at least one modality; {_places(empty)} none")


def _places(rows: Sequence[int]) -> str:
    shown = ", ".join(str(i) for i in rows[:5]) + (", ..." if len(rows) > 5 else "")
    return f"{len(rows)} row(s) ({shown}, counted from 0)"
