"""The scores of predicted numbers, each with an interval over patients."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.findings.held_out_numbers import COVERED, HeldOutNumbers
from fastmm.findings.scoring import CONFIDENCE, RESAMPLES
from fastmm.validate.number_scores import (
    bootstrap_error,
    bootstrap_error_difference,
    bootstrap_r2,
)

__all__ = ["compare_errors", "score_numbers"]


def score_numbers(y: Any, held_out: HeldOutNumbers, groups: Any) -> dict[str, Any]:
    """Score predictions of a number, their errors and their intervals."""
    how: dict[str, Any] = {"n_resamples": RESAMPLES, "confidence": CONFIDENCE}
    numbers: dict[str, Any] = {}
    for name, found in (
        ("r2", bootstrap_r2(y, held_out.prediction, groups, **how)),
        ("mae", bootstrap_error(y, held_out.prediction, groups, **how)),
    ):
        numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"] = found
    width = held_out.high - held_out.low
    inside = (held_out.low <= y) & (y <= held_out.high)
    return {
        **numbers,
        "mae_guess": float(abs(y - held_out.guess).mean()),
        "interval_confidence": COVERED,
        "interval_coverage": float(inside.mean()),
        "interval_width": float(np.median(width)),
        "n": len(y),
        "patients": len(set(groups.tolist())),
        "folds": held_out.folds,
    }


def compare_errors(
    y: Any, groups: Any, found: Any, scores: Any, chosen: Any
) -> dict[str, Any] | None:
    """Compare the fused model with the single modality of the least error, on common rows."""
    singles = [
        row for row in scores
        if row["model"] == chosen["model"] and row["features"] != chosen["features"]
    ]  # fmt: skip
    if not singles:
        return None
    best = min(singles, key=lambda row: row["mae"])
    rows, alone = found[best["model"], best["features"]]
    fused = found[chosen["model"], chosen["features"]][1]
    difference = bootstrap_error_difference(
        y[rows], fused.prediction[rows], alone.prediction, groups[rows],
        n_resamples=RESAMPLES, confidence=CONFIDENCE,
    )  # fmt: skip
    return {
        "fused": chosen["features"],
        "single": best["features"],
        "mae_difference": difference.value,
        "mae_difference_low": difference.low,
        "mae_difference_high": difference.high,
        "n": int(rows.sum()),
    }
