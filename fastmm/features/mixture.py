"""Mixtures of Gaussians with diagonal covariances: fitted, and how rows deviate from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixture", "deviations", "fit_mixture", "posteriors"]

_FLOOR = 0.05  # of the variance of all rows, below which that of no component falls
_ROWS = 8192


class Mixture(NamedTuple):
    """Weights (k,), means (k, d) and variances (k, d) of the components."""

    weights: Any
    means: Any
    variances: Any


def fit_mixture(rows: NDArray[Any], count: int, rounds: int, rng: np.random.Generator) -> Mixture:
    """Fit by `rounds` of k-means from rows far apart, then as many of expectation-maximisation."""
    rows = np.asarray(rows, np.float64)
    spread = rows.var(0)
    spread = np.maximum(spread, max(1e-12, 1e-9 * float(spread.max(initial=0.0))))
    means = _spread_out(rows, count, rng)
    ones = np.broadcast_to(spread.mean(), means.shape)
    for _ in range(rounds):
        # With one narrow variance for all, the nearest component has all of a row.
        shares = posteriors(np, rows, Mixture(np.ones(count) / count, means, ones * 1e-6))
        total = shares.sum(0)[:, None]
        means = np.where(total > 0.5, shares.T @ rows / np.maximum(total, 0.5), means)
    total = posteriors(np, rows, Mixture(np.ones(count) / count, means, ones * 1e-6)).sum(0)
    mixture = Mixture((total + 1) / (total + 1).sum(), means, np.tile(spread, (count, 1)))
    for _ in range(rounds):
        mixture = _step(rows, mixture, _FLOOR * spread)
    return Mixture(*(part.astype(np.float32) for part in mixture))


def _spread_out(rows: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Draw rows, each with odds by its squared distance to those before (k-means++)."""
    chosen = [int(rng.integers(len(rows)))]
    nearest = ((rows - rows[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count:
        total = nearest.cumsum()
        place = np.searchsorted(total, rng.random() * total[-1], side="right")
        chosen.append(min(int(place), len(rows) - 1))
        np.minimum(nearest, ((rows - rows[chosen[-1]]) ** 2).sum(1), out=nearest)
    return rows[chosen]


def _step(rows: NDArray[Any], mixture: Mixture, floor: NDArray[Any]) -> Mixture:
    """Take one step of expectation-maximisation."""
    count, size = mixture.means.shape
    sums = np.zeros(count), np.zeros((count, size)), np.zeros((count, size))
    for begin in range(0, len(rows), _ROWS):
        part = rows[begin : begin + _ROWS]
        shares = posteriors(np, part, mixture)
        for total, more in zip(
            sums, (shares.sum(0), shares.T @ part, shares.T @ part**2), strict=True
        ):
            total += more
    total = sums[0][:, None] + 1e-6
    # A component without rows keeps its place.
    means = np.where(sums[0][:, None] > 1e-3, sums[1] / total, mixture.means)
    variances = np.where(sums[0][:, None] > 1e-3, sums[2] / total - means**2, mixture.variances)
    return Mixture(total[:, 0] / total.sum(), means, np.maximum(variances, floor))


def posteriors(xp: Any, rows: Any, mixture: Mixture) -> Any:
    """Return the share of each component in rows (..., d), (..., k)."""
    weights, means, variances = mixture
    inverse = 1 / variances
    level = xp.log(weights) - (xp.log(variances) + means * means * inverse).sum(1) / 2
    shares = rows @ (means * inverse).T
    shares -= (rows * rows) @ (inverse / 2).T
    shares += level
    shares -= shares.max(-1, keepdims=True)
    xp.exp(shares, out=shares)
    shares /= shares.sum(-1, keepdims=True)
    return shares


def deviations(xp: Any, rows: Any, mixture: Mixture) -> Any:
    """Return the Fisher vectors of sets of rows (n, m, d), as (n, 2, k, d)."""
    weights, means, variances = mixture
    shares = posteriors(xp, rows, mixture)
    turned = shares.swapaxes(-1, -2)
    count = np.float32(rows.shape[-2])
    total = shares.sum(-2)[..., None]
    first, second = turned @ rows, turned @ (rows * rows)
    scale = xp.sqrt(weights)[:, None] * count
    shift = (first - total * means) / (xp.sqrt(variances) * scale)
    centred = second - 2 * means * first + total * means * means
    stretch = (centred / variances - total) / (np.float32(2**0.5) * scale)
    return xp.stack([shift, stretch], 1)
