"""The scores of out-of-fold predictions, each with an interval over patients."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastmm.findings.validation import Validated
from fastmm.metrics import roc_curve
from fastmm.validate.bootstrap import bootstrap_auc
from fastmm.validate.operating_points import bootstrap_balanced_accuracy, bootstrap_sensitivity
from fastmm.validate.reliability import bootstrap_brier, measure_reliability
from fastmm.validate.resampling import Estimate
from fastmm.validate.training_share import widened

__all__ = ["CONFIDENCE", "RESAMPLES", "SPECIFICITIES", "SetScores", "score_set"]

RESAMPLES, CONFIDENCE, SPECIFICITIES = 2000, 0.95, (0.9, 0.95)


@dataclass
class SetScores:
    """What is known of one set of modalities with one model.

    Attributes
    ----------
    numbers : dict
        Scores, each with the ends of its interval.
    roc, calibration : list of dict
        Curves, one, or one for each of more than two classes.
    by_class : list of dict
        Scores of each of more than two classes against the rest.
    notes : list of str
        What is to be said.
    """

    numbers: dict[str, Any]
    roc: list[dict[str, Any]] = field(default_factory=list)
    calibration: list[dict[str, Any]] = field(default_factory=list)
    by_class: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def score_set(found: Validated) -> SetScores:
    """Score the out-of-fold predictions of a set."""
    y, held_out, groups = found.y, found.held_out, found.groups
    classes = np.unique(y)
    scores = SetScores(dict(found.about))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)  # of resamples that lack a class
        scores.numbers["training_share"] = found.training_share
        wider = found.widening(y, groups)
        _put(scores.numbers, "auc", _area(y, found.score, groups, wider))
        balanced = bootstrap_balanced_accuracy(
            y, held_out.prediction, groups, n_resamples=RESAMPLES, confidence=CONFIDENCE
        )
        _put(scores.numbers, "balanced_accuracy", widened(balanced, wider))
        chances = held_out.probability
        if classes.size == 2:
            parts = _binary(y == classes[1], found.score, chances[:, 1], groups, wider)
            _join(scores, found.about, *parts, into=scores.numbers)
        else:
            brier = bootstrap_brier(
                y, chances, groups, n_resamples=RESAMPLES, confidence=CONFIDENCE
            )
            _put(scores.numbers, "brier", brier)
            scores.numbers["brier_guess"] = 1 - float(((y[:, None] == classes).mean(0) ** 2).sum())
            for k, name in enumerate(classes):
                own: dict[str, Any] = {**found.about, "class": str(name)}
                truth = y == name
                wider = found.widening(truth, groups)
                about = dict(own)
                _put(own, "auc", _area(truth, chances[:, k], groups, wider))
                parts = _binary(truth, chances[:, k], chances[:, k], groups, wider)
                _join(scores, {**about, "auc": own["auc"]}, *parts, into=own)
                own["n"] = int(truth.sum())
                scores.by_class.append(own)
    scores.notes = list(dict.fromkeys(str(warning.message) for warning in caught))
    scores.numbers |= {
        "n": len(y),
        "patients": len(set(groups.tolist())),
        "folds": held_out.folds,
    }
    return scores


def _area(y: Any, score: Any, groups: Any, wider: float) -> Estimate:
    found = bootstrap_auc(y, score, groups, n_resamples=RESAMPLES, confidence=CONFIDENCE)
    return widened(Estimate(*found), wider)


def _binary(
    truth: Any, score: Any, chance: Any, groups: Any, wider: float
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return scores, the ROC curve and the calibration curve of one class against the rest."""
    numbers: dict[str, Any] = {}
    how: dict[str, Any] = {"n_resamples": RESAMPLES, "confidence": CONFIDENCE}
    for specificity in SPECIFICITIES:
        point = bootstrap_sensitivity(truth, score, groups, specificity=specificity, **how)
        name = f"sensitivity_at_{round(100 * specificity)}"
        _put(numbers, name, widened(point.sensitivity, wider))
        numbers[f"{name}_threshold"] = point.threshold
    found = measure_reliability(truth, chance, groups, **how)
    _put(numbers, "brier", found.brier)
    numbers["brier_guess"] = found.brier_guess
    _put(numbers, "calibration_slope", found.slope)
    _put(numbers, "calibration_intercept", found.intercept)
    fpr, tpr, _ = roc_curve(truth, score)
    bins = [
        {"predicted": b.predicted, "observed": b.observed, "low": b.low, "high": b.high,
         "n": b.n, "patients": b.groups}
        for b in found.bins
    ]  # fmt: skip
    return numbers, {"fpr": fpr.tolist(), "tpr": tpr.tolist()}, {"bins": bins}


def _join(
    scores: SetScores, about: dict[str, Any], numbers: Any, roc: Any, curve: Any, *, into: Any
) -> None:
    into |= numbers
    scores.roc.append({**about, **roc})
    scores.calibration.append({**about, **curve})


def _put(numbers: dict[str, Any], name: str, found: Estimate) -> None:
    numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"] = found
