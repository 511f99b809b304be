"""Scores of held-out predictions, all candidates of a search in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["balanced_accuracy", "best_of", "r2", "refuse_overflow", "roc_auc"]


def roc_auc(
    positive: np.ndarray[Any, Any],
    scores: np.ndarray[Any, Any],
    weight: np.ndarray[Any, Any] | None = None,
) -> np.ndarray[Any, Any]:
    r"""Compute areas under ROC curves, exact with weights and ties.

    .. math:: \mathrm{AUC} = \frac{\sum_{i \in +} \sum_{j \in -} w_i w_j
        \left( [s_i > s_j] + \tfrac12 [s_i = s_j] \right)}{\sum_{i \in +} w_i \sum_{j \in -} w_j}

    Parameters
    ----------
    positive : array of shape (..., n), bool
        Which rows are positive. It broadcasts against `scores`, with as many axes.
    scores : array of shape (..., n)
        Scores, larger for positive rows.
    weight : array of shape (..., n), optional
        Weights, not negative. Broadcasts likewise, with as many axes or fewer. Default: 1.

    Returns
    -------
    array of shape (...), float64
        Areas; NaN where a class has no weight or a score is NaN.

    Notes
    -----
    Each line of `scores` is sorted once, however many weights it meets. Integer weights
    are summed in integers, so that nothing is rounded before the division.

    Examples
    --------
    >>> roc_auc(np.array([False, True, True]), np.array([0.0, 0.0, 1.0]))
    array(0.75)
    """
    order = np.argsort(scores, axis=-1, kind="stable")  # the same bits for the same ranks
    ranked = np.take_along_axis(scores, order, -1)
    first, last = _ends_of_ties(ranked)
    weight = np.ones(scores.shape[-1], np.int64) if weight is None else weight
    won = np.take_along_axis(weight * positive, order, -1)
    lost = np.take_along_axis(weight * ~positive, order, -1)
    through = lost.cumsum(axis=-1)
    below = np.take_along_axis(through - lost, first, -1)
    # Twice the pairs won, ties counting once.
    pairs = (won * (below + np.take_along_axis(through, last, -1))).sum(axis=-1)
    total = 2.0 * won.sum(axis=-1) * through[..., -1]
    areas = np.full(total.shape, np.nan)
    np.divide(pairs, total, out=areas, where=(total > 0) & ~np.isnan(ranked[..., -1]))
    return areas


def _ends_of_ties(ranked: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Return the first and the last place that hold the score of each place."""
    place = np.arange(ranked.shape[-1])
    end = np.ones((*ranked.shape[:-1], 1), bool)
    differs = ranked[..., 1:] != ranked[..., :-1]
    first = np.where(np.concatenate([end, differs], axis=-1), place, 0)
    last = np.where(np.concatenate([differs, end], axis=-1), place, place[-1])
    backwards = np.minimum.accumulate(last[..., ::-1], axis=-1)
    return np.maximum.accumulate(first, axis=-1), backwards[..., ::-1]


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
    error = np.average((y - predicted) ** 2, axis=1, weights=weight)
    spread = np.average((y - np.average(y, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
    constant = spread == 0
    share = np.where(constant, error != 0, error / np.where(constant, 1.0, spread))
    return 1.0 - share.mean(axis=1)


def balanced_accuracy(codes: Any, predicted: Any, weight: Any = None) -> float:
    """Compute the mean over classes of the share of their weight that was found.

    Parameters
    ----------
    codes, predicted : arrays of shape (n,), intp
        Numbers of the true and of the predicted classes.
    weight : array of shape (n,), optional
        Weights, not negative. Default: 1.

    Returns
    -------
    float
        Score. Classes without weight do not count.

    Examples
    --------
    >>> balanced_accuracy(np.array([0, 0, 1]), np.array([0, 1, 1]))
    0.75
    """
    weight = np.ones(codes.size) if weight is None else weight
    total = np.bincount(codes, weights=weight)
    found = np.bincount(codes, weights=weight * (codes == predicted))
    return float((found[total > 0] / total[total > 0]).mean())


def best_of(scores: Any) -> int:
    """Return the first place of the largest score; what differs by rounding only is a tie."""
    refuse_overflow(scores)
    largest = scores.max()
    return int((scores >= largest - 1e-12 * abs(largest)).argmax())


def refuse_overflow(values: Any) -> None:
    """Refuse held-out predictions, or scores of them, that are not finite."""
    if not np.isfinite(values).all():
        raise ValueError(
            "The held-out predictions overflow float64; bring features and targets to a "
            "smaller scale first."
        )
