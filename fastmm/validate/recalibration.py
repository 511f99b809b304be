"""The logistic curve that would mend probabilities, for many weights of the rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["logits_of", "recalibration_intercepts", "recalibration_slopes"]

_LEAST = 1e-9  # probabilities of 0 and 1 have no logit
_STEPS, _HALVINGS, _DONE = 60, 25, 1e-12
_FARTHEST = 3.0  # of one step: at saturated probabilities Newton's leaps too far


def logits_of(probability: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the logits of probabilities, which are kept 1e-9 off 0 and 1."""
    kept = np.clip(probability, _LEAST, 1 - _LEAST)
    logits: np.ndarray[Any, Any] = np.log(kept) - np.log1p(-kept)
    return logits


def recalibration_slopes(
    positive: np.ndarray[Any, Any], logits: np.ndarray[Any, Any], times: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return the slopes b of logit P(y = 1) = a + b logit(p) that fit best, (resamples,).

    Parameters
    ----------
    positive : array of shape (n,), bool
        Which rows are positive.
    logits : array of shape (n,)
        Logits of the probabilities.
    times : array of shape (resamples, n)
        Weights of the rows.

    Returns
    -------
    array of shape (resamples,)
        Slopes; infinite where the classes do not overlap, NaN where one is absent or all
        logits are the same.

    Examples
    --------
    >>> logits = np.array([-1.0, 0.0, 1.0, -1.0, 0.0, 1.0])
    >>> truth = np.array([False, False, True, False, True, True])
    >>> recalibration_slopes(truth, logits, np.ones((1, 6), int)) > 1
    array([ True])
    """
    slopes = np.full(len(times), np.nan)
    there = times > 0
    big = np.inf
    top = [np.where(there & rows, logits, -big).max(axis=1) for rows in (positive, ~positive)]
    low = [np.where(there & rows, logits, big).min(axis=1) for rows in (positive, ~positive)]
    both = np.isfinite(top[0]) & np.isfinite(top[1])
    spread = both & (np.maximum(*top) > np.minimum(*low))
    slopes[spread & (low[0] >= top[1])] = big
    slopes[spread & (low[1] >= top[0])] = -big
    usual = np.flatnonzero(spread & np.isnan(slopes))
    if usual.size:
        size = max(float(logits.std()), 1e-12)
        scaled = (logits - logits.mean()) / size
        slopes[usual] = _newton(positive, scaled, times[usual].astype(np.float64)) / size
    return slopes


def recalibration_intercepts(
    positive: np.ndarray[Any, Any], logits: np.ndarray[Any, Any], times: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return the shifts a of logit P(y = 1) = a + logit(p) that fit best, (resamples,).

    Parameters are those of `recalibration_slopes`; NaN where a class is absent.

    Examples
    --------
    >>> recalibration_intercepts(np.array([True, False]), np.zeros(2), np.ones((1, 2)))
    array([0.])
    """
    weight = times.astype(np.float64)
    won, total = weight @ positive, weight.sum(axis=1)
    shifts = np.zeros(len(times))
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            chance = _logistic(shifts[:, None] + logits)
            gap = won - (weight * chance).sum(axis=1)
            step = gap / (weight * chance * (1 - chance)).sum(axis=1)
            shifts += np.clip(np.nan_to_num(step), -_FARTHEST, _FARTHEST)
            if np.abs(gap).max() <= _DONE * max(total.max(), 1.0):
                break
    return np.where((won > 0) & (won < total), shifts, np.nan)


def _newton(positive: Any, scaled: Any, weight: Any) -> Any:
    """Minimise the loss of offset and slope, with steps that are halved until it falls."""
    at = np.zeros((len(weight), 2))
    value = _loss(positive, scaled, weight, at)
    left = np.arange(len(weight))
    for _ in range(_STEPS):
        step, gain = _step(positive, scaled, weight[left], at[left])
        moving = gain > _DONE * (1 + value[left])
        left, step = left[moving], step[moving]
        if not left.size:
            break
        length = np.ones((left.size, 1))
        for _ in range(_HALVINGS):
            new = at[left] + length * step
            reached = _loss(positive, scaled, weight[left], new)
            poor = reached > value[left]
            if not poor.any():
                break
            length[poor] /= 2
        at[left], value[left] = (
            np.where(poor[:, None], at[left], new),
            np.fmin(value[left], reached),
        )
        left = left[~poor]  # of those, the rest is rounding
    return at[:, 1]


def _step(positive: Any, scaled: Any, weight: Any, at: Any) -> tuple[Any, Any]:
    """Return Newton's steps, (resamples, 2), and by how much they would lower the loss."""
    chance = _logistic(at[:, :1] + at[:, 1:] * scaled)
    miss = weight * (positive - chance)
    curve = weight * chance * (1 - chance)
    slope = np.stack([miss.sum(axis=1), miss @ scaled], axis=1)
    a, b, c = curve.sum(axis=1), curve @ scaled, curve @ scaled**2
    area = np.maximum(a * c - b * b, 1e-300)
    step = np.stack([c * slope[:, 0] - b * slope[:, 1], a * slope[:, 1] - b * slope[:, 0]], 1)
    step /= area[:, None]
    step *= np.minimum(1.0, _FARTHEST / np.maximum(abs(step).max(axis=1), 1e-300))[:, None]
    return step, (slope * step).sum(axis=1)


def _loss(positive: Any, scaled: Any, weight: Any, at: Any) -> Any:
    eta = at[:, :1] + at[:, 1:] * scaled
    size = abs(eta)  # as logaddexp(0, eta), at half its price
    return (weight * (np.log1p(np.exp(-size)) + (size + eta) / 2 - positive * eta)).sum(axis=1)


def _logistic(eta: Any) -> Any:
    return 0.5 + 0.5 * np.tanh(0.5 * eta)
