r"""The exact loss of leaving patients out, and its derivatives.

With s the roots of the weights of rows, :math:`\tilde K = S K S`, and C the data block of
the inverse of the system bordered by s,

.. math:: e_g = (C_{gg})^{-1} (C \tilde y)_g, \qquad L = \sum_g |e_g|^2

are the residuals of patient g by the model fitted without it, and their squares. From
:math:`\mathrm dC = -C\, \mathrm d\tilde K\, C` follows the derivative by the whole kernel,

.. math:: \frac{\partial L}{\partial \tilde K} = -2\, (C u) (C \tilde y)' + 2\, C B C,
          \qquad u_g = (C_{gg})^{-1} e_g, \quad B_{gg} = u_g e_g',

for the price of one more product of matrices, however many parameters the kernel has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.grouped import Folds

__all__ = ["LeftOut", "held_out_loss", "left_out", "left_out_path"]

_BLOCK = 128


class LeftOut(NamedTuple):
    """Residuals of left-out groups, and what their derivatives need.

    Parameters
    ----------
    residuals : array of shape (n, t)
        Of each row by the model fitted without its group, times the root of its weight.
    C : array of shape (n, n)
        Data block of the inverse of the bordered system.
    Cy : array of shape (n, t)
        C times the weighted targets.
    """

    residuals: Any
    C: Any
    Cy: Any


def left_out(kernel: Any, alpha: float, targets: Any, root: Any, folds: Folds) -> LeftOut | None:
    """Return the residuals of groups left out; None where the system is singular.

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
    C = _mirrored(inverse)
    border = C @ root
    C -= border[:, None] * (border / (root @ border))
    Cy = C @ (root[:, None] * targets)
    e = np.empty_like(Cy)
    for rows in folds.batches:
        e[rows] = np.linalg.solve(C[rows[:, :, None], rows[:, None, :]], Cy[rows])
    return LeftOut(e, C, Cy)


def _mirrored(lower: Any) -> Any:
    """Fill the upper triangle from the lower one, in place; by blocks, which stay in the cache."""
    for start in range(0, len(lower), _BLOCK):
        own, end = slice(start, start + _BLOCK), start + _BLOCK
        square = lower[own, own]
        square[:] = np.tril(square) + np.tril(square, -1).T
        lower[own, end:] = lower[end:, own].T
    return lower.T  # the same, in the order of rows


def left_out_path(kernel: Any, alphas: Any, targets: Any, root: Any, folds: Folds) -> Iterator[Any]:
    """Yield the residuals of groups left out at each penalty, from one eigendecomposition.

    It takes the time of two or three factorisations, however many penalties there are.

    Parameters
    ----------
    kernel, targets, root, folds
        As for `left_out`.
    alphas : sequence of float
        Penalties, positive.
    """
    values, vectors = np.linalg.eigh(kernel * root[:, None] * root)
    values, y = np.maximum(values, 0.0), root[:, None] * targets
    along, rotated = vectors.T @ root, vectors.T @ y
    for alpha in alphas:
        shrunk = 1 / (values + alpha)
        border = vectors @ (shrunk * along)
        Cy = vectors @ (shrunk[:, None] * rotated)
        scale = root @ border
        Cy -= border[:, None] * (border @ y / scale)
        e = np.empty_like(Cy)
        for rows in folds.batches:
            some, edge = vectors[rows], border[rows]
            blocks = (some * shrunk) @ some.swapaxes(1, 2)
            blocks -= edge[:, :, None] * edge[:, None, :] / scale
            e[rows] = np.linalg.solve(blocks, Cy[rows])
        yield e


def held_out_loss(
    kernel: Any, alpha: float, targets: Any, root: Any, folds: Folds
) -> tuple[float, Any, float] | None:
    """Return the loss, its derivative by the kernel and by alpha; None where singular.

    Parameters
    ----------
    kernel, alpha, targets, root, folds
        As for `left_out`.
    """
    found = left_out(kernel, alpha, targets, root, folds)
    if found is None:
        return None
    e, C, Cy = found
    u, BC = np.empty_like(Cy), np.empty_like(C)
    for rows in folds.batches:
        u[rows] = np.linalg.solve(C[rows[:, :, None], rows[:, None, :]], e[rows])
        B = u[rows] @ e[rows].swapaxes(1, 2)
        B = (B + B.swapaxes(1, 2)) / 2
        BC[rows] = B @ C[rows]
    cross = (C @ u) @ Cy.T
    slope = 2 * C @ BC - cross - cross.T
    return float((e**2).sum()), slope * root[:, None] * root, float(np.trace(slope))
