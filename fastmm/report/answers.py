"""What a report says in words: does fusing help, and what the numbers cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastmm.report.leading import Row
from fastmm.report.text import pvalue, score, signed
from fastmm.report.values import is_number

__all__ = ["answer", "best_comparison", "limits", "verdict"]

_LEVEL = 0.05
_FEW = 50  # rows of a class, below which one line more or less is seen in every score


def best_comparison(tree: Mapping[str, Any], best: Row | None) -> Row | None:
    """Return the paired test of the leading fusion against the best single modality."""
    if best is None or best["features"] != "fused":
        return None
    rows = (row for row in tree["comparisons"] if row.get("model") == best["model"])
    return next((r for r in rows if r.get("best") and is_number(r.get("difference"))), None)


def verdict(test: Row | None) -> str:
    """Say in a few words whether fusing helps, nothing where it was not tested."""
    if test is None:
        return ""
    sure = is_number(test.get("pvalue")) and test["pvalue"] < _LEVEL
    if not sure:
        return "that fusing helps is not shown"
    return "fusing helped" if test["difference"] > 0 else "fusing did harm"


def answer(tree: Mapping[str, Any], best: Row | None, interval: str) -> list[str]:
    """Say what the paired test found."""
    test = best_comparison(tree, best)
    if test is None:
        return []
    low, high = test.get("difference_low"), test.get("difference_high")
    ends = f"{interval} {signed(low)} to {signed(high)}; " if is_number(low) else ""
    patients = f" of the same {test['patients']:,} patients" if test.get("patients") else ""
    return [
        f"Against the best single modality, {test.get('against')} "
        f"({score(test.get('auc_against'))}), the AUC{patients} differs by "
        f"{signed(test['difference'])} ({ends}p = {pvalue(test.get('pvalue'))}, "
        f"paired test by {test.get('method', 'bootstrap')}). Which single modality is best was "
        "read from these same scores, which flatters it."
    ]


def limits(tree: Mapping[str, Any], best: Row | None) -> list[str]:
    """List what the numbers cannot tell."""
    said = []
    classes = [n for n in (tree["cohort"].get("classes") or {}).values() if is_number(n)]
    if tree["validation"]:
        said.append(
            "All scores are of patients of this cohort who were left out of training. No other "
            "hospital, scanner or population was seen."
        )
    if classes and min(classes) < _FEW:
        said.append(
            f"The smallest class has {min(classes):,} rows: intervals are wide, and scores that "
            "differ by less than them should be read as equal."
        )
    tests = [row for row in tree["scores"] if is_number(row.get("pvalue"))]
    if len(tests) + len(tree["comparisons"]) > 1:
        said.append(
            f"{len(tests) + len(tree['comparisons'])} p-values are shown, and none is corrected "
            "for their number."
        )
    if tree["by_class"]:
        said.append(
            "With more than two classes the AUC is the mean of each class against the rest; "
            "sensitivity and calibration are given for each class on its own."
        )
    if tree["subgroups"]:
        said.append("Subgroups were not tested against each other, and small ones vary by chance.")
    return said
