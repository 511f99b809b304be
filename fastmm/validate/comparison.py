"""Compare two scores on the same patients by their areas under the ROC curve."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._check import integer, number, one_of
from fastmm.solve.areas import roc_auc
from fastmm.validate.bootstrap import one_against_rest, resampled_areas
from fastmm.validate.resampling import clusters, coverage, percentiles

__all__ = ["AucComparison", "compare_auc"]


@dataclass(frozen=True)
class AucComparison:
    """Two areas under ROC curves and what their difference is worth.

    Attributes
    ----------
    auc_a, auc_b : float
        The areas.
    difference : float
        ``auc_a - auc_b``.
    low, high : float
        Ends of the interval of the difference.
    pvalue : float
        Two-sided, for the hypothesis of equal areas.
    """

    auc_a: float
    auc_b: float
    difference: float
    low: float
    high: float
    pvalue: float


def compare_auc(
    y: Any,
    score_a: Any,
    score_b: Any,
    groups: Any = None,
    *,
    method: str = "delong",
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
    inflation: float = 1.0,
) -> AucComparison:
    r"""Compare the areas under the ROC curves of two scores of the same rows.

    Both methods take whole groups (patients) for what is independent, and both use that
    the two scores were made on the same ones. "delong" is DeLong's variance for clustered
    data: with :math:`V_{10}` the share of negative rows that a positive row wins against,
    :math:`V_{01}` likewise, and their sums over the rows of a group,

    .. math:: \mathrm{var} = \frac{S_{10}}{M} + \frac{S_{01}}{N} + \frac{2 S_{11}}{M N}

    for M positive and N negative rows.

    Parameters
    ----------
    y : array of shape (n,)
        Labels, of any dtype; the larger one of two is positive.
    score_a, score_b : arrays of shape (n,), or (n, classes) for more than two classes
        Scores, as for `bootstrap_auc`. More than two classes need ``method="bootstrap"``,
        which compares the means of their areas, each class against the rest.
    groups : array of shape (n,), optional
        Group of each row, of any dtype. Default: every row is a group.
    method : {"delong", "bootstrap"}, default "delong"
        "bootstrap" draws groups with replacement, the same for both scores: the interval
        holds percentiles, and the p-value is twice the share of resampled differences on
        the far side of 0.
    confidence : float, default 0.95
        Coverage of the interval, between 0 and 1.
    n_resamples : int, default 2000
        Number of bootstrap resamples.
    seed : int, default 0
        Seed of the draws.
    inflation : float, default 1
        Factor of the variance, of which both methods know only a part where scores are out of
        fold: 1 plus `fastmm.validate.training_share.training_share`.

    Returns
    -------
    AucComparison
        Areas, difference, interval and p-value.

    Raises
    ------
    ValueError
        If `y` has one class only, shapes do not fit, a score is not finite, or there are
        fewer than two groups (for "delong": with each class).

    Warns
    -----
    UserWarning
        If resamples lacked a class, or the variance of unequal areas is estimated as 0,
        where no p-value of "delong" means anything.

    Notes
    -----
    Computed on the host. "delong" costs a few sorts. Scores of models that were chosen or
    fitted on the same rows are not to be compared like this: use out-of-fold scores, and
    `inflation`.

    References
    ----------
    .. [1] DeLong, E. R., DeLong, D. M., & Clarke-Pearson, D. L. (1988). Comparing the areas
       under two or more correlated receiver operating characteristic curves. Biometrics,
       44(3), 837-845. https://doi.org/10.2307/2531595
    .. [2] Obuchowski, N. A. (1997). Nonparametric analysis of clustered ROC curve data.
       Biometrics, 53(2), 567-578. https://doi.org/10.2307/2533958

    Examples
    --------
    >>> from fastmm.validate.comparison import compare_auc
    >>> y, good, poor = [0, 0, 1, 0, 1, 1] * 5, [1, 2, 3, 4, 5, 6] * 5, [1, 6, 2, 5, 3, 4] * 5
    >>> found = compare_auc(y, good, poor)
    >>> round(found.difference, 3), found.low > 0, found.pvalue < 0.01
    (0.556, True, True)
    """
    one_of(method, "method", ("delong", "bootstrap"))
    confidence = coverage(confidence)
    n_resamples = integer(n_resamples, "n_resamples")
    seed = integer(seed, "seed", minimum=0)
    inflation = number(inflation, "inflation", minimum=1.0)
    positive, first = one_against_rest(y, score_a, "score_a")
    _, second = one_against_rest(y, score_b, "score_b")
    codes = clusters(groups, first.shape[-1])
    decisions = len(first)
    area_a, area_b = (float(roc_auc(positive, scores).mean()) for scores in (first, second))
    difference = area_a - area_b
    if method == "delong":
        if decisions > 1:
            raise ValueError('More than two classes need `method="bootstrap"`.')
        pair = np.stack([first[0, 0], second[0, 0]]).astype(np.float64)
        variance = inflation * _variance(positive[0, 0], pair, codes)
        low, high, pvalue = _normal(difference, variance, confidence)
        return AucComparison(area_a, area_b, difference, low, high, pvalue)
    both = np.concatenate([first, second])
    twice = np.concatenate([positive, positive])
    found = resampled_areas(twice, both, codes, n_resamples, seed)
    drawn = found[:, :decisions].mean(axis=1) - found[:, decisions:].mean(axis=1)
    drawn = difference + math.sqrt(inflation) * (drawn - difference)
    low, high = percentiles(drawn, confidence)
    drawn = drawn[~np.isnan(drawn)]
    beyond = min((drawn <= 0).sum(), (drawn >= 0).sum())
    pvalue = min(1.0, 2 * (1 + float(beyond)) / (1 + drawn.size))
    return AucComparison(area_a, area_b, difference, low, high, pvalue)


def _normal(difference: float, variance: float, confidence: float) -> tuple[float, float, float]:
    from scipy.special import ndtri

    error = math.sqrt(max(variance, 0.0))
    if error <= 1e-12:
        if abs(difference) <= 1e-12:
            return 0.0, 0.0, 1.0
        warnings.warn(
            "The variance of the difference is estimated as 0, since the scores separate the "
            "classes completely: there is too little data for an interval or a p-value.",
            stacklevel=3,
        )
    reach = float(ndtri(0.5 + confidence / 2) * error)
    pvalue = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 1e-12 else 0.0
    return difference - reach, difference + reach, pvalue


def _variance(positive: Any, pair: Any, codes: Any) -> float:
    """Return Obuchowski's variance of the difference of two areas, pair (2, n)."""
    won, lost = positive.sum(), (~positive).sum()
    shares = np.stack([_shares(positive, scores) for scores in pair])
    shares -= shares[:, positive].mean(axis=1)[:, None]  # the areas
    step = shares[0] - shares[1]
    count = int(codes.max()) + 1
    up = np.bincount(codes, weights=np.where(positive, step, 0.0), minlength=count)
    down = np.bincount(codes, weights=np.where(positive, 0.0, step), minlength=count)
    holding = [np.unique(codes[rows]).size for rows in (positive, ~positive)]
    if min(holding) < 2:
        raise ValueError(f"Each class must be held by at least 2 groups, got {min(holding)}.")
    apart = [some / (some - 1) for some in (*holding, count)]
    return float(
        apart[0] * (up @ up) / won**2
        + apart[1] * (down @ down) / lost**2
        + 2 * apart[2] * (up @ down) / (won * lost)
    )


def _shares(positive: Any, scores: Any) -> Any:
    """Return the share of rows of the other class that each row is ranked rightly against."""
    shares = np.empty(scores.size)
    for rows, others, turn in ((positive, ~positive, 1), (~positive, positive, -1)):
        ranked = np.sort(turn * scores[others])
        own = turn * scores[rows]
        below = np.searchsorted(ranked, own, "left") + np.searchsorted(ranked, own, "right")
        shares[rows] = below / (2 * ranked.size)
    return shares
