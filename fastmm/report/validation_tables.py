"""Tables of a validation: operating points, calibration, paired tests and subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastmm.report.leading import Row, index_of
from fastmm.report.tables import Table, name_of
from fastmm.report.text import estimate, pvalue, score, text

__all__ = ["class_table", "comparison_table", "learning_table", "subgroup_table", "use_table"]

_USES = {
    "sensitivity_at_90": "Sensitivity at 90% specificity",
    "sensitivity_at_95": "Sensitivity at 95% specificity",
    "brier": "Brier score",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept",
}


def use_table(tree: Mapping[str, Any], best: Row | None) -> Table:
    """Tabulate sensitivities and calibration of every score, where there are any."""
    table = _uses(["name"], [{**row, "name": name_of(row)} for row in tree["scores"]])
    table.marked = index_of(tree["scores"], best)
    return table


def class_table(tree: Mapping[str, Any], best: Row | None) -> Table:
    """Tabulate the leading score by class, each against the rest."""
    own = [
        row for row in tree["by_class"]
        if best and (row.get("model"), row.get("features")) == (best["model"], best["features"])
    ]  # fmt: skip
    named = [{**row, "class": f"{text(row.get('class'))} ({text(row.get('n'))})"} for row in own]
    return _uses(["class", "auc"], named)


def comparison_table(tree: Mapping[str, Any]) -> Table:
    """Tabulate the paired tests of the fusion against each single modality."""
    return Table(
        ["Model · against", "AUC fused", "AUC single", "p", "Patients"],
        [False, True, True, True, True],
        [
            [
                f"{text(row.get('model'))} · {text(row.get('against'))}",
                score(row.get("auc")),
                score(row.get("auc_against")),
                pvalue(row.get("pvalue")),
                text(row.get("patients")),
            ]
            for row in tree["comparisons"]
        ],
    )


def subgroup_table(tree: Mapping[str, Any]) -> Table:
    """Tabulate the leading score within subgroups."""
    return Table(
        ["Subgroup", "AUC (interval)", "Balanced accuracy", "Rows", "Patients", "Classes"],
        [False, True, True, True, True, False],
        [
            [
                f"{text(row.get('column'))}: {text(row.get('level'))}",
                estimate(row, "auc") if row.get("auc") is not None else text(row.get("note")),
                score(row.get("balanced_accuracy")),
                text(row.get("n")),
                text(row.get("patients")),
                ", ".join(f"{k}: {text(v)}" for k, v in (row.get("classes") or {}).items()),
            ]
            for row in tree["subgroups"]
        ],
    )


def learning_table(tree: Mapping[str, Any]) -> Table:
    """Tabulate the points of the learning curves."""
    return Table(
        ["Features", "Training patients", "Mean AUC", "Nine of ten draws", "Draws"],
        [False, True, True, True, True],
        [
            [
                text(curve.get("features")),
                text(point.get("patients")),
                score(point.get("auc")),
                f"{score(point.get('auc_low'))} to {score(point.get('auc_high'))}",
                text(point.get("draws")),
            ]
            for curve in tree["learning_curves"]
            for point in curve.get("points") or []
        ],
    )


def _uses(heads: list[str], rows: Sequence[Row]) -> Table:
    keys = [key for key in _USES if any(row.get(key) is not None for row in rows)]
    if not keys:
        return Table([], [])
    names = {"name": "Model · features", "class": "Class (rows)", "auc": "AUC"}
    return Table(
        [*(names[head] for head in heads), *(_USES[key] for key in keys)],
        [head == "auc" for head in heads] + [True] * len(keys),
        [
            [
                *(estimate(row, h) if h == "auc" else text(row.get(h)) for h in heads),
                *(estimate(row, key) for key in keys),
            ]
            for row in rows
        ],
    )
