"""Draws of whole patients, and the intervals they give to any weighted statistic."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import integer, number
from fastmm.solve.group_names import encode_groups

__all__ = ["Estimate", "bootstrap", "clusters", "coverage", "draws", "percentiles"]

_CHUNK = 1 << 21  # elements of work space at once: 16 MB an array


class Estimate(NamedTuple):
    """A statistic of the data with its bootstrap interval.

    Parameters
    ----------
    value : float
        The statistic.
    low, high : float
        Ends of the interval; infinite where the statistic has no bound.
    """

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[[np.ndarray[Any, Any]], Any],
    n: int,
    groups: Any = None,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Estimate a statistic of weighted rows with a bootstrap interval over groups.

    Groups (patients) are drawn with replacement, all rows of one together. The ends are
    percentiles of the statistic over the draws.

    Parameters
    ----------
    statistic : callable
        Takes how often each row was drawn, (resamples, n) integers, and returns one value
        for each resample, NaN where it has none.
    n : int
        Number of rows.
    groups : array of shape (n,), optional
        Group of each row. Default: every row is a group.
    n_resamples : int, default 2000
        Number of bootstrap resamples. The same seed draws the same groups for every
        statistic.
    confidence : float, default 0.95
        Coverage of the interval, between 0 and 1.
    seed : int, default 0
        Seed of the draws.

    Returns
    -------
    Estimate
        The value in the data, and the ends of the interval.

    Raises
    ------
    ValueError
        If there are fewer than two groups, or no resample has a value.

    Warns
    -----
    UserWarning
        If resamples had no value; they are dropped, and the message counts them.

    References
    ----------
    .. [1] Efron, B., & Tibshirani, R. J. (1993). An Introduction to the Bootstrap.
       https://doi.org/10.1201/9780429246593

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm.validate.resampling import bootstrap
    >>> values = np.arange(20.0)
    >>> mean = bootstrap(lambda times: times @ values / times.sum(axis=1), 20)
    >>> mean.value, mean.low < 9.5 < mean.high
    (9.5, True)
    """
    n_resamples = integer(n_resamples, "n_resamples")
    seed = integer(seed, "seed", minimum=0)
    confidence = coverage(confidence)
    codes = clusters(groups, n)
    value = float(statistic(np.ones((1, n), np.int64))[0])
    found = np.concatenate([statistic(times) for times in draws(codes, n_resamples, seed)])
    return Estimate(value, *percentiles(found, confidence))


def draws(
    codes: np.ndarray[Any, Any], n_resamples: int, seed: int, *, width: int | None = None
) -> Iterator[np.ndarray[Any, Any]]:
    """Yield how often each row was drawn, (some resamples, n), in pieces that fit the cache.

    What is drawn depends on the seed alone; `width` is the work space of one resample.
    """
    count = int(codes.max()) + 1
    rng, step = np.random.default_rng(seed), max(1, _CHUNK // max(width or codes.size, count))
    for start in range(0, n_resamples, step):
        some = min(step, n_resamples - start)
        drawn = rng.integers(0, count, (some, count)) + count * np.arange(some)[:, None]
        times = np.bincount(drawn.ravel(), minlength=some * count).reshape(some, count)
        yield times[:, codes]


def coverage(confidence: Any) -> float:
    """Return the checked coverage of an interval."""
    share = number(confidence, "confidence", above=0)
    if share >= 1:
        raise ValueError(f"`confidence` must be less than 1, got {share!r}.")
    return share


def percentiles(
    found: np.ndarray[Any, Any], confidence: float, *, stacklevel: int = 3
) -> tuple[float, float]:
    """Return the ends of the middle share of the resampled values; NaN lacked a class."""
    kept = found[~np.isnan(found)]
    if kept.size == 0:
        raise ValueError("All resamples lacked a class: too few groups hold each class.")
    if kept.size < found.size:
        warnings.warn(
            f"{found.size - kept.size} of {found.size} resamples lacked a class and were "
            "dropped; the interval leans on the others.",
            stacklevel=stacklevel,
        )
    tail = (1 - confidence) / 2
    if np.isinf(kept).any():  # between a number and infinity there is no middle
        ranked = np.sort(kept)
        last = kept.size - 1
        return float(ranked[int(tail * last)]), float(ranked[-1 - int(tail * last)])
    low, high = np.quantile(kept, [tail, 1 - tail])
    return float(low), float(high)


def clusters(groups: Any, n: int) -> np.ndarray[Any, Any]:
    """Return the number of the group of each row; there must be two of them."""
    codes = np.arange(n) if groups is None else encode_groups(groups, n)
    if codes.max() < 1:
        raise ValueError("The bootstrap needs at least 2 groups, got 1.")
    return codes
