"""Turn scores into probabilities that rise with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmm._check import finite, one_of
from fastmm.solve._inputs import host

__all__ = ["calibrated", "fit_calibration"]

# A prior on the slope so weak that it only keeps it finite where classes separate.
_PENALTY = 0.005
_STEPS = 100  # far more than Newton's method needs
_DONE = 1e-14  # share of the loss that another step could still gain


def fit_calibration(
    decision: Any, codes: Any, *, method: str = "platt", sample_weight: Any = None
) -> tuple[float, np.ndarray[Any, Any]]:
    r"""Fit one slope, and one offset for each class, by maximum likelihood.

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
    method : {"platt", "temperature"}, default "platt"
        "temperature" has no offsets: it sharpens or flattens, and the class with the
        largest score stays the most probable one.
    sample_weight : array of shape (n,), optional
        Weights, not negative. Default: 1.

    Returns
    -------
    slope, offsets : float, array of shape (classes,)
        What `calibrated` takes. The first offset is 0.

    Raises
    ------
    ValueError
        If shapes do not fit, a score is not finite, or a class has no rows with weight.

    Notes
    -----
    The loss, with 0.005 a^2 added to it, is convex. Where its derivative along the slope is
    not negative at slope 0, that is the minimum; else the bound plays no part, and Newton
    steps, halved while they do not lower the loss, reach the minimum to rounding: about 8 of
    O(n classes^2) each. Labels are not smoothed, as they are in [1]_.

    References
    ----------
    .. [1] Platt, J. (1999). Probabilistic outputs for support vector machines. In Advances
       in Large Margin Classifiers, 61-74.
    .. [2] Guo, C., Pleiss, G., Sun, Y., & Weinberger, K. Q. (2017). On calibration of modern
       neural networks. ICML, 1321-1330. https://doi.org/10.48550/arXiv.1706.04599

    Examples
    --------
    >>> from fastmm.validate.calibration import fit_calibration
    >>> slope, _ = fit_calibration([-2.0, -1.0, 1.0, -1.0, 1.0, 2.0], [0, 0, 0, 1, 1, 1])
    >>> slope > 0
    True
    """
    one_of(method, "method", ("platt", "temperature"))
    scores, codes = _columns(decision), host(codes, "codes")
    n, classes = scores.shape
    weight = np.ones(n) if sample_weight is None else host(sample_weight, "sample_weight")
    if codes.shape != (n,) or weight.shape != (n,):
        raise ValueError(
            f"`codes` and `sample_weight` must have shape ({n},), one for each score, "
            f"got {codes.shape} and {weight.shape}."
        )
    total = np.bincount(codes, weights=weight, minlength=classes)
    if total.size > classes or not (total > 0).all():
        raise ValueError(
            f"`codes` must hold each of the {classes} classes, got weights {total.tolist()}."
        )
    size = float(abs(scores).max())
    if size == 0:
        size = 1.0
    # In scores of size 1; the prior is on the slope in the user's scores.
    loss = _Loss(scores / size, codes, weight, _PENALTY / size**2, method == "platt")
    start = np.zeros(classes)
    if method == "platt":
        start[1:] = np.log(total[1:] / total[0])
    found = _minimum(loss, start)
    return float(found[0]) / size, np.concatenate([[0.0], found[1:]])


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
    probability: np.ndarray[Any, Any]
    probability, _ = _softmax(slope * _columns(decision) + np.asarray(offsets))
    return probability


class _Loss:
    """The negative log-likelihood of (slope, offsets but the first), with its derivatives."""

    def __init__(
        self, scores: Any, codes: Any, weight: Any, penalty: float, with_offsets: bool
    ) -> None:
        self.scores, self.codes, self.weight = scores, codes, weight
        self.penalty, self.with_offsets = penalty, with_offsets
        self.truth = codes[:, None] == np.arange(scores.shape[1])
        self.own = np.arange(codes.size), codes

    def value(self, at: Any) -> float:
        return self._at(at)[1]

    def derivatives(self, at: Any) -> tuple[float, Any, Any]:
        """Return the loss, its gradient and its Hessian; offsets that are fixed stay."""
        probability, value = self._at(at)
        excess = self.weight[:, None] * (probability - self.truth)
        weighted = self.weight[:, None] * probability
        slope = (excess * self.scores).sum() + 2 * self.penalty * at[0]
        gradient = np.concatenate([[slope], excess[:, 1:].sum(axis=0)])
        mean = (probability * self.scores).sum(axis=1, keepdims=True)
        spread = weighted * (self.scores - mean)
        hessian = np.diag(np.concatenate([[0.0], weighted[:, 1:].sum(axis=0)]))
        hessian[1:, 1:] -= weighted[:, 1:].T @ probability[:, 1:]
        hessian[0, 1:] = hessian[1:, 0] = spread[:, 1:].sum(axis=0)
        hessian[0, 0] = (spread * self.scores).sum() + 2 * self.penalty
        if not self.with_offsets:
            gradient[1:], hessian = 0.0, np.diag([hessian[0, 0], *np.ones(at.size - 1)])
        return value, gradient, hessian

    def _at(self, at: Any) -> tuple[Any, float]:
        logits = at[0] * self.scores
        logits[:, 1:] += at[1:]
        probability, largest = _softmax(logits)
        loss = largest - logits[self.own]
        return probability, float(self.weight @ loss + self.penalty * at[0] ** 2)


def _minimum(loss: _Loss, start: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    at = start
    value, gradient, hessian = loss.derivatives(at)
    if gradient[0] >= 0:  # at slope 0 the offsets are those of the class frequencies
        return at
    for _ in range(_STEPS):
        hessian[np.diag_indices_from(hessian)] += 1e-12 * hessian.trace()
        step = np.linalg.solve(hessian, -gradient)
        gain = -float(gradient @ step)
        if gain <= _DONE * value:
            break
        at, length = _lower(loss.value, at, step, value, gain)
        if length == 0:
            break
        value, gradient, hessian = loss.derivatives(at)
    at[0] = max(at[0], 0.0)
    return at


def _lower(
    value_at: Callable[[Any], float], at: Any, step: Any, value: float, gain: float
) -> tuple[Any, float]:
    """Halve the step until it lowers the loss as it should; a length of 0 says it cannot."""
    length = 1.0
    while length > 1e-10:
        if value_at(at + length * step) <= value - 1e-4 * length * gain:
            return at + length * step, length
        length /= 2
    return at, 0.0


def _softmax(logits: Any) -> tuple[Any, Any]:
    """Return probabilities, and the logarithm of the sum of exponentials of each row."""
    largest = logits.max(axis=1, keepdims=True)
    power = np.exp(logits - largest)
    total = power.sum(axis=1, keepdims=True)
    power /= total
    return power, (largest + np.log(total))[:, 0]


def _columns(decision: Any) -> np.ndarray[Any, Any]:
    scores = host(decision, "decision").astype(np.float64)
    finite(scores, "decision", np)
    if scores.ndim not in (1, 2) or 0 in scores.shape:
        raise ValueError(f"`decision` must have shape (n,) or (n, classes), got {scores.shape}.")
    return np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores
