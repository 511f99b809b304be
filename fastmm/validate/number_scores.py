"""How well numbers are predicted, with intervals over patients."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import finite, real
from fastmm.solve._inputs import host
from fastmm.validate.resampling import Estimate, bootstrap

__all__ = ["bootstrap_error", "bootstrap_error_difference", "bootstrap_r2"]


def bootstrap_r2(
    y: Any,
    prediction: Any,
    groups: Any = None,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    r"""Estimate the coefficient of determination with a bootstrap interval over groups.

    .. math:: R^2 = 1 - \frac{\sum_i c_i (y_i - \hat y_i)^2}{\sum_i c_i (y_i - \bar y)^2}

    with c how often each row was drawn, and the mean of the rows that were. Of left-out
    predictions it is below 0 where the mean would have done better.

    Parameters
    ----------
    y, prediction : arrays of shape (n,)
        Numbers, and what was predicted.
    groups : array of shape (n,), optional
        Group (patient) of each row. Default: every row is a group.
    n_resamples, confidence, seed
        As for :func:`fastmm.validate.resampling.bootstrap`.

    Returns
    -------
    Estimate
        The value in the data, and the ends of the interval.

    Raises
    ------
    ValueError
        If values are not finite, shapes differ, or `y` is constant.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm.validate.number_scores import bootstrap_r2
    >>> y = np.arange(10.0)
    >>> bootstrap_r2(y, y)
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    y, prediction = _taken(y, prediction)
    if np.ptp(y) == 0:
        raise ValueError(f"`y` must hold different numbers for R2, got only {y[0]}.")
    square = (y - prediction) ** 2
    centred = y - y.mean()

    def statistic(times: Any) -> Any:
        count = times.sum(axis=1)
        spread = times @ centred**2 - (times @ centred) ** 2 / count
        # Of a resample of one value R2 has none.
        known = spread > 1e-12 * count * centred.var()
        return np.where(known, 1 - (times @ square) / np.where(known, spread, 1.0), np.nan)

    how: dict[str, Any] = {"n_resamples": n_resamples, "confidence": confidence, "seed": seed}
    return bootstrap(statistic, len(y), groups, **how)


def bootstrap_error(
    y: Any,
    prediction: Any,
    groups: Any = None,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    r"""Estimate the mean absolute error with a bootstrap interval over groups.

    .. math:: \frac{\sum_i c_i |y_i - \hat y_i|}{\sum_i c_i}

    Parameters
    ----------
    y, prediction : arrays of shape (n,)
        Numbers, and what was predicted.
    groups : array of shape (n,), optional
        Group (patient) of each row. Default: every row is a group.
    n_resamples, confidence, seed
        As for :func:`fastmm.validate.resampling.bootstrap`.

    Returns
    -------
    Estimate
        In the unit of `y`.

    Raises
    ------
    ValueError
        If values are not finite or shapes differ.

    Examples
    --------
    >>> from fastmm.validate.number_scores import bootstrap_error
    >>> bootstrap_error([1.0, 2.0, 3.0], [2.0, 3.0, 2.0])
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    y, prediction = _taken(y, prediction)
    return _mean(abs(y - prediction), groups, n_resamples, confidence, seed)


def bootstrap_error_difference(
    y: Any,
    prediction: Any,
    other: Any,
    groups: Any = None,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    r"""Compare the mean absolute errors of two predictions of the same rows, drawn together.

    Parameters
    ----------
    y, prediction, other : arrays of shape (n,)
        Numbers, and what two models predicted.
    groups : array of shape (n,), optional
        Group (patient) of each row. Default: every row is a group.
    n_resamples, confidence, seed
        As for :func:`fastmm.validate.resampling.bootstrap`.

    Returns
    -------
    Estimate
        The error of `prediction` less that of `other`: below 0 where it is better.

    Raises
    ------
    ValueError
        If values are not finite or shapes differ.

    Examples
    --------
    >>> from fastmm.validate.number_scores import bootstrap_error_difference
    >>> bootstrap_error_difference([1.0, 2.0], [1.5, 2.5], [2.0, 3.0])
    Estimate(value=-0.5, low=-0.5, high=-0.5)
    """
    y, prediction = _taken(y, prediction)
    _, other = _taken(y, other)
    worse = abs(y - prediction) - abs(y - other)
    return _mean(worse, groups, n_resamples, confidence, seed)


def _mean(values: Any, groups: Any, n_resamples: int, confidence: float, seed: int) -> Estimate:
    how: dict[str, Any] = {"n_resamples": n_resamples, "confidence": confidence, "seed": seed}
    return bootstrap(lambda times: times @ values / times.sum(axis=1), len(values), groups, **how)


def _taken(y: Any, prediction: Any) -> tuple[Any, Any]:
    found = []
    for name, values in (("y", y), ("prediction", prediction)):
        own = np.asarray(host(values, name))
        real(own, name)
        finite(own, name, np)
        found.append(own.astype(np.float64))
    if found[0].ndim != 1 or found[0].shape != found[1].shape:
        raise ValueError(
            f"`y` and `prediction` must be of one shape (n,), got {found[0].shape} and "
            f"{found[1].shape}."
        )
    return found[0], found[1]
