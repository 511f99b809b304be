"""Areas under ROC curves, of many lines of scores at once."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["roc_auc"]

_PIECE = 1 << 15  # elements sorted at once: what stays in the second-level cache
_LONGEST = 20_000  # above, 31 bits tell too few scores of a line apart


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
    are summed in integers, so that nothing is rounded before the division. Without weights,
    lines without ties cost one sort of 32-bit integers, about 12 ns an element, lines with
    ties another one of the scores.

    Examples
    --------
    >>> roc_auc(np.array([False, True, True]), np.array([0.0, 0.0, 1.0]))
    array(0.75)
    """
    if weight is None and scores.ndim > 1 and 1 < scores.shape[-1] <= _LONGEST:
        return _areas_without_weights(*np.broadcast_arrays(positive, scores))
    return _areas(positive, scores, weight)


def _areas_without_weights(positive: Any, scores: Any) -> np.ndarray[Any, Any]:
    shape, n = scores.shape[:-1], scores.shape[-1]
    positive, scores = positive.reshape(-1, n), scores.reshape(-1, n)
    areas = np.empty(len(scores))
    step = max(1, _PIECE // n)
    for start in range(0, len(scores), step):
        lines = slice(start, start + step)
        areas[lines] = _areas_by_keys(positive[lines], scores[lines])
    return areas.reshape(shape)


def _areas_by_keys(positive: Any, scores: Any) -> Any:
    # The score in 31 bits and the class in the last one: to sort these sorts the scores,
    # but for lines with scores that 31 bits do not tell apart, which are ranked exactly.
    n = scores.shape[1]
    with np.errstate(all="ignore"):
        lowest = scores.min(axis=1, keepdims=True).astype(np.float64)
        scale = (2.0**31 - 1) / (scores.max(axis=1, keepdims=True) - lowest)
        exact = ~np.isfinite(scale[:, 0])
        # In place, since fresh memory costs more than the arithmetic.
        places = scores - lowest
        places *= scale
        if exact.any():
            places[exact] = 0.0
        keys = places.astype(np.uint32)
    keys <<= 1
    keys |= positive
    keys.sort(axis=1)
    np.bitwise_and(keys, 1, out=places, casting="unsafe")
    won = positive.sum(axis=1)
    pairs = won * (n - won)
    gained = places @ np.arange(n, dtype=np.float64) - won * (won - 1) / 2  # pairs won
    keys >>= 1
    same = keys[:, 1:] == keys[:, :-1]
    tied = np.flatnonzero(same.any(axis=1) & ~exact)
    if tied.size:
        ranked = np.sort(scores[tied], axis=1)
        equal = ranked[:, 1:] == ranked[:, :-1]
        exact[tied] = (same[tied] != equal).any(axis=1)
        gained[tied] -= _pairs_tied(equal, places[tied]) / 2
    areas = np.full(len(scores), np.nan)
    np.divide(gained, pairs, out=areas, where=pairs > 0)
    if exact.any():
        areas[exact] = _areas(positive[exact], scores[exact], None)
    return areas


def _pairs_tied(equal: Any, positive: Any) -> Any:
    """Count the pairs of equal scores in each line; among these, positive rows come last."""
    first = np.ones(positive.shape, bool)
    np.logical_not(equal, out=first[:, 1:])
    starts = np.flatnonzero(first)
    won = np.add.reduceat(positive.ravel(), starts)
    lost = np.diff(starts, append=positive.size) - won
    lines = np.cumsum(np.count_nonzero(first, axis=1))
    return np.add.reduceat(won * lost, np.append(0, lines[:-1]))


def _areas(positive: Any, scores: Any, weight: Any) -> np.ndarray[Any, Any]:
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
