r"""What a fit without one fold would predict for it, in closed form.

A linear smoother with a quadratic penalty, and the bordered LS-SVM system likewise, has
a symmetric matrix C (I - H, or the data block of the inverse) such that the residuals of
the rows of group g, had g been left out of the fit, are

.. math:: e_g = (C_{gg})^{-1} (C y)_g .

One fit thus serves every fold. Any common factor of C cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.grouped import Folds

__all__ = ["held_out_predictions", "held_out_residuals"]


def held_out_residuals(
    folds: Folds, blocks: Callable[[Any], Any], projected: Any, xp: Any = np
) -> Any:
    r"""Compute the residuals each row would have if its fold were left out of the fit.

    .. math:: e_g = (C_{gg})^{-1} (C y)_g

    Parameters
    ----------
    folds : Folds
        The partition, with m rows in each of b folds of a batch.
    blocks : callable
        Maps a batch of rows (b, m) to the blocks C_gg (b, m, m); for m = 1 to (b, 1, 1).
    projected : array of shape (n, targets), float64
        C y.
    xp : module, default numpy
        Namespace of the arrays.

    Returns
    -------
    array of shape (n, targets), float64
        Held-out residuals in the row order of `projected`, and where it lives.

    Notes
    -----
    Checked against explicit refits to 1e-10. A fold without which C is singular (alpha 0
    and too few other rows) has no such residual: callers look for it first.

    Examples
    --------
    The mean of the others, by leave one out: here C = I - 1/n.

    >>> from fastmm.solve.grouped import make_folds
    >>> y = np.array([[1.0], [2.0], [6.0]])
    >>> C = np.eye(3) - 1 / 3
    >>> blocks = lambda rows: C[rows[:, :, None], rows[:, None, :]]
    >>> (y - held_out_residuals(make_folds(3), blocks, C @ y)).ravel()
    array([4. , 3.5, 1.5])
    """
    residual = xp.empty_like(projected)
    for rows in folds.batches:
        rows = xp.asarray(rows)
        block, right = blocks(rows), projected[rows]
        residual[rows] = right / block if rows.shape[1] == 1 else xp.linalg.solve(block, right)
    return residual


def held_out_predictions(
    folds: Folds,
    targets: Any,
    residual: Any,
    root: Any,
    smoother: Callable[[Any], Any],
    space: Space,
) -> Any:
    """Turn held-out residuals of a weighted problem into predictions of all rows.

    Rows of weight 0 have no part in C. With L the smoother that maps sqrt(w) y to their
    predictions, a fit without g sees y - e on the rows of g, hence L (sqrt(w) y - E_g e).

    Parameters
    ----------
    folds : Folds
        The partition of all n rows.
    targets : array of shape (n, targets), float64
        What was to be predicted, not weighted.
    residual : array of shape (n, targets), float64
        Held-out residuals times sqrt(w).
    root : array of shape (n,), float64, or None
        sqrt(w); None where all weights are 1.
    smoother : callable
        Maps rows (r,) to L (r, n); called only where some weight is 0.
    space : Space
        Where the arrays live.

    Returns
    -------
    array of shape (n, targets), float64
        Held-out predictions.
    """
    if root is None:
        return targets - residual
    xp = space.xp
    predicted = targets - residual / xp.where(root > 0, root, 1.0)[:, None]
    idle = np.flatnonzero(space.to_host(root) == 0)
    if idle.size:
        rows = xp.asarray(idle)
        lines = smoother(rows)
        same = xp.asarray(folds.codes[idle][:, None] == folds.codes)
        predicted[rows] = lines @ (root[:, None] * targets) - xp.where(same, lines, 0) @ residual
    return predicted
