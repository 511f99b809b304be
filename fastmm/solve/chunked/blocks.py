r"""Predictions for whole folds in a chunk, from the fit to all rows.

With :math:`X^\top X = V \Lambda V^\top`, B = X V and :math:`D = (\Lambda + \alpha)^{-1}`, the
rows g of a fold need only B_g: their residuals without it are
:math:`(I - B_g D B_g^\top - s_g s_g^\top)^{-1} (y - B D B^\top y)_g`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm._space import enter
from fastmm.solve.chunked.spectrum import ColumnSpectrum
from fastmm.solve.grouped import batches_of
from fastmm.solve.ridge.spectral import grouped_products
from fastmm.solve.spd import RCOND

__all__ = ["Fitted", "fold_predictions"]


class Fitted(NamedTuple):
    """The fit to all rows, as a chunk needs it."""

    spectrum: ColumnSpectrum
    mean: Any  # of the columns (d,), 0 without an intercept
    y_mean: Any  # (targets,)
    scale: Any  # of the columns (d,), or None
    alphas: list[float]
    suspects: list[int]  # places of alphas so small that a fold may be all there is
    weight: float  # sum of all weights
    intercept: bool


def fold_predictions(
    X: Any, y: Any, weight: Any, codes: Any, fitted: Fitted
) -> tuple[Any, list[tuple[int, int]]]:
    """Predict rows of whole folds (alphas, rows, targets), each by the fit without its fold.

    The second are pairs (place of alpha, fold) for which that fit is not determined.
    """
    space, (X, y, weight), _ = enter(X=X, y=y, weight=weight)
    xp, spectrum = space.xp, fitted.spectrum
    targets = y - fitted.y_mean
    basis = _centred(X, fitted) @ spectrum.vectors
    plain, root, unit = basis, None, None
    if weight is not None:
        root = xp.sqrt(weight)
        basis, targets = root[:, None] * basis, root[:, None] * targets
    if fitted.intercept:
        even = xp.ones(len(y)) if root is None else root
        unit = even / fitted.weight**0.5
    damping = xp.stack([spectrum.damping(alpha) for alpha in fitted.alphas])
    residual = xp.stack([targets - basis @ (line[:, None] * spectrum.inner) for line in damping])
    weak: list[tuple[int, int]] = []
    names, places = np.unique(codes, return_inverse=True)
    for batch in batches_of(places, names.size):
        rows = xp.asarray(batch)
        blocks = -grouped_products(basis[rows], damping, xp)
        blocks += xp.eye(rows.shape[1])
        if unit is not None:
            blocks -= unit[rows][:, :, None] * unit[rows][:, None, :]
        for i in fitted.suspects:
            low = xp.linalg.eigvalsh(blocks[i]).min(axis=1) < RCOND
            blocks[i] = xp.where(low[:, None, None], xp.eye(rows.shape[1]), blocks[i])
            at = places[batch[space.to_host(low)][:, 0]]
            weak.extend((i, int(fold)) for fold in names[at])
        residual[:, rows] = (
            residual[:, rows] / blocks
            if rows.shape[1] == 1
            else xp.linalg.solve(blocks, residual[:, rows])
        )
    if root is None:
        return y - residual, weak
    predicted = y - residual / xp.where(root > 0, root, 1.0)[:, None]
    idle = root == 0
    if bool(idle.any()):
        own = (places, plain, basis, damping, residual, root)
        predicted[:, idle] = _without_weight(fitted, idle, own, xp)
    return predicted, weak


def _without_weight(fitted: Fitted, idle: Any, own: Any, xp: Any) -> Any:
    """Predict rows of weight 0, which have no part in the residuals of their fold."""
    places, plain, basis, damping, residual, root = own
    same = xp.asarray(places)[idle][:, None] == xp.asarray(places)
    lines = []
    for line, left in zip(damping, residual, strict=True):
        smoother = (plain[idle] * line) @ basis.T
        if fitted.intercept:
            smoother = smoother + root / fitted.weight
        whole = (plain[idle] * line) @ fitted.spectrum.inner + fitted.y_mean
        lines.append(whole - xp.where(same, smoother, 0) @ left)
    return xp.stack(lines)


def _centred(X: Any, fitted: Fitted) -> Any:
    part = X - fitted.mean  # float64
    return part if fitted.scale is None else part * fitted.scale
