r"""Tune weights, widths and penalty on the exact loss of leaving patients out.

With s the roots of the weights of rows, :math:`\tilde K = S K S`, and C the data block of
the inverse of the system bordered by s,

.. math:: e_g = (C_{gg})^{-1} (C \tilde y)_g, \qquad L = \sum_g |e_g|^2

are the residuals of patient g by the model fitted without it, and their squares. From
:math:`\mathrm dC = -C\, \mathrm d\tilde K\, C` follows the derivative by the whole kernel,

.. math:: \frac{\partial L}{\partial \tilde K} = -2\, (C u) (C \tilde y)' + 2\, C B C,
          \qquad u_g = (C_{gg})^{-1} e_g, \quad B_{gg} = u_g e_g',

for the price of one more product of matrices, however many parameters the kernel has.
What is minimised is :math:`\tfrac12 G \log L`, G patients, plus a normal prior on the
logarithms of weights and widths: where patients are few, the weights stay near each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastmm.fused_kernels import FusedKernel
from fastmm.solve.grouped import Folds

__all__ = ["Tuned", "held_out_loss", "tune"]

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
        How many times the loss was computed.
    """

    weights: dict[str, float]
    widths: dict[str, float]
    alpha: float
    evaluations: int


def held_out_loss(
    kernel: Any, alpha: float, targets: Any, root: Any, folds: Folds
) -> tuple[float, Any, float] | None:
    """Return the loss, its derivative by the kernel and by alpha; None where singular.

    Parameters
    ----------
    kernel : array of shape (n, n), float64
        Symmetric.
    alpha : float
        Penalty, positive.
    targets : array of shape (n, t)
        What is to be predicted.
    root : array of shape (n,)
        Roots of the weights.
    folds : Folds
        What is left out together.
    """
    from scipy.linalg import lapack

    n = len(kernel)
    system = kernel * root[:, None] * root
    system[np.diag_indices(n)] += alpha
    factor, failed = lapack.dpotrf(system, lower=1, overwrite_a=1)
    if failed:
        return None
    inverse, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        return None
    lower = np.tril(inverse)
    C = lower + np.tril(lower, -1).T
    border = C @ root
    C -= border[:, None] * (border / (root @ border))
    scaled = root[:, None] * targets
    Cy = C @ scaled
    e, u, CB = np.empty_like(Cy), np.empty_like(Cy), np.empty_like(C)
    for rows in folds.batches:
        blocks = C[rows[:, :, None], rows[:, None, :]]
        e[rows] = np.linalg.solve(blocks, Cy[rows])
        u[rows] = np.linalg.solve(blocks, e[rows])
        B = u[rows] @ e[rows].swapaxes(1, 2)
        B = (B + B.swapaxes(1, 2)) / 2
        CB[:, rows] = (C[:, rows][:, :, None, :] @ B)[:, :, 0]
    loss = float((e**2).sum())
    cross = (C @ u) @ Cy.T
    slope = 2 * CB @ C - cross - cross.T
    by_alpha = float(np.trace(slope))
    return loss, slope * root[:, None] * root, by_alpha


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
        Weights to start from. Default: the same for all.

    Returns
    -------
    Tuned
        The best that was found.
    """
    from scipy.optimize import minimize

    count, names = kernel.parameters, len(kernel.names)
    low, high = np.log(alphas)
    spread = np.r_[np.full(names, _WEIGHTS), np.full(count - names, _WIDTHS)]
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
        gradient[:-1] += theta / spread**2
        if not free_weights:
            gradient[:names] = 0.0
        prior = 0.5 * ((theta / spread) ** 2).sum()
        return 0.5 * folds.n_folds * float(np.log(max(loss, 1e-300))) + prior, gradient

    first = np.zeros(count + 1)
    first[:names] = [np.log((start or {}).get(name, 1.0)) for name in kernel.names]
    grid = np.linspace(low, high, 7) if high > low else [low]
    first[-1] = min(grid, key=lambda at: objective(np.append(first[:-1], at))[0])
    free = free_weights and names > 1
    weights_within = [(-7.0, 7.0) if free else (at, at) for at in first[:names]]
    bounds = [*weights_within, *[(-5.0, 5.0)] * (count - names), (low, high)]
    best = minimize(
        objective, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
    )
    weights, widths = kernel.named(best.x[:-1])
    return Tuned(weights, widths, float(np.exp(best.x[-1])), evaluations)
