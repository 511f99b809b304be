"""Read a table as columns of text, so that the identifier "00123" stays what it is."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from fastmm.errors import CohortError

__all__ = ["Rows", "read_rows"]

Rows = dict[str, list[str]]


def read_rows(path: Path) -> Rows:
    """Read a CSV (or tab-separated), or a Parquet file, as columns of text."""
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    mark = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            lines = list(csv.reader(file, delimiter=mark))
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


def _parquet(path: Path) -> Rows:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ImportError('Parquet files need pyarrow: pip install "fastmm[parquet]".') from None
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}.")
    try:
        table = parquet.read_table(path)
        found = {str(n): table.column(i).to_pylist() for i, n in enumerate(table.column_names)}
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise CohortError(f"{path.name} is no Parquet file: {type(error).__name__}.") from None
    if len(set(table.column_names)) < len(table.column_names):
        raise CohortError(f"{path.name} has a column more than once.")
    if not found or not table.num_rows:
        raise CohortError(f"{path.name} must have a column and at least one row.")
    return {name.strip(): [_text(value) for value in values] for name, values in found.items()}


def _text(value: object) -> str:
    """Write a typed value as a CSV file would."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return str(value).strip()
