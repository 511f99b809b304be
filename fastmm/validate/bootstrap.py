"""Bootstrap intervals that draw whole patients."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import finite, integer, real
from fastmm._space import enter
from fastmm.solve._inputs import host
from fastmm.solve.scoring import roc_auc
from fastmm.validate.resampling import clusters, coverage, draws, percentiles

__all__ = ["bootstrap_auc", "one_against_rest", "resampled_areas"]


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
    More than two classes have the mean of their areas, each class against the rest.

    Parameters
    ----------
    y : array of shape (n,)
        Labels, of any dtype; the larger one of two is positive.
    score : array of shape (n,), or (n, classes) for more than two classes
        Scores, larger for the positive class, or one column for each class in the order
        of the sorted labels. Finite.
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
        If `y` has one class only, shapes do not fit, a score is not finite, there are
        fewer than two groups, or all resamples lacked a class.

    Warns
    -----
    UserWarning
        If resamples lacked a class; they are dropped, and the message counts them.

    Notes
    -----
    Computed on the host, where arrays of a device are copied. The same resamples serve
    all classes. A few sorts of the scores serve all resamples, which are exact in
    integers: O(n) each.

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
    confidence = coverage(confidence)
    positive, scores = one_against_rest(y, score)
    codes = clusters(groups, scores.shape[-1])
    found = resampled_areas(positive, scores, codes, n_resamples, seed).mean(axis=1)
    low, high = percentiles(found, confidence)
    return float(roc_auc(positive, scores).mean()), low, high


def resampled_areas(
    positive: Any, scores: Any, codes: Any, n_resamples: int, seed: int
) -> np.ndarray[Any, Any]:
    """Return areas (resamples, decisions) for decisions (decisions, 1, n) in resampled groups."""
    drawn = draws(codes, n_resamples, seed, width=scores.size)
    return np.concatenate([roc_auc(positive, scores, times).T for times in drawn])


def one_against_rest(y: Any, score: Any, name: str = "score") -> tuple[Any, Any]:
    """Return which rows are positive, and the scores, both (decisions, 1, n)."""
    labels = host(y, "y")
    finite(labels, "y", np)
    classes = np.unique(labels)
    if labels.ndim != 1 or classes.size < 2:
        raise ValueError(
            f"`y` must have shape (n,) and hold at least 2 classes, got shape {labels.shape} "
            f"and {classes.size} classes."
        )
    space, (native,), _ = enter(**{name: score})
    real(native, name)
    finite(native, name, space.xp)
    scores = space.to_host(native)
    shape = labels.shape if classes.size == 2 else (labels.size, classes.size)
    if scores.shape != shape:
        raise ValueError(
            f"`{name}` must have shape {shape} for {labels.size} labels of {classes.size} classes, "
            f"got {scores.shape}."
        )
    named = classes[1:] if classes.size == 2 else classes
    positive = labels == named[:, None]
    return positive[:, None], scores.reshape(labels.size, -1).T[:, None]
