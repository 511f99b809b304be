"""Which figures the results allow, and the numbers each of them shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastmm.report.curves import draw_calibration, draw_learning, draw_roc
from fastmm.report.figures import draw_contributions, draw_distributions
from fastmm.report.forests import draw_differences, draw_scores, draw_subgroups
from fastmm.report.leading import Row, index_of, key_of, rows_with_auc
from fastmm.report.text import text
from fastmm.report.theme import Look, assign_looks
from fastmm.report.values import is_number

__all__ = ["count_unscored", "draw_all", "find_calibration", "find_curves"]


def draw_all(tree: Mapping[str, Any], best: Row | None, interval: str) -> dict[str, str]:
    """Draw every figure whose numbers are there."""
    drawings: dict[str, str] = {}
    rows, curves = [_named(row) for row in rows_with_auc(tree)], find_curves(tree, best)
    shares = [
        {"name": str(row.get("name", "")), "share": row["share"]}
        for row in tree["contributions"]
        if is_number(row.get("share"))
    ]
    looks = assign_looks(
        [
            *(str(row["features"]) for row in tree["scores"]),
            *(row["name"] for row in shares),
            *(curve["features"] for curve in curves),
            *(str(row.get("against")) for row in tree["comparisons"]),
        ]
    )
    if rows:
        chosen = index_of(rows_with_auc(tree), best)
        drawings["scores"] = draw_scores(rows, looks=looks, chosen=chosen, interval=interval)
    if curves:
        drawings["roc"] = draw_roc(curves, looks=looks, chosen=index_of(curves, best))
    if groups := _scores_by_class(tree):
        drawings["distributions"] = draw_distributions(groups, xlabel="Out-of-fold score (no unit)")
    if shares:
        drawings["contributions"] = draw_contributions(shares, looks=looks)
    return drawings | _draw_validation(tree, best, looks)


def _draw_validation(
    tree: Mapping[str, Any], best: Row | None, looks: Mapping[str, Look]
) -> dict[str, str]:
    drawings: dict[str, str] = {}
    tests = _known(tree["comparisons"], "difference", "difference_low", "difference_high")
    if tests:
        rows = [{**row, "against": str(row.get("against"))} for row in tests]
        drawings["differences"] = draw_differences(rows, looks=looks)
    if bins := find_calibration(tree, best):
        drawings["calibration"] = draw_calibration(bins)
    if groups := _known(tree["subgroups"], "auc", "auc_low", "auc_high"):
        rows = [
            {**r, "column": text(r.get("column")), "level": text(r.get("level"))} for r in groups
        ]
        drawings["subgroups"] = draw_subgroups(rows)
    lines = []
    for curve in tree["learning_curves"]:
        points = _known(curve.get("points") or [], "patients", "auc", "auc_low", "auc_high")
        if points:
            lines.append({"features": str(curve.get("features")), "points": points})
    if lines:
        drawings["learning"] = draw_learning(lines, looks=looks)
    return drawings


def find_calibration(tree: Mapping[str, Any], best: Row | None) -> dict[str, list[Row]]:
    """Return the bins of the leading score, by class where there are more than two."""
    curves: dict[str, list[Row]] = {}
    for curve in tree["calibration"]:
        if best is not None and key_of(curve) == key_of(best):
            bins = _known(curve.get("bins") or [], "predicted", "observed", "low", "high", "n")
            name = f"class {curve['class']}" if "class" in curve else str(curve.get("features"))
            if bins:
                curves[name] = bins
    return curves


def _known(rows: Sequence[Row], *names: str) -> list[Row]:
    """Return the rows that have all these numbers."""
    return [row for row in rows if all(is_number(row.get(name)) for name in names)]


def find_curves(tree: Mapping[str, Any], best: Row | None) -> list[dict[str, Any]]:
    """Return the ROC curves that can be drawn, the leading one first, then by falling AUC."""
    aucs = {key_of(row): row["auc"] for row in rows_with_auc(tree)}
    curves = []
    for curve in tree["roc"]:
        if "class" in curve:
            if best is None or key_of(curve) != key_of(best):
                continue  # several classes of several sets would be too many lines
            own = f"{curve.get('features')}, {curve['class']} against the rest"
            if len(curve.get("fpr") or []) > 1:
                auc = curve["auc"] if is_number(curve.get("auc")) else None
                named = {**_named(curve), "features": own, "fpr": curve["fpr"]}
                curves.append({**named, "tpr": curve["tpr"], "auc": auc})
            continue
        fpr, tpr = curve.get("fpr") or [], curve.get("tpr") or []
        if len(fpr) > 1 and all(is_number(v) for v in (*fpr, *tpr)):
            curves.append({**_named(curve), "fpr": fpr, "tpr": tpr, "auc": aucs.get(key_of(curve))})
    first = key_of(best or {})
    return sorted(curves, key=lambda c: (key_of(c) != first, -(c["auc"] or 0.0)))


def count_unscored(tree: Mapping[str, Any]) -> int:
    """Count the rows that the histograms leave out."""
    return sum(label is None or not is_number(score) for label, score in _predictions(tree))


def _scores_by_class(tree: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the finite out-of-fold scores by class, the classes named with their counts."""
    by_class: dict[Any, list[float]] = {}
    for label, score in _predictions(tree):
        if is_number(score) and label is not None:
            by_class.setdefault(label, []).append(score)
    what = tree["cohort"].get("label") or "class"
    groups = {}
    for label in sorted(by_class, key=lambda label: (isinstance(label, str), label)):
        count = len(by_class[label])
        rows = f"{count:,} row" + ("" if count == 1 else "s")
        groups[f"{what} = {text(label)} ({rows})"] = np.array(by_class[label])
    return groups


def _predictions(tree: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    part = tree["predictions"]
    return list(zip(part.get("label") or [], part.get("score") or [], strict=True))


def _named(row: Row) -> dict[str, Any]:
    """Return a row whose names are text, whatever they were."""
    return {**row, "model": str(row.get("model")), "features": str(row.get("features"))}
