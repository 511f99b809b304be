"""How far predicted probabilities can be taken at their word."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm._check import integer
from fastmm.solve.group_names import encode_groups
from fastmm.validate.bootstrap import one_against_rest
from fastmm.validate.recalibration import (
    logits_of,
    recalibration_intercepts,
    recalibration_slopes,
)
from fastmm.validate.resampling import Estimate, bootstrap, coverage

__all__ = ["Reliability", "ReliabilityBin", "bootstrap_brier", "measure_reliability"]

_ROWS_A_BIN, _FEWEST, _MOST = 10, 2, 10


class ReliabilityBin(NamedTuple):
    """Rows of like probabilities, and how many of them were positive.

    Parameters
    ----------
    predicted : float
        Mean probability.
    observed : float
        Share of positive rows.
    low, high : float
        Wilson's interval of that share, for as many trials as there are groups in the bin.
    n, groups : int
        Rows and groups (patients).
    """

    predicted: float
    observed: float
    low: float
    high: float
    n: int
    groups: int


class Reliability(NamedTuple):
    """How predicted probabilities agree with what was observed.

    Parameters
    ----------
    bins : list of ReliabilityBin
        The calibration curve.
    brier : Estimate
        Mean squared error of the probability.
    brier_guess : float
        That of the class frequency, predicted for every row.
    slope, intercept : Estimate
        Slope of the logistic curve that would mend the probabilities (1 is perfect, less
        than 1 too extreme), and the shift of their logits that would (0 is perfect, above 0
        too low).
    """

    bins: list[ReliabilityBin]
    brier: Estimate
    brier_guess: float
    slope: Estimate
    intercept: Estimate


def measure_reliability(
    y: Any,
    probability: Any,
    groups: Any = None,
    *,
    n_bins: int | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Reliability:
    r"""Measure the calibration of predicted probabilities.

    The slope b and the intercept a are those of

    .. math:: \mathrm{logit}\, P(y = 1) = a' + b\, \mathrm{logit}\, p, \qquad
              \mathrm{logit}\, P(y = 1) = a + \mathrm{logit}\, p .

    Parameters
    ----------
    y : array of shape (n,)
        Two labels, of any dtype; the larger one is positive.
    probability : array of shape (n,)
        Predicted probability of the positive label, from 0 to 1.
    groups : array of shape (n,), optional
        Group (patient) of each row, drawn as a whole. Default: every row is a group.
    n_bins : int, optional
        Bins of the curve, quantiles of the probabilities. Default: 10, and fewer where
        they would hold less than 10 rows. Bins that stay empty are left out.
    n_resamples, confidence, seed
        As for `bootstrap_auc`.

    Returns
    -------
    Reliability
        Curve, Brier score, slope and intercept.

    Raises
    ------
    ValueError
        If `y` has not two labels, shapes do not fit, a probability lies outside 0 to 1, or
        there are fewer than two groups.

    Notes
    -----
    The slope is infinite where probabilities of the classes do not overlap, and NaN where all
    are the same. Probabilities
    of 0 and 1 are taken for 1e-9 and 1 - 1e-9 where a logit is needed.

    References
    ----------
    .. [1] Van Calster, B., et al. (2019). Calibration: the Achilles heel of predictive
       analytics. BMC Medicine, 17, 230. https://doi.org/10.1186/s12916-019-1466-7
    .. [2] Wilson, E. B. (1927). Probable inference, the law of succession, and statistical
       inference. JASA, 22(158), 209-212. https://doi.org/10.1080/01621459.1927.10502953

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm.validate.reliability import measure_reliability
    >>> y, probability = np.arange(40) % 2, np.where(np.arange(40) % 4, 0.6, 0.2)
    >>> found = measure_reliability(y, probability)
    >>> [(round(b.predicted, 3), round(b.observed, 3), b.n) for b in found.bins]
    [(0.2, 0.0, 10), (0.6, 0.667, 30)]
    """
    confidence = coverage(confidence)
    positive, chance = one_against_rest(y, probability, "probability")
    if len(positive) > 1:
        raise ValueError("`y` must hold 2 labels; compare one class with the rest, `y == label`.")
    truth, chance = positive[0, 0], chance[0, 0].astype(np.float64)
    _refuse_beyond(chance)
    n = truth.size
    bins = min(max(n // _ROWS_A_BIN, _FEWEST), _MOST) if n_bins is None else n_bins
    codes = np.arange(n) if groups is None else encode_groups(groups, n)
    wrong, logits, share = (chance - truth) ** 2, logits_of(chance), float(truth.mean())
    how: dict[str, Any] = {"n_resamples": n_resamples, "confidence": confidence, "seed": seed}
    return Reliability(
        _curve(truth, chance, codes, integer(bins, "n_bins"), confidence),
        bootstrap(lambda times: times @ wrong / times.sum(axis=1), n, codes, **how),
        share * (1 - share),
        _slope(truth, logits, codes, how),
        bootstrap(lambda times: recalibration_intercepts(truth, logits, times), n, codes, **how),
    )


def bootstrap_brier(
    y: Any,
    probability: Any,
    groups: Any = None,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    r"""Estimate the Brier score of any number of classes, with a bootstrap interval.

    .. math:: \frac1n \sum_i \sum_k \left( p_{ik} - [y_i = k] \right)^2

    which for two classes is halved, as the mean squared error of one probability.

    Parameters
    ----------
    y : array of shape (n,)
        Labels.
    probability : array of shape (n, classes)
        Probabilities, one column for each class in the order of the sorted labels.
    groups, n_resamples, confidence, seed
        As for `bootstrap_auc`.

    Returns
    -------
    Estimate
        The score and its interval; 0 is perfect.

    Examples
    --------
    >>> from fastmm.validate.reliability import bootstrap_brier
    >>> bootstrap_brier([0, 1], [[0.8, 0.2], [0.4, 0.6]]).value
    0.1
    """
    truth, chances = np.asarray(y), np.asarray(probability, np.float64)
    classes = np.unique(truth)
    if chances.shape != (truth.size, classes.size):
        raise ValueError(
            f"`probability` must have shape {(truth.size, classes.size)}, got {chances.shape}."
        )
    _refuse_beyond(chances)
    wrong = ((chances - (truth[:, None] == classes)) ** 2).sum(axis=1)
    wrong /= 2 if classes.size == 2 else 1
    return bootstrap(
        lambda times: times @ wrong / times.sum(axis=1),
        truth.size,
        groups,
        n_resamples=n_resamples,
        confidence=confidence,
        seed=seed,
    )


def _slope(truth: Any, logits: Any, codes: Any, how: dict[str, Any]) -> Estimate:
    if np.ptp(logits) == 0:  # one probability for all: any slope would do
        return Estimate(np.nan, np.nan, np.nan)
    return bootstrap(
        lambda times: recalibration_slopes(truth, logits, times), truth.size, codes, **how
    )


def _refuse_beyond(chances: np.ndarray[Any, Any]) -> None:
    if not ((chances >= 0) & (chances <= 1)).all():
        raise ValueError("`probability` must lie between 0 and 1.")


def _curve(
    truth: Any, chance: Any, codes: Any, n_bins: int, confidence: float
) -> list[ReliabilityBin]:
    edges = np.percentile(chance, np.linspace(0, 100, n_bins + 1)[1:-1])
    place = np.searchsorted(edges, chance)
    bins = []
    for at in np.unique(place):
        rows = place == at
        own, groups = float(truth[rows].mean()), np.unique(codes[rows]).size
        low, high = _wilson(own, groups, confidence)
        bins.append(
            ReliabilityBin(float(chance[rows].mean()), own, low, high, int(rows.sum()), groups)
        )
    return bins


def _wilson(share: float, trials: int, confidence: float) -> tuple[float, float]:
    from scipy.special import ndtri

    z = float(ndtri(0.5 + confidence / 2))
    base = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / base
    reach = z / base * float(np.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2))
    return max(0.0, centre - reach), min(1.0, centre + reach)
