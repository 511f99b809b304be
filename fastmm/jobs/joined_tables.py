"""The tables that a model joins to a new cohort, and the files that hold them this time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastmm.cohorts.tables import TableSource
from fastmm.read.table import read_rows

__all__ = ["find_tables"]

_ENDINGS = (".csv", ".tsv", ".parquet")
_FORM = "NAME=FILE.csv or NAME=FILE.csv:KEY"


def find_tables(
    notes: Mapping[str, Any], cohort_file: Path, texts: Sequence[str]
) -> tuple[dict[str, TableSource], list[str]]:
    """Return where each table of the training is read from, and what a reader should know of it.

    `notes` are those of the model file. `texts` name other files for joined tables, as
    "NAME=FILE.csv:KEY"; the others are looked for under the training's name. Files are
    returned as absolute paths of files that exist.
    """
    if not cohort_file.exists():
        raise FileNotFoundError(f"No such file: {cohort_file}.")
    trained = {
        name: TableSource(tuple(columns), Path(path) if path else None, key)
        for name, (columns, path, key) in notes["tables"].items()
    }
    named = _named(texts, trained)
    for name, source in named.items():
        _check_key(name, source, trained[name], cohort_file, notes["group"])
    found, told = trained | named, []
    for name, source in found.items():
        if source.file is None:
            continue
        beside = cohort_file.parent / source.file
        file = beside if beside.exists() else source.file
        if not file.is_file():
            raise FileNotFoundError(
                f"There is no file {source.file} for the table {name!r}, neither beside "
                f"{cohort_file.name} nor in the working directory; "
                f'name it by `--table "{name}=FILE.csv"`.'
            )
        # Patients of another place may bear the same names.
        home = cohort_file.parent if source.file.is_absolute() else beside.parent
        if name not in named and file.parent.resolve() != home.resolve():
            told.append(f"{name}: read from {file.resolve()}, which is not beside the cohort file")
        found[name] = TableSource(file=file.absolute(), key=source.key)
    return found, told


def _named(texts: Sequence[str], trained: Mapping[str, TableSource]) -> dict[str, TableSource]:
    """Read "NAME=FILE.csv:KEY"; the key is the training's where none is given."""
    named: dict[str, TableSource] = {}
    for text in texts:
        # A name is a file's, which may hold the sign itself.
        known = [name for name in trained if text.startswith(f"{name}=")]
        name = max(known, key=len) if known else text.partition("=")[0]
        place = text[len(name) + 1 :]
        file, colon, key = place.rpartition(":")
        if not (colon and file.lower().endswith(_ENDINGS)):
            file, key = place, trained[name].key if known else ""
        elif not key:
            raise ValueError(f"`--table` must name a key column after the colon, got {text!r}.")
        if "=" not in text or not name or not file.lower().endswith(_ENDINGS):
            raise ValueError(f"`--table` must be {_FORM}, got {text!r}.")
        _check_name(name, trained)
        if name in named:
            raise ValueError(f"`--table` must name each table once, got {name!r} twice.")
        named[name] = TableSource(file=Path(file), key=key)
    return named


def _check_name(name: str, trained: Mapping[str, TableSource]) -> None:
    joined = ", ".join(n for n, source in trained.items() if source.file is not None)
    have = f"the model joins {joined or 'none'}"
    if name not in trained:
        raise ValueError(f"`--table` names {name!r}, which is no joined table; {have}.")
    if trained[name].file is None:
        raise ValueError(
            f"`--table` names {name!r}, which is columns of the cohort file itself, "
            f"{', '.join(trained[name].columns)}; {have}."
        )


def _check_key(
    name: str, source: TableSource, trained: TableSource, cohort_file: Path, group: str | None
) -> None:
    """Refuse a key that would match patients where the training matched another column."""
    if source.key == trained.key or trained.key == group:
        return
    columns = read_rows(cohort_file)
    if source.key not in columns and trained.key in columns:
        raise ValueError(
            f"`--table {name}` must have a key that is a column of {cohort_file.name}, got "
            f"{source.key!r}; the training matched {trained.key!r}, so give that column of "
            f"{source.file} this name."
        )
