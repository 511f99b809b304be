r"""Weigh modalities by what each tells alone of patients that are left out.

A kernel that explains the share h of the variance of the targets goes with the penalty
:math:`\alpha = c\,(1 - h)/h`, c the variance of the kernel. How probable each share of a
modality is follows from the left-out loss at that penalty,

.. math:: p(h \mid y) \propto p(h)\, L_m(h)^{-G/2},

with G patients, over the rows that have the modality; at :math:`h = 0`, L is the loss of
the mean alone. Of the prior, one half lies there, on a modality that tells nothing, and the
other is uniform between 0 and 1. Weights follow the posterior means,

.. math:: w_m \propto \mathrm E(h_m \mid y).

What surely tells nothing is all but left out; what too few patients have to judge by keeps the
share that it may have, so that all weigh much the same where nothing is known.

References
----------
Mitchell and Beauchamp, Bayesian variable selection in linear regression, J. Am. Stat. Assoc.
83, 1988, doi:10.1080/01621459.1988.10478694 (half of the prior on nothing).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.fused_kernels import FusedKernel
from fastmm.left_out_loss import left_out_path
from fastmm.solve.grouped import Folds, make_folds

__all__ = ["expected_share", "skill_weights"]

_LEAST = 0.01  # of the largest weight: what tells nothing is all but left out, and no weight is 0
# Squares of midpoints: with weights that rise as their roots, a rule for the uniform density
# that is fine near 0, where the shares of large cohorts are told apart.
_ROOTS = (np.arange(12) + 0.5) / 12
_SHARES = _ROOTS**2


def skill_weights(kernel: FusedKernel, targets: Any, root: Any, folds: Folds) -> dict[str, float]:
    """Return weights of mean 1 that follow the expected share of each modality alone.

    Parameters
    ----------
    kernel : FusedKernel
        Of the training rows.
    targets : array of shape (n, t)
        Targets.
    root : array of shape (n,)
        Roots of the weights of rows.
    folds : Folds
        What is left out together.
    """
    shares = np.array([_share(kernel, name, targets, root, folds) for name in kernel.names])
    weights = np.maximum(shares, _LEAST * shares.max()) if shares.max() > 0 else shares + 1
    return dict(zip(kernel.names, (weights / weights.mean()).tolist(), strict=True))


def expected_share(null: float, losses: Any, groups: int) -> float:
    """Return the posterior mean of the share, from left-out losses without and with the kernel.

    Parameters
    ----------
    null : float
        Loss of the mean alone, positive.
    losses : array of shape (12,)
        Losses at the shares ((k + 1/2) / 12)^2; what is not finite counts as impossible.
    groups : int
        How many patients are left out in turn.
    """
    losses = np.where(np.isfinite(losses), losses, np.inf)
    gain = -0.5 * groups * np.log(np.maximum(losses / null, 1e-300))
    top = max(float(gain.max()), 0.0)
    told = _ROOTS / _ROOTS.sum() * np.exp(gain - top)
    return float(told @ _SHARES / (told.sum() + np.exp(-top)))


def _share(kernel: FusedKernel, name: str, targets: Any, root: Any, folds: Folds) -> float:
    """Return the expected share of one modality."""
    here = np.flatnonzero(kernel.present[name])
    codes = folds.codes[here]
    if len(np.unique(codes)) < 3:
        return 0.0  # too few to learn anything from
    own, targets, root = make_folds(len(here), codes), targets[here], root[here]
    alone = kernel.alone(name)[np.ix_(here, here)]
    null = float((_without_kernel(targets, root, own) ** 2).sum())
    variance = float(alone.diagonal().mean() - alone.mean())
    if not (null > 0 and np.isfinite(null) and variance > 0):
        return 0.0
    alphas = variance * float((root**2).mean()) * (1 - _SHARES) / _SHARES
    losses = [(e**2).sum() for e in left_out_path(alone, alphas, targets, root, own)]
    return expected_share(null, np.array(losses), own.n_folds)


def _without_kernel(targets: Any, root: Any, folds: Folds) -> Any:
    """Return the residuals of the mean of the other groups."""
    weight = root**2
    sums = np.zeros((folds.n_folds, targets.shape[1]))
    np.add.at(sums, folds.codes, weight[:, None] * targets)
    own = np.bincount(folds.codes, weight, minlength=folds.n_folds)
    with np.errstate(invalid="ignore", divide="ignore"):  # where no other group has weight
        means = (sums.sum(axis=0) - sums) / (own.sum() - own)[:, None]
    return root[:, None] * (targets - means[folds.codes])
