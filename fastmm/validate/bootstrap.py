"""Bootstrap intervals that draw whole patients."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastmm._check import finite, integer, number, real
from fastmm._space import enter
from fastmm.solve.grouped import encode_groups

__all__ = ["bootstrap_auc"]

_CHUNK = 1 << 21  # elements of work space at once: 16 MB an array


def bootstrap_auc(
    y: Any,
    score: Any,
    groups: Any = None,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    r"""Estimate the area under the ROC curve with a bootstrap interval over groups.

    Groups (patients) are drawn with replacement, all rows of one together, so that the
    interval does not take the images of one patient for independent ones. The area is

    .. math:: \mathrm{AUC} = \frac{\sum_{i \in +} \sum_{j \in -} c_i c_j
        \left( [s_i > s_j] + \tfrac12 [s_i = s_j] \right)}{\sum_{i \in +} c_i \sum_{j \in -} c_j}

    with c how often each row was drawn; the ends are percentiles of the resampled areas.

    Parameters
    ----------
    y : array of shape (n,)
        Labels of two classes, of any dtype; the larger one is positive.
    score : array of shape (n,)
        Scores, larger for the positive class, finite.
    groups : array of shape (n,), optional
        Group of each row, of any dtype. Default: every row is a group.
    n_resamples : int, default 2000
        Number of bootstrap resamples.
    confidence : float, default 0.95
        Coverage of the interval, between 0 and 1.
    seed : int, default 0
        Seed of the draws.

    Returns
    -------
    auc, low, high : float
        The area in the data, and the ends of the interval.

    Raises
    ------
    ValueError
        If `y` has not two classes, shapes do not fit, a score is not finite, there are
        fewer than two groups, or all resamples held one class only.

    Warns
    -----
    UserWarning
        If resamples held one class only; they are dropped, and the message counts them.

    Notes
    -----
    Computed on the host, where arrays of a device are copied. One sort of the scores
    serves all resamples, which are exact in integers: O(n) each.

    References
    ----------
    .. [1] Efron, B., & Tibshirani, R. J. (1993). An Introduction to the Bootstrap.
       https://doi.org/10.1201/9780429246593
    .. [2] Rutter, C. M. (2000). Bootstrap estimation of diagnostic accuracy with
       patient-clustered data. Academic Radiology, 7(6), 413-419.
       https://doi.org/10.1016/S1076-6332(00)80381-5

    Examples
    --------
    >>> from fastmm.validate.bootstrap import bootstrap_auc
    >>> y, score = [0, 0, 1, 0, 1, 1] * 5, [1, 2, 3, 4, 5, 6] * 5
    >>> auc, low, high = bootstrap_auc(y, score)
    >>> round(auc, 3), low < auc < high
    (0.889, True)
    """
    n_resamples = integer(n_resamples, "n_resamples")
    seed = integer(seed, "seed", minimum=0)
    confidence = number(confidence, "confidence", above=0)
    if confidence >= 1:
        raise ValueError(f"`confidence` must be less than 1, got {confidence!r}.")
    positive, scores = _binary(y), _finite_scores(score)
    if positive.shape != scores.shape:
        raise ValueError(
            f"`y` and `score` must be as long, got shapes {positive.shape} and {scores.shape}."
        )
    n = scores.size
    codes = np.arange(n) if groups is None else encode_groups(groups, n)
    count = int(codes.max()) + 1
    if count < 2:
        raise ValueError(f"The bootstrap needs at least 2 groups, got {count}.")
    order = np.argsort(scores, kind="stable")
    scores, positive, codes = scores[order], positive[order], codes[order]
    levels = np.flatnonzero(np.concatenate([[True], scores[1:] != scores[:-1]]))
    auc = float(_areas(np.ones((1, n), np.int64), positive, levels)[0])

    rng, step = np.random.default_rng(seed), max(1, _CHUNK // max(n, count))
    areas = []
    for start in range(0, n_resamples, step):
        draws = min(step, n_resamples - start)
        drawn = rng.integers(0, count, (draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count)
        areas.append(_areas(times[:, codes], positive, levels))
    found = np.concatenate(areas)
    kept = found[~np.isnan(found)]
    if kept.size == 0:
        raise ValueError("All resamples held one class only: too few groups hold each class.")
    if kept.size < n_resamples:
        warnings.warn(
            f"{n_resamples - kept.size} of {n_resamples} resamples held one class only and were "
            "dropped; the interval leans on the others.",
            stacklevel=2,
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return auc, float(low), float(high)


def _areas(times: Any, positive: Any, levels: Any) -> np.ndarray[Any, Any]:
    """Return the area for each row of counts (b, n), NaN where a class is absent."""
    wins = np.add.reduceat(times * positive, levels, axis=1)
    losses = np.add.reduceat(times * ~positive, levels, axis=1)
    # Twice the pairs won, ties counting once.
    pairs = (wins * (2 * np.cumsum(losses, axis=1) - losses)).sum(axis=1)
    total = 2.0 * wins.sum(axis=1) * losses.sum(axis=1)
    areas: np.ndarray[Any, Any] = np.full(total.shape, np.nan)
    np.divide(pairs, total, out=areas, where=total > 0)
    return areas


def _binary(y: Any) -> np.ndarray[Any, Any]:
    from fastmm.solve._inputs import host

    labels = host(y, "y")
    finite(labels, "y", np)
    classes = np.unique(labels)
    if labels.ndim != 1 or classes.size != 2:
        raise ValueError(
            f"`y` must have shape (n,) and hold 2 classes, got shape {labels.shape} and "
            f"{classes.size} classes."
        )
    positive: np.ndarray[Any, Any] = labels == classes[1]
    return positive


def _finite_scores(score: Any) -> np.ndarray[Any, Any]:
    space, (native,), _ = enter(score=score)
    real(native, "score")
    finite(native, "score", space.xp)
    scores: np.ndarray[Any, Any] = space.to_host(native)
    if scores.ndim != 1:
        raise ValueError(f"`score` must have shape (n,), got {scores.shape}.")
    return scores
