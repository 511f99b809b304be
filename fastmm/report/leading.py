"""Which of its scores a report leads with, and what that one is read against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastmm.report.values import is_number

__all__ = ["Row", "index_of", "key_of", "leading_score", "rival_score", "rows_with_auc"]

Row = Mapping[str, Any]


def rows_with_auc(tree: Mapping[str, Any]) -> list[Row]:
    """Return the scores whose AUC is known."""
    return [row for row in tree["scores"] if is_number(row.get("auc"))]


def leading_score(tree: Mapping[str, Any]) -> Row | None:
    """Return the score the page leads with: the chosen one, else the highest AUC."""
    rows = rows_with_auc(tree)
    chosen = index_of(rows, tree["chosen"])
    if chosen is not None:
        return rows[chosen]
    return max(rows, key=lambda row: row["auc"], default=None)


def rival_score(tree: Mapping[str, Any], best: Row | None) -> Row | None:
    """Return what the leading score is read against: the best single modality, or the fusion."""
    if best is None:
        return None
    rivals = {"fused"}
    if best["features"] == "fused":
        rivals = {row.get("name") for row in tree["cohort"].get("modalities") or []}
    rows = [
        row
        for row in rows_with_auc(tree)
        if row["model"] == best["model"] and row["features"] in rivals
    ]
    return max(rows, key=lambda row: row["auc"], default=None)


def key_of(row: Row) -> tuple[Any, Any]:
    """Return what tells one score from another: its model and its features."""
    return row.get("model"), row.get("features")


def index_of(rows: Sequence[Row], row: Row | None) -> int | None:
    """Return the first place where `row` stands among others, by its model and features."""
    places = (i for i, other in enumerate(rows) if row and key_of(other) == key_of(row))
    return next(places, None)
