r"""Weigh modalities by what each tells alone of patients that are left out.

The skill of a modality is the share of the squared error that its own kernel takes away,

.. math:: s_m = 1 - \frac{\sum_g |e_{mg}|^2}{\sum_g |e_{0g}|^2},

e the residuals of patient g by the model fitted without it, over the rows that have the
modality, at the best of some penalties; :math:`e_0` those of the mean alone. Weights
follow the skills, drawn to their mean by as much as chance may have spread them,

.. math:: w_m \propto \bar s + (1 - b)(s_m - \bar s), \qquad
          b = \mathrm E\Big(\frac{v}{v + \tau^2} \,\Big|\, s\Big), \quad
          p(s \mid \tau) \propto (v + \tau^2)^{-(M-1)/2}
          \exp\Big(-\frac{\sum_m (s_m - \bar s)^2}{2 (v + \tau^2)}\Big),

v the median square of their standard errors over patients, and :math:`\tau` the spread of the
true skills, uniform beforehand between 0 and 1/2, the most that shares can spread. The mean over
all :math:`\tau` is what two modalities need: one difference estimates no spread, and the most
likely one is nearly always 0, which would weigh alike what tells and what does not.

References
----------
Gelman, Prior distributions for variance parameters in hierarchical models, Bayesian Anal. 1,
2006, doi:10.1214/06-BA117A.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmm.fusion.fused_kernels import FusedKernel
from fastmm.fusion.left_out_loss import left_out, left_out_path
from fastmm.solve.grouped import Folds, make_folds

__all__ = ["drawn_together", "skill_weights"]

_SPREADS = 0.5 * (np.arange(500) + 0.5) / 500
_LEAST = 0.01  # of the largest weight: what tells nothing is all but left out, and no weight is 0


def skill_weights(
    kernel: FusedKernel, targets: Any, root: Any, folds: Folds, alphas: Any
) -> dict[str, float]:
    """Return weights of mean 1 that follow the skill of each modality alone.

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
    alphas : sequence of float
        Penalties to choose from.
    """
    found = [_skill(kernel, name, targets, root, folds, alphas) for name in kernel.names]
    weights = drawn_together(*np.array(found).T)
    return dict(zip(kernel.names, weights.tolist(), strict=True))


def drawn_together(skills: Any, errors: Any) -> np.ndarray[Any, Any]:
    """Turn skills and their standard errors into weights of mean 1."""
    skills = np.maximum(skills, 0.0)
    mean = float(skills.mean())
    if mean == 0.0:
        return np.ones(len(skills))
    chance = float(np.median(errors**2))  # of the typical one: noise is surely no good
    weights = mean + _kept(skills - mean, chance) * (skills - mean)
    weights = np.maximum(weights, _LEAST * weights.max())
    return np.asarray(weights / weights.mean())


def _kept(away: Any, chance: float) -> float:
    """Return which part of the differences of skills from their mean is expected to be true."""
    true = _SPREADS**2
    variance = chance + true
    likely = -0.5 * ((len(away) - 1) * np.log(variance) + away @ away / variance)
    return float(np.average(true / variance, weights=np.exp(likely - likely.max())))


def _skill(
    kernel: FusedKernel, name: str, targets: Any, root: Any, folds: Folds, alphas: Any
) -> tuple[float, float]:
    """Return the skill of one modality, and its standard error over patients."""
    here = np.flatnonzero(kernel.present[name])
    codes = folds.codes[here]
    if len(np.unique(codes)) < 3:
        return 0.0, 1.0  # nothing is known
    own, targets, root = make_folds(len(here), codes), targets[here], root[here]
    alone = kernel.alone(name)[np.ix_(here, here)]
    null = _by_group(_without_kernel(targets, root, own), own)
    if not null.sum() > 0:
        return 0.0, 1.0
    tried = [_by_group(each, own) for each in _residuals(alone, alphas, targets, root, own)]
    losses = [each for each in tried if np.isfinite(each).all()]
    if not losses:
        return 0.0, 1.0
    best = min(losses, key=lambda each: float(each.sum()))
    left = float(best.sum() / null.sum())
    return 1 - left, float(np.linalg.norm(best - left * null) / null.sum())


def _residuals(kernel: Any, alphas: Any, targets: Any, root: Any, folds: Folds) -> Iterator[Any]:
    """Yield the residuals at each penalty at which the system can be solved."""
    if len(alphas) > 1:
        yield from left_out_path(kernel, alphas, targets, root, folds)
    elif found := left_out(kernel, alphas[0], targets, root, folds):
        yield found.residuals


def _without_kernel(targets: Any, root: Any, folds: Folds) -> Any:
    """Return the residuals of the mean of the other groups."""
    weight = root**2
    sums = np.zeros((folds.n_folds, targets.shape[1]))
    np.add.at(sums, folds.codes, weight[:, None] * targets)
    own = np.bincount(folds.codes, weight, minlength=folds.n_folds)
    with np.errstate(invalid="ignore", divide="ignore"):  # where no other group has weight
        means = (sums.sum(axis=0) - sums) / (own.sum() - own)[:, None]
    return root[:, None] * (targets - means[folds.codes])


def _by_group(residuals: Any, folds: Folds) -> Any:
    """Return the squared error of each group by the model fitted without it."""
    return np.bincount(folds.codes, (residuals**2).sum(axis=1), minlength=folds.n_folds)
