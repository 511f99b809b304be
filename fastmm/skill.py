r"""Weigh modalities by what each tells alone of patients that are left out.

The skill of a modality is the share of the squared error that its own kernel takes away,

.. math:: s_m = 1 - \frac{\sum_g |e_{mg}|^2}{\sum_g |e_{0g}|^2},

e the residuals of patient g by the model fitted without it, over the rows that have the
modality, at the best of some penalties; :math:`e_0` those of the mean alone. Weights
follow the skills, drawn to their mean by as much as chance may have spread them,

.. math:: w_m \propto \bar s + (1 - b)(s_m - \bar s), \qquad
          b = \frac{v}{v + \max(\mathrm{var}(s) - v, 0)},

v the median square of their standard errors over patients: an empirical Bayes estimate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.fused_kernels import FusedKernel
from fastmm.left_out_loss import left_out
from fastmm.solve.grouped import Folds, make_folds

__all__ = ["drawn_together", "skill_weights"]

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
    chance = float(np.median(errors**2))  # of the typical one: noise is surely no good
    apart = max(float(np.var(skills, ddof=1)) - chance, 0.0)
    mean = float(skills.mean())
    if mean == 0.0 or apart == 0.0:
        return np.ones(len(skills))
    weights = mean + apart / (apart + chance) * (skills - mean)
    weights = np.maximum(weights, _LEAST * weights.max())
    return np.asarray(weights / weights.mean())


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
    null = _by_group(np.zeros_like(alone), 1.0, targets, root, own)
    if null is None or not null.sum() > 0:
        return 0.0, 1.0
    tried = [_by_group(alone, alpha, targets, root, own) for alpha in alphas]
    losses = [each for each in tried if each is not None and np.isfinite(each).all()]
    if not losses:
        return 0.0, 1.0
    best = min(losses, key=lambda each: float(each.sum()))
    left = float(best.sum() / null.sum())
    return 1 - left, float(np.linalg.norm(best - left * null) / null.sum())


def _by_group(kernel: Any, alpha: float, targets: Any, root: Any, folds: Folds) -> Any:
    """Return the squared error of each group by the model fitted without it."""
    found = left_out(kernel, alpha, targets, root, folds)
    if found is None:
        return None
    return np.bincount(folds.codes, (found.residuals**2).sum(axis=1), minlength=folds.n_folds)
