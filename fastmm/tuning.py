r"""Tune weights, widths and penalty on the exact loss of leaving patients out.

The search starts from weights that follow the skill of each modality alone (`skill`), so
that one that tells all the others do not hold back, nor do those that tell nothing. What
is minimised is :math:`\tfrac12 G \log L`, L the left-out loss and G patients, plus a
normal prior on the logarithms of weights and widths about where they start: where
patients are few, the weights stay there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastmm.fused_kernels import FusedKernel
from fastmm.left_out_loss import held_out_loss, left_out_path
from fastmm.skill import skill_weights
from fastmm.solve.grouped import Folds

__all__ = ["Tuned", "tune"]

# Standard deviations of the prior, in natural logarithms. Measured on cohorts of 34 to 243
# rows: at 1 and more, weights follow chance; where there are more patients, they outvote it.
_WEIGHTS, _WIDTHS = 0.5, 1.0
_STEPS = 25  # of the search; later ones gain nothing that new patients would notice


class Tuned(NamedTuple):
    """What was chosen.

    Parameters
    ----------
    weights, widths : dict of str to float
        Weights of modalities, of mean 1, and widths of kernels.
    alpha : float
        Penalty.
    evaluations : int
        How many times the loss was computed with its derivatives.
    """

    weights: dict[str, float]
    widths: dict[str, float]
    alpha: float
    evaluations: int


def tune(
    kernel: FusedKernel,
    targets: Any,
    root: Any,
    folds: Folds,
    alphas: tuple[float, float],
    *,
    free_weights: bool = True,
    start: Mapping[str, float] | None = None,
) -> Tuned:
    """Search weights, widths and alpha by L-BFGS.

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
    alphas : (low, high)
        Range of the penalty.
    free_weights : bool, default True
        Whether the weights of modalities are searched, or stay what they are.
    start : dict of str to float, optional
        Weights to start from. Default: where they are searched, those of `skill_weights`,
        else the same for all.

    Returns
    -------
    Tuned
        The best that was found.
    """
    from scipy.optimize import minimize

    count, names = kernel.parameters, len(kernel.names)
    low, high = np.log(alphas)
    spread = np.r_[np.full(names, _WEIGHTS), np.full(count - names, _WIDTHS)]
    grid = np.linspace(low, high, 7) if high > low else np.array([low])
    free = free_weights and names > 1
    if free and start is None:
        start = skill_weights(kernel, targets, root, folds, np.exp(grid))
    first = np.zeros(count + 1)
    first[:names] = [np.log((start or {}).get(name, 1.0)) for name in kernel.names]
    evaluations = 0

    def objective(point: Any) -> tuple[float, Any]:
        nonlocal evaluations
        evaluations += 1
        theta, alpha = point[:-1], float(np.exp(point[-1]))
        found = held_out_loss(kernel.matrix(theta), alpha, targets, root, folds)
        if found is None or not np.isfinite(found[0]):
            return 1e12, np.zeros_like(point)
        loss, slope, by_alpha = found
        scale = 0.5 * folds.n_folds / max(loss, 1e-300)
        gradient = scale * np.append(kernel.pull(slope), alpha * by_alpha)
        away = (theta - first[:-1]) / spread
        gradient[:-1] += away / spread
        if not free_weights:
            gradient[:names] = 0.0
        prior = 0.5 * (away**2).sum()
        return 0.5 * folds.n_folds * float(np.log(max(loss, 1e-300))) + prior, gradient

    first[-1] = grid[0]
    if grid.size > 1:
        tried = left_out_path(kernel.matrix(first[:-1]), np.exp(grid), targets, root, folds)
        first[-1] = grid[np.nan_to_num([(e**2).sum() for e in tried], nan=np.inf).argmin()]
    weights_within = [(-7.0, 7.0) if free else (at, at) for at in first[:names]]
    bounds = [*weights_within, *[(-5.0, 5.0)] * (count - names), (low, high)]
    best = minimize(
        objective, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
    )
    weights, widths = kernel.named(best.x[:-1])
    return Tuned(weights, widths, float(np.exp(best.x[-1])), evaluations)
