"""Scores of held-out predictions, all candidates of a search in one pass.

Every search shares these. A mean of squared errors and an accuracy are means over folds
of the fold's mean, as in scikit-learn's GridSearchCV; the others are taken once over all
held-out predictions, since a fold of one patient has no area, spread or second class.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve.accuracies import (
    balanced_accuracy,
    class_shares,
    positive_classes,
    winning_classes,
)
from fastmm.solve.areas import roc_auc
from fastmm.solve.grouped import Folds, fold_shares

__all__ = [
    "CLASS_SCORINGS",
    "REGRESSION_SCORINGS",
    "balanced_accuracy",
    "best_of",
    "positive_classes",
    "r2",
    "refuse_overflow",
    "roc_auc",
    "score_classes",
    "score_regression",
    "winning_classes",
]

CLASS_SCORINGS = ("roc_auc", "accuracy", "balanced_accuracy")
REGRESSION_SCORINGS = ("neg_mean_squared_error", "r2", *CLASS_SCORINGS)


def score_regression(
    name: str,
    y: np.ndarray[Any, Any],
    held_out: np.ndarray[Any, Any],
    folds: Folds,
    weight: np.ndarray[Any, Any] | None = None,
    *,
    per_target: bool = False,
) -> np.ndarray[Any, Any]:
    """Score held-out predictions of numbers, all on the host.

    Parameters
    ----------
    name : str
        One of `REGRESSION_SCORINGS`. The last three need targets of two values, the
        larger one positive; accuracies cut predictions in the middle of the two.
    y : array of shape (n, targets)
        Targets.
    held_out : array of shape (candidates, n, targets)
        Predictions of each candidate. For "roc_auc", less what the fold's training
        targets have as their mean (`fastmm.solve.grouped.training_means`).
    folds : Folds
        The partition.
    weight : array of shape (n,), optional
        Weights, not negative. Default: 1.
    per_target : bool, default False
        Whether to score each target on its own; else their scores are averaged.

    Returns
    -------
    array of shape (candidates,), or (candidates, targets), float64
        Scores: larger is better.

    Raises
    ------
    ValueError
        If the score needs a target of two values, both with weight, and has not got it.

    Examples
    --------
    >>> from fastmm.solve.grouped import make_folds
    >>> y, held_out = np.array([[0.0], [1.0], [2.0]]), np.array([[[0.0], [1.0], [3.0]]])
    >>> score_regression("neg_mean_squared_error", y, held_out, make_folds(3)).round(3)
    array([-0.333])
    """
    with np.errstate(over="ignore", invalid="ignore"):  # `best_of` answers for these
        if name == "neg_mean_squared_error":
            scores = -np.einsum("n,cnt->ct", fold_shares(folds, weight), (held_out - y) ** 2)
        elif name == "r2":
            scores = _r2(y, held_out, weight)
        else:
            scores = _score_two_values(name, y, held_out, folds, weight)
    averaged: np.ndarray[Any, Any] = scores if per_target else scores.mean(axis=1)
    return averaged


def score_classes(
    name: str,
    codes: np.ndarray[Any, Any],
    decisions: np.ndarray[Any, Any],
    folds: Folds,
    weight: np.ndarray[Any, Any] | None = None,
) -> np.ndarray[Any, Any]:
    """Score held-out decisions on classes, all on the host.

    Parameters
    ----------
    name : str
        One of `CLASS_SCORINGS`.
    codes : array of shape (n,), intp
        Number of the class of each row.
    decisions : array of shape (candidates, n, k)
        Decisions of each candidate: above 0 for class 1 if k = 1, else one column for
        each class. For "roc_auc", as in `score_regression`.
    folds : Folds
        The partition.
    weight : array of shape (n,), optional
        Weights, not negative. Default: 1.

    Returns
    -------
    array of shape (candidates,), float64
        Scores. "roc_auc" is the mean over classes, those with weight, of the area of each
        against the rest.

    Examples
    --------
    >>> from fastmm.solve.grouped import make_folds
    >>> decisions = np.array([[[-1.0], [2.0], [1.0]]])
    >>> score_classes("balanced_accuracy", np.array([0, 0, 1]), decisions, make_folds(3))
    array([0.75])
    """
    if name == "roc_auc":
        positive = positive_classes(codes, decisions.shape[2])
        areas = roc_auc(positive[None], decisions.swapaxes(1, 2), weight)
        # Classes without weight have no area, whatever the decisions.
        seen = ~np.isnan(areas).all(axis=0)
        if not seen.any():
            return np.full(areas.shape[0], np.nan)
        mean: np.ndarray[Any, Any] = areas[:, seen].mean(axis=1)
        return mean
    share = fold_shares(folds, weight) if name == "accuracy" else class_shares(codes, weight)
    found: np.ndarray[Any, Any] = (winning_classes(decisions) == codes) @ share
    return found


def r2(y: Any, predicted: Any, weight: Any = None) -> Any:
    r"""Compute coefficients of determination, the mean over targets.

    .. math:: R^2 = 1 - \frac{\sum_i w_i (y_i - \hat y_i)^2}{\sum_i w_i (y_i - \bar y)^2}

    Parameters
    ----------
    y : array of shape (n, targets)
        Targets.
    predicted : array of shape (candidates, n, targets)
        Predictions of each candidate.
    weight : array of shape (n,), optional
        Weights, not negative. Default: 1.

    Returns
    -------
    array of shape (candidates,), float64
        Scores. Constant targets score 1 where they were met exactly and else 0.

    Examples
    --------
    >>> r2(np.array([[0.0], [1.0], [2.0]]), np.array([[[0.0], [1.0], [3.0]]]))
    array([0.5])
    """
    return _r2(y, predicted, weight).mean(axis=1)


def best_of(scores: Any) -> Any:
    """Return the first place of the largest score; what differs by rounding only is a tie.

    Parameters
    ----------
    scores : array of shape (candidates,) or (candidates, targets)
        Scores.

    Returns
    -------
    int, or array of shape (targets,), intp
        The place, or that of each target.

    Raises
    ------
    ValueError
        If a score is not finite.

    Examples
    --------
    >>> best_of(np.array([0.5, 0.3, 0.1 + 0.4]))
    0
    """
    refuse_overflow(scores)
    largest = scores.max(axis=0)
    place = (scores >= largest - 1e-12 * abs(largest)).argmax(axis=0)
    return int(place) if scores.ndim == 1 else place


def refuse_overflow(values: Any) -> None:
    """Refuse held-out predictions, or scores of them, that are not finite."""
    if not np.isfinite(values).all():
        raise ValueError(
            "The held-out predictions overflow float64; bring features and targets to a "
            "smaller scale first."
        )


def _r2(y: Any, predicted: Any, weight: Any) -> Any:
    error = np.average((y - predicted) ** 2, axis=1, weights=weight)
    spread = np.average((y - np.average(y, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
    constant = spread == 0
    return 1.0 - np.where(constant, error != 0, error / np.where(constant, 1.0, spread))


def _score_two_values(name: str, y: Any, held_out: Any, folds: Folds, weight: Any) -> Any:
    low, high = y.min(axis=0), y.max(axis=0)
    positive = y == high
    used = positive if weight is None else positive[weight > 0]
    if not ((positive | (y == low)).all() and used.any(axis=0).all()) or used.all(axis=0).any():
        raise ValueError(f'`scoring="{name}"` needs a `y` of two values, both with weight.')
    if name == "roc_auc":
        return roc_auc(positive.T[None], held_out.swapaxes(1, 2), weight)
    share = fold_shares(folds, weight)[:, None]
    if name == "balanced_accuracy":
        weight = np.ones(len(y)) if weight is None else weight
        found, missed = weight @ positive, weight @ ~positive
        share = weight[:, None] / (2 * np.where(positive, found, missed))
    return (((held_out > low / 2 + high / 2) == positive) * share).sum(axis=1)
