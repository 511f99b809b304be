"""What a test finds at the specificity that its use demands."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm._check import number
from fastmm.validate.bootstrap import one_against_rest
from fastmm.validate.resampling import Estimate, bootstrap

__all__ = ["OperatingPoint", "bootstrap_balanced_accuracy", "bootstrap_sensitivity"]


class OperatingPoint(NamedTuple):
    """Sensitivity at a specificity.

    Parameters
    ----------
    sensitivity : Estimate
        With its bootstrap interval.
    threshold : float
        Rows with at least this score count as positive; infinite where none may.
    specificity : float
        What that threshold attains in the data, at least what was asked for.
    """

    sensitivity: Estimate
    threshold: float
    specificity: float


def bootstrap_sensitivity(
    y: Any,
    score: Any,
    groups: Any = None,
    *,
    specificity: float = 0.9,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> OperatingPoint:
    r"""Estimate the sensitivity at a fixed specificity, with a bootstrap interval.

    .. math:: \max_t \mathrm{TPR}(t) \quad \text{such that} \quad
        \mathrm{TNR}(t) \ge \text{specificity}

    over the thresholds t that the scores allow; nothing is interpolated between them.

    Parameters
    ----------
    y : array of shape (n,)
        Two labels, of any dtype; the larger one is positive.
    score : array of shape (n,)
        Scores, larger for the positive label. Finite.
    groups : array of shape (n,), optional
        Group (patient) of each row, drawn as a whole. Default: every row is a group.
    specificity : float, default 0.9
        At least this share of the negative rows must stay below the threshold.
    n_resamples, confidence, seed
        As for `bootstrap_auc`.

    Returns
    -------
    OperatingPoint
        Sensitivity, threshold and the specificity that is attained.

    Raises
    ------
    ValueError
        If `y` has not two labels, shapes do not fit, a score is not finite, or there are
        fewer than two groups.

    Notes
    -----
    The threshold is chosen anew in each resample, so that the interval holds what choosing
    it costs. O(n) for each resample after one sort.

    Examples
    --------
    >>> from fastmm.validate.operating_points import bootstrap_sensitivity
    >>> y, score = [0] * 10 + [1] * 5, [*range(10), 3, 8.5, 9.5, 10, 11]
    >>> point = bootstrap_sensitivity(y * 3, score * 3, specificity=0.9)
    >>> point.sensitivity.value, point.threshold, point.specificity
    (0.8, 8.5, 0.9)
    """
    least = number(specificity, "specificity", minimum=0)
    if least > 1:
        raise ValueError(f"`specificity` must be at most 1, got {least!r}.")
    positive, scores = one_against_rest(y, score)
    if len(positive) > 1:
        raise ValueError("`y` must hold 2 labels; compare one class with the rest, `y == label`.")
    curve = _Curve(positive[0, 0], scores[0, 0])
    found = bootstrap(
        lambda times: curve.sensitivity(times, least)[0],
        scores.shape[-1],
        groups,
        n_resamples=n_resamples,
        confidence=confidence,
        seed=seed,
    )
    _, place, attained = curve.sensitivity(np.ones((1, scores.shape[-1]), np.int64), least)
    threshold = float(curve.thresholds[place[0]]) if place[0] >= 0 else np.inf
    return OperatingPoint(found, threshold, float(attained[0]))


class _Curve:
    """The ROC curve of one score, for any number of weights of its rows."""

    def __init__(self, positive: Any, score: Any) -> None:
        self.order = np.argsort(-score, kind="stable")
        ranked = score[self.order]
        self.ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        self.thresholds = ranked[self.ends]
        self.positive = positive[self.order]

    def sensitivity(self, times: Any, least: float) -> tuple[Any, Any, Any]:
        """Return sensitivities, places of their thresholds, and specificities, (resamples,)."""
        ranked = times[:, self.order]
        hits = (ranked * self.positive).cumsum(axis=1)[:, self.ends]
        alarms = (ranked * ~self.positive).cumsum(axis=1)[:, self.ends]
        some, others = hits[:, -1].astype(np.float64), alarms[:, -1].astype(np.float64)
        # Counts are whole; what 1 - 0.9 lacks to a tenth must not cost an alarm.
        allowed = (alarms <= ((1 - least) * others + 1e-9)[:, None]).sum(axis=1)
        place = allowed - 1
        rows = np.arange(len(times))
        found = np.where(place >= 0, hits[rows, place], 0)
        false = np.where(place >= 0, alarms[rows, place], 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(others > 0, found / some, np.nan)
            return share, place, 1 - false / others


def bootstrap_balanced_accuracy(
    y: Any,
    prediction: Any,
    groups: Any = None,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Estimate the mean share of right predictions over classes, with a bootstrap interval.

    Parameters
    ----------
    y, prediction : arrays of shape (n,)
        Labels, and what was predicted.
    groups, n_resamples, confidence, seed
        As for `bootstrap_auc`.

    Returns
    -------
    Estimate
        The share and its interval.

    Raises
    ------
    ValueError
        If shapes do not fit, or there are fewer than two groups.

    Examples
    --------
    >>> from fastmm.validate.operating_points import bootstrap_balanced_accuracy
    >>> found = bootstrap_balanced_accuracy([0, 0, 1, 1] * 9, [0, 0, 1, 0] * 9)
    >>> found.value, found.low < 0.75 < found.high
    (0.75, True)
    """
    truth, predicted = np.asarray(y), np.asarray(prediction)
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise ValueError(
            "`y` and `prediction` must have one shape (n,), got "
            f"{truth.shape} and {predicted.shape}."
        )
    members = (truth[:, None] == np.unique(truth)).astype(np.float64)
    hits = members * (truth == predicted)[:, None]

    def statistic(times: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return ((times @ hits) / (times @ members)).mean(axis=1)

    return bootstrap(
        statistic, truth.size, groups, n_resamples=n_resamples, confidence=confidence, seed=seed
    )
