"""The scores of out-of-fold predictions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastmm.findings.validation import Validated
from fastmm.metrics import balanced_accuracy_score, roc_curve
from fastmm.validate.bootstrap import bootstrap_auc

__all__ = ["CONFIDENCE", "RESAMPLES", "score_set"]

RESAMPLES, CONFIDENCE = 2000, 0.95


def score_set(found: Validated) -> tuple[dict[str, Any], list[Any], list[str]]:
    """Return the scores of a set, its ROC curve and what is to be noted."""
    y, held_out, groups = found.y, found.held_out, found.groups
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)  # of resamples that lack a class
        auc, low, high = bootstrap_auc(
            y, found.score, groups, n_resamples=RESAMPLES, confidence=CONFIDENCE
        )
    said = [str(warning.message) for warning in caught]
    numbers = {
        **found.about,
        "auc": auc,
        "auc_low": low,
        "auc_high": high,
        "balanced_accuracy": float(balanced_accuracy_score(y, held_out.prediction)),
        "n": len(y),
        "patients": len(set(groups.tolist())),
        "folds": held_out.folds,
    }
    if held_out.decision.ndim > 1:
        return numbers, [], said
    fpr, tpr, _ = roc_curve(y == np.unique(y)[1], held_out.decision)
    return numbers, [{**found.about, "fpr": fpr.tolist(), "tpr": tpr.tolist()}], said
