r"""What a fit without one fold would predict for it, in closed form.

**The formula.** Let C be symmetric with :math:`C y = y - \hat y`, the residuals of a fit to
all n rows; write g for the rows of one fold. The residuals of those rows, had g been left
out of the fit, are

.. math:: e_g = y_g - \hat y_g^{(-g)} = (C_{gg})^{-1} (C y)_g .

One fit serves every fold, and any common factor of C cancels.

**Why.** Ridge regression minimises :math:`|y - X\beta|^2 + \alpha |\beta|^2`. Replace the
targets of fold g by what the fit without g predicts for them,
:math:`\tilde y = y - E_g e_g` (:math:`E_g` puts a vector on the rows g). That fit still
minimises the sum: it did so without the rows g, and on them its error is now 0. So the fit
to :math:`\tilde y` of all rows *is* the fit without g, and its residuals on g are 0:

.. math:: 0 = (C \tilde y)_g = (C y)_g - C_{gg}\, e_g .

Nothing was used but that predictions are linear in y and minimise a sum of squared errors
and a penalty. The same holds therefore

- for kernel ridge regression, where C is :math:`\alpha (K + \alpha I)^{-1}`;
- for a free intercept, which is one more coefficient, without penalty. With centred columns
  :math:`I - C = H + 1 1^\top / n`, :math:`H = X (X^\top X + \alpha I)^{-1} X^\top`, and the
  intercept and the means are those of the other folds, exactly;
- for weights: with rows multiplied by :math:`s = \sqrt w` and columns centred by their
  weighted mean, :math:`I - C = H + s s^\top / \sum w`, and e is the residual times s. Rows
  of weight 0 have no part in C: `held_out_predictions` gives them
  :math:`L (s y - E_g e_g)`, with L the smoother from s y to their predictions;
- for the bordered system of the LS-SVM, where C is the data block of its inverse (the
  coefficients a are residuals times the constant C), and for any number of targets;
- for penalties of one's own for each block of columns, which is ridge on scaled columns.

It does not hold for what is computed from all rows beforehand, such as scaling columns by
their standard deviations or the width of a kernel: that stays as it is in every fold.

**What it costs.** In the basis of one eigendecomposition, of r = min(n, d) rows, every
penalty is diagonal: with :math:`X^\top X = V \Lambda V^\top`, B = X V and
:math:`D = (\Lambda + \alpha)^{-1}`

.. math:: C = I - B D B^\top - s s^\top / \textstyle\sum w ,

and with :math:`X X^\top = B \Lambda B^\top`, the direction s taken out,
:math:`C = \alpha B D B^\top`, whose factor alpha is dropped: nothing cancels however small
alpha is. In flops, with t targets, A penalties and folds of m rows,

===================================  =====================
Gram matrix and eigendecomposition   n d r + 9 r^3
B = X V, where d <= n                2 n r^2
:math:`B^\top y`, once               2 n r t
C y, for each penalty                2 n r t
:math:`C_{gg}`, for each penalty      n r m
solving, for each penalty            n m^2 / 1.5 + 2 n m t
===================================  =====================

against A n / m fits of n d r flops by refitting. At n = 1,000, d = 800, folds of 20 rows
and 20 penalties that is 7 against 700 Gflop. Small folds of many penalties form the products
of pairs of rows of B once, and all :math:`C_{gg}` by one matrix product.

**Where it ends.** :math:`C_{gg}` is singular if and only if the fit without g is not
unique, which needs alpha = 0; near that, digits are lost as its smallest eigenvalue
nears 0. Callers look for folds whose eigenvalues fall below 1e-7 and refit those.

References
----------
.. [1] Allen, D. M. (1974). The relationship between variable selection and data
   augmentation and a method for prediction. Technometrics, 16(1), 125-127.
   https://doi.org/10.1080/00401706.1974.10489157
.. [2] Cook, R. D., & Weisberg, S. (1982). Residuals and Influence in Regression.
   Chapman and Hall.
.. [3] Cawley, G. C., & Talbot, N. L. C. (2004). Fast exact leave-one-out cross-validation
   of sparse least-squares support vector machines. Neural Networks, 17(10), 1467-1475.
   https://doi.org/10.1016/j.neunet.2004.07.002
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.grouped import Folds

__all__ = ["held_out_predictions", "held_out_residuals", "is_uneven"]


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


def is_uneven(weight: Any, xp: Any, times: float) -> bool:
    """Say whether some rows outweigh the others so far that without them the mean is another.

    What C_gg keeps of such rows, once the direction of the intercept is taken off, is then
    rounding, whose error grows as the square of their weight.

    Parameters
    ----------
    weight : array of shape (n,), or None
        Weights, not negative.
    xp : module
        Namespace of the array.
    times : float
        How many times the median weight is too much.

    Returns
    -------
    bool
        Whether the largest weight is more than that.

    Examples
    --------
    >>> is_uneven(np.array([1.0, 1.0, 1e5]), np, 1e3)
    True
    """
    if weight is None:
        return False
    positive = weight[weight > 0]
    return bool(positive.max() > times * xp.median(positive))
