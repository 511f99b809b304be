"""How far a new row lies from the rows a model was fitted to: its leverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastmm.blocks import Block, spread_slices
from fastmm.fusion.fused_kernels import squared_distances
from fastmm.fusion.room import NOVEL_ROWS
from fastmm.fusion.row_parts import over_parts
from fastmm.solve.grouped import make_folds

__all__ = ["Novelty", "leverage"]


class Novelty:
    r"""Compare the leverage of new rows with that of left-out training rows.

    What the training rows leave unexplained of a row x, in the space of the kernel,

    .. math:: v(x) = k(x, x) - k_x' (K + \alpha I)^{-1} k_x

    (K centred) is the variance a Gaussian process would give it; for linear kernels it is
    alpha times the leverage :math:`x' (X'X + \alpha I)^{-1} x`. Of training rows it is
    computed without their group. A new row with a larger v than all of those is far from
    the training data.

    Parameters
    ----------
    form : {"linear", "joint", "rbf"}
        What rows are: features, features for an RBF kernel, or a kernel.
    gamma : float
        Width of the RBF kernel of "joint".

    Attributes
    ----------
    largest_ : float
        The largest v of left-out training rows.
    """

    def __init__(self, form: str, gamma: float) -> None:
        self.form = form
        self.gamma = gamma

    def fit(self, design: Any, alpha: float, groups: Any) -> Novelty:
        """Learn what the training rows look like; an `alpha` of 0 becomes a small one."""
        n = len(design)
        codes = make_folds(n, groups).codes
        chosen, some = np.arange(n), design
        if n > NOVEL_ROWS:
            chosen = np.sort(np.random.default_rng(0).permutation(n)[:NOVEL_ROWS])
            some, alpha = design[chosen], alpha * NOVEL_ROWS / n
        if self.form == "rbf":
            some = some[:, chosen]
            self.chosen_ = chosen
        rows: Any = np.asarray(some, np.float64)
        self.mean_: Any = rows.mean(axis=0) if self.form == "linear" else None
        self.rows_ = rows.astype(np.float32) if self.form == "joint" else None
        kernel = self._kernel(rows, rows)
        self.average_, self.total_ = kernel.mean(axis=0), float(kernel.mean())
        kernel = kernel - self.average_ - self.average_[:, None] + self.total_
        values, vectors = np.linalg.eigh(kernel)
        alpha = max(float(alpha), 1e-6 * float(values.max()), 1e-12)
        inverse = (vectors / (np.maximum(values, 0.0) + alpha)) @ vectors.T
        own = np.empty(len(rows))
        for batch in make_folds(len(rows), codes[chosen]).batches:
            block = np.linalg.inv(inverse[batch[:, :, None], batch[:, None, :]])
            own[batch] = np.diagonal(block, axis1=1, axis2=2) - alpha
        self.largest_ = float(own.max())
        kept = values > 1e-10 * values.max()
        values, vectors = values[kept], vectors[:, kept]
        if self.form == "linear":  # directions in the space of features
            vectors = (rows - self.mean_).T @ vectors / np.sqrt(values)
            self.basis_ = (vectors * np.sqrt(values / (values + alpha))).astype(np.float32)
        else:
            self.basis_ = vectors / np.sqrt(values + alpha)
        return self

    def ratio(self, design: Any) -> np.ndarray[Any, Any]:
        """Return v of each row over the largest of left-out training rows: above 1 is far."""
        rows: Any = np.asarray(design, np.float64)
        if self.form == "linear":
            away = rows - self.mean_
            whole = np.einsum("ij,ij->i", away, away)
        else:
            kernel = self._kernel(rows[:, self.chosen_] if self.form == "rbf" else rows, self.rows_)
            own = kernel.mean(axis=1)
            # The kernel of a row with itself is 1: of an RBF kernel, and of fused ones.
            whole = 1 - 2 * own + self.total_
            away = kernel - own[:, None] - self.average_ + self.total_
        left = np.maximum(whole - ((away @ self.basis_) ** 2).sum(axis=1), 0.0)
        return np.asarray(left / max(self.largest_, 1e-300))

    def _kernel(self, rows: Any, others: Any) -> Any:
        if self.form == "rbf":
            return rows
        if self.form == "linear":
            return (rows - self.mean_) @ (others - self.mean_).T
        return np.exp(-self.gamma * squared_distances(rows, others))


def leverage(model: Any, X: Mapping[str, Any]) -> Any:
    """Return how far rows lie from the training data: above 1, further than any of it was.

    Parameters
    ----------
    model : MultimodalClassifier or MultimodalRegressor
        Fitted.
    X : dict of str to raw data or Block
        Rows.

    Returns
    -------
    array of shape (rows,)
        See `Novelty`; of models fused late the largest of its modalities,
        of slices that are rows the largest. NaN for "deep", which knows no leverage.
    """
    check_is_fitted(model, "fusion_")

    def far(part: dict[str, Block]) -> dict[str, Any]:
        blocks, owner = spread_slices(part)
        found = _leverage(model, blocks)
        if owner is None:
            return {"": found}
        largest = np.zeros(int(owner.max()) + 1)
        np.maximum.at(largest, owner, found)
        return {"": largest}

    return over_parts(model, X, far, 2)[""]


def _leverage(model: Any, blocks: Mapping[str, Block]) -> Any:
    if model.solver == "deep":
        return np.full(len(next(iter(blocks.values())).present), np.nan)
    if model.fusion != "late":
        return model.novelty_.ratio(model.fusion_.transform(blocks))
    found = np.zeros(len(next(iter(blocks.values())).present))
    for name, member in model.fusion_.members_.items():
        here = blocks[name].present
        if here.any():
            own = _leverage(member, {name: blocks[name].take(here)})
            found[here] = np.maximum(found[here], own)
    return found
