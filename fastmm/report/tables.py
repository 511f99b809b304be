"""Tables of a report, ready to be set: rows of text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastmm.report.leading import Row, index_of
from fastmm.report.text import amount, duration, estimate, pvalue, score, span, text
from fastmm.report.values import is_number

__all__ = ["Table", "flatten", "modality_table", "name_of", "score_table", "stage_table"]

_UNITS = {"mb": "MB", "mb_per_s": "MB/s"}
_SCORE_COLUMNS = {
    "name": "Model · features",
    "auc": "AUC",
    "auc_interval": "interval of the AUC",
    "pvalue": "p",
    "balanced_accuracy": "Balanced accuracy",
    "n": "Rows",
    "patients": "Patients",
    "parameter": "Setting",
}
_MODALITY_COLUMNS = {
    "name": "Modality",
    "kind": "Kind",
    "present": "Present",
    "missing": "Missing",
    "features": "Features",
    "detail": "Detail",
}
# What another table shows, or a caption says.
_ELSEWHERE = re.compile(
    r".*_(low|high|threshold|method)|(sensitivity|brier|calibration).*|pvalue_auc|model|features"
)
_WORDS, _COUNTS = {"name", "parameter"}, {"n", "patients"}


@dataclass
class Table:
    """Rows of text as the page shows them; the first cell of a row is its heading."""

    columns: list[str]
    numeric: list[bool]
    rows: list[list[str]] = field(default_factory=list)
    marked: int | None = None


def score_table(tree: Mapping[str, Any], best: Row | None, interval: str) -> Table:
    """Tabulate the scores; a column stands only where some row has a value for it."""
    rows = [
        {
            **row,
            "name": name_of(row),
            "auc_interval": span(row.get("auc_low"), row.get("auc_high")),
        }
        for row in tree["scores"]
    ]
    keys = [k for k in _SCORE_COLUMNS if any(row.get(k) is not None for row in rows)]
    more = dict.fromkeys(k for row in rows for k in row)
    keys += [k for k in more if k not in _SCORE_COLUMNS and not _ELSEWHERE.fullmatch(k)]
    names = {**_SCORE_COLUMNS, "auc_interval": interval.capitalize()}
    return Table(
        [names.get(k, k.replace("_", " ").capitalize()) for k in keys],
        [k not in _WORDS for k in keys],
        [[_score_cell(key, row) for key in keys] for row in rows],
        marked=index_of(rows, best),
    )


def modality_table(cohort: Mapping[str, Any]) -> Table:
    """Tabulate the modalities: how many rows have each, and what it gives."""
    return Table(
        list(_MODALITY_COLUMNS.values()),
        [key in ("present", "missing", "features") for key in _MODALITY_COLUMNS],
        [
            [text(row.get(key)) for key in _MODALITY_COLUMNS]
            for row in cohort.get("modalities") or []
        ],
    )


def stage_table(tree: Mapping[str, Any]) -> Table:
    """Tabulate the stages: their time, what they worked through, and how fast."""
    table = Table(["Stage", "Time", "Work", "Rate"], [False, True, True, True])
    for row in tree["stages"]:
        counts = [k for k, v in row.items() if k not in ("stage", "seconds") and v is not None]
        rates = [k for k in counts if k.endswith("_per_s")]
        work = [k for k in counts if k not in rates]
        table.rows.append(
            [
                text(row.get("stage")),
                duration(row.get("seconds")),
                ", ".join(_quantity(k, row[k]) for k in work),
                ", ".join(_quantity(k, row[k]) for k in rates),
            ]
        )
    return table


def name_of(row: Row) -> str:
    """Name a score by its model and its features."""
    return f"{text(row.get('model'))} · {text(row.get('features'))}"


def flatten(part: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Turn nested settings into lines of (dotted name, value)."""
    lines: list[tuple[str, str]] = []
    for key, value in part.items():
        if isinstance(value, dict):
            lines += flatten(value, f"{before}{key}.")
        else:
            lines.append((f"{before}{key}", text(value)))
    return lines


def _score_cell(key: str, row: Row) -> str:
    if key == "pvalue":
        return pvalue(row.get(key))
    known = key != "auc" and is_number(row.get(f"{key}_low"))
    return estimate(row, key) if known else _cell(key, row.get(key))


def _cell(key: str, value: Any) -> str:
    if not isinstance(value, float) or key in _WORDS:
        return text(value)
    return score(value) if abs(value) < 10 and key not in _COUNTS else amount(value)


def _quantity(key: str, value: Any) -> str:
    unit = _UNITS.get(key, key.removesuffix("_per_s").replace("_", " "))
    unit += "/s" if key.endswith("_per_s") and key not in _UNITS else ""
    return f"{amount(value)} {unit}" if is_number(value) else text(value)
