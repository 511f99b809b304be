"""The same scores within subgroups of the cohort."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastmm.features.table import is_blank, parse_number
from fastmm.findings.scoring import CONFIDENCE, RESAMPLES
from fastmm.findings.validation import Validated
from fastmm.metrics import balanced_accuracy_score
from fastmm.validate.bootstrap import bootstrap_auc
from fastmm.validate.resampling import Estimate
from fastmm.validate.training_share import widened

__all__ = ["FEWEST", "split_levels", "subgroup_scores"]

FEWEST = 5  # patients of each class, below which an area says nothing
_NUMBERS, _THIRDS = 6, 90


def subgroup_scores(found: Validated, columns: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return one row for each level of each column."""
    rows = []
    for name, cells in columns.items():
        own = [cell for cell, there in zip(cells, found.rows, strict=True) if there]
        for level, inside in split_levels(own):
            rows.append({**found.about, "column": name, "level": level, **_scores(found, inside)})
    return rows


def split_levels(cells: Sequence[str]) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """Return the levels of a column and the rows of each, blank ones last.

    Numbers of more than five values are cut at their median; at their thirds from 90 rows
    on. Cuts are values that occur.
    """
    blank = np.array([is_blank(cell) for cell in cells])
    filled = [cell for cell, none in zip(cells, blank, strict=True) if not none]
    numbers = [parse_number(cell) for cell in filled]
    if None not in numbers and len(set(numbers)) >= _NUMBERS:
        values = np.full(len(cells), np.nan)
        values[~blank] = np.array(numbers, float)
        levels = _cut(values)
    else:
        texts = np.array([cell.strip() for cell in cells])
        levels = [(str(level), texts == level) for level in sorted(set(texts[~blank].tolist()))]
    return [*levels, ("blank", blank)] if blank.any() else levels


def _cut(values: np.ndarray[Any, Any]) -> list[tuple[str, np.ndarray[Any, Any]]]:
    known = values[~np.isnan(values)]
    shares = [1 / 3, 2 / 3] if known.size >= _THIRDS else [0.5]
    cuts = np.unique(np.quantile(known, shares, method="inverted_cdf")).tolist()
    cuts = [cut for cut in cuts if cut < known.max()]
    if not cuts:
        return [(f"≥ {known.min():.6g}", ~np.isnan(values))]
    levels = [(f"≤ {cuts[0]:.6g}", values <= cuts[0])]
    for low, high in pairwise(cuts):
        levels.append((f"> {low:.6g}, ≤ {high:.6g}", (values > low) & (values <= high)))
    return [*levels, (f"> {cuts[-1]:.6g}", values > cuts[-1])]


def _scores(found: Validated, inside: np.ndarray[Any, Any]) -> dict[str, Any]:
    y, groups = found.y[inside], found.groups[inside]
    classes = np.unique(found.y)
    patients = [len(set(groups[y == one].tolist())) for one in classes]
    row: dict[str, Any] = {
        "n": int(inside.sum()),
        "patients": len(set(groups.tolist())),
        "classes": {str(one): int((y == one).sum()) for one in classes},
    }
    if min(patients) < FEWEST:
        return {**row, "auc": None, "note": f"too few: under {FEWEST} patients of a class"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of resamples that lack a class
        area = bootstrap_auc(
            y, found.score[inside], groups, n_resamples=RESAMPLES, confidence=CONFIDENCE
        )
    auc, low, high = widened(Estimate(*area), found.widening(y, groups))
    own = float(balanced_accuracy_score(y, found.held_out.prediction[inside]))
    return {**row, "auc": auc, "auc_low": low, "auc_high": high, "balanced_accuracy": own}
