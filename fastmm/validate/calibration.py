"""Turn scores into probabilities that rise with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

__all__ = ["calibrated", "fit_calibration"]

# A prior on the slope so weak that it only keeps it finite where classes separate.
_PENALTY = 0.005


def fit_calibration(decision: Any, codes: Any) -> tuple[float, np.ndarray[Any, Any]]:
    r"""Fit one slope and one offset for each class by maximum likelihood.

    .. math:: P(k \mid s) \propto \exp(a\, s_k + b_k), \qquad a \ge 0

    with :math:`s = (0, f)` for two classes, which is Platt's logistic curve. The slope
    cannot be negative: scores without any signal give the class frequencies, never the
    opposite of what the model says.

    Parameters
    ----------
    decision : array of shape (n,) or (n, classes)
        Scores of rows the model has not seen.
    codes : array of shape (n,)
        Class of each row, from 0.

    Returns
    -------
    slope, offsets : float, array of shape (classes,)
        What `calibrated` takes.

    References
    ----------
    Platt, J. (1999). Probabilistic outputs for support vector machines. In Advances in
    Large Margin Classifiers, 61-74.

    Examples
    --------
    >>> from fastmm.validate.calibration import fit_calibration
    >>> slope, _ = fit_calibration([-2.0, -1.0, 1.0, -1.0, 1.0, 2.0], [0, 0, 0, 1, 1, 1])
    >>> slope > 0
    True
    """
    scores, codes = _columns(decision), np.asarray(codes)
    truth = np.eye(scores.shape[1])[codes]

    def loss(parameters: Any) -> tuple[float, Any]:
        slope, offsets = parameters[0], np.concatenate([[0.0], parameters[1:]])
        logits = slope * scores + offsets
        excess = softmax(logits, axis=1) - truth
        value = -(truth * log_softmax(logits, axis=1)).sum() + _PENALTY * slope**2
        return float(value), np.concatenate(
            [[(excess * scores).sum() + 2 * _PENALTY * slope], excess[:, 1:].sum(axis=0)]
        )

    counts = truth.sum(axis=0)
    start = np.concatenate([[1.0], np.log(counts[1:] / counts[0])])
    bounds = [(0.0, None)] + [(None, None)] * (len(start) - 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), np.concatenate([[0.0], found[1:]])


def calibrated(decision: Any, slope: float, offsets: Any) -> np.ndarray[Any, Any]:
    """Return the probability of each class, shape (n, classes).

    Parameters
    ----------
    decision : array of shape (n,) or (n, classes)
        Scores.
    slope, offsets : float, array of shape (classes,)
        From `fit_calibration`.

    Returns
    -------
    array of shape (n, classes)
        Rows sum to 1.

    Examples
    --------
    >>> from fastmm.validate.calibration import calibrated
    >>> calibrated([0.0], 2.0, [0.0, 0.0])
    array([[0.5, 0.5]])
    """
    return np.asarray(softmax(slope * _columns(decision) + np.asarray(offsets), axis=1))


def _columns(decision: Any) -> np.ndarray[Any, Any]:
    scores = np.asarray(decision, np.float64)
    return np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores
