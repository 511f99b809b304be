"""Write predictions and what explains them as CSV files."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastmm._files import replacing

__all__ = ["cell", "write_numbers", "write_predictions", "write_rows"]


def write_predictions(
    file: Path,
    classes: Any,
    columns: tuple[Any, Any, Any],
    patients: Any = None,
    group: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write row, prediction, score and probability; the patient only if asked for.

    Parameters
    ----------
    file : Path
        Replaced as a whole.
    classes : array
        Labels of the columns of scores and probabilities.
    columns : tuple of arrays
        Predictions, scores and probabilities.
    patients, group : sequence and str, optional
        Patient of each row, and the name of that column.
    more : dict of str to sequence, optional
        Further columns.
    """
    prediction, decision, probability = columns
    many, more = len(classes) > 2, more or {}
    header = ["row", *([group] if group else []), "prediction"]
    header += [f"score {c}" for c in classes] if many else ["score"]
    header += [f"probability {c}" for c in classes] if many else ["probability"]
    lines = []
    for row in range(len(prediction)):
        cells = [row, *([patients[row]] if group and patients is not None else [])]
        cells += [prediction[row], *np.atleast_1d(decision[row]).tolist()]
        cells += probability[row].tolist() if many else [float(probability[row, 1])]
        lines.append([*cells, *(values[row] for values in more.values())])
    write_rows(file, [*header, *more], lines)


def write_numbers(
    file: Path,
    columns: Mapping[str, Any],
    patients: Any = None,
    group: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write row, prediction and the ends of its interval; the patient only if asked for.

    Parameters
    ----------
    file : Path
        Replaced as a whole.
    columns : dict of str to array
        Numbers by the names of their columns. An end that is infinite, for want of
        patients, is left blank.
    patients, group, more
        As for `write_predictions`.
    """
    more = more or {}
    lines = []
    for row in range(len(next(iter(columns.values())))):
        own = [float(values[row]) for values in columns.values()]
        cells = [row, *([patients[row]] if group and patients is not None else [])]
        cells += [value if math.isfinite(value) else "" for value in own]
        lines.append([*cells, *(values[row] for values in more.values())])
    header = ["row", *([group] if group else []), *columns, *more]
    write_rows(file, header, lines)


def write_rows(file: Path, header: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Write a table; texts that a spreadsheet would run as formulas are kept from it."""
    with replacing(file) as draft, draft.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow([cell(name) for name in header])
        writer.writerows(
            [each if isinstance(each, (int, float)) else cell(each) for each in line]
            for line in lines
        )


def cell(value: Any) -> Any:
    """Keep a text that a spreadsheet would run as a formula from being one."""
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "@", "\t") or text[:1] == "-" else text
