"""The solvers of fused modalities: fit one, with its penalty and its left-out predictions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.grouped import Folds, less_training_means, make_folds, training_means
from fastmm.solve.kernel.kernel_ridge_search import KernelRidgeCV
from fastmm.solve.kernel.lssvm_search import LSSVCCV
from fastmm.solve.ridge.search import RidgeCV
from fastmm.solve.svm.svm import SVC

__all__ = ["CLASSIFIERS", "REGRESSORS", "Solved", "centred", "form_of", "solve"]

CLASSIFIERS = ("ridge", "linear", "lssvm", "svm", "deep")
REGRESSORS = ("ridge", "linear", "lssvm")
_FOLDS = 10


class Solved(NamedTuple):
    """A fitted solver, and what models without each group predict for its rows."""

    model: Any
    held_out: Any


def form_of(fusion: str, solver: str) -> str:
    """Return which kernel a solver sees: "linear", "joint" (one RBF) or "rbf" (one each)."""
    if fusion == "kernel":
        return "rbf"
    return "linear" if solver in ("ridge", "linear") else "joint"


def solve(
    solver: str,
    form: str,
    design: Any,
    targets: Any,
    codes: Any,
    penalties: Sequence[float],
    gamma: Any,
    weight: Any,
    groups: Any,
    limit: int | None = None,
) -> Solved:
    """Fit a solver to the fused matrix.

    Parameters
    ----------
    solver : {"ridge", "linear", "lssvm", "svm"}
        Which.
    form : {"linear", "joint", "rbf"}
        What `design` is: rows, rows for an RBF kernel, or a kernel.
    targets : array of shape (n,) or (n, t)
        Numbers, or labels of -1 and 1.
    codes : array of shape (n,), or None
        Class of each row; None for regression.
    penalties : sequence of float
        Values of alpha to choose from; of several, the best by leaving groups out.
    gamma : float
        Width of the RBF kernel of "joint".
    weight, groups : array of shape (n,), or None
        Weights and patients of the rows.
    limit : int or None
        Bytes that a fit to rows on disk may take.
    """
    if form == "linear":
        return _linear(solver, design, targets, penalties, weight, groups, limit)
    given: dict[str, Any] = {"kernel": "precomputed"}  # which is there, and was found to fit
    if form != "rbf":
        given = {"kernel": "rbf", "gamma": gamma, "memory_limit": limit}
    if codes is None:
        model = KernelRidgeCV(penalties, fit_intercept=True, **given)
        model.fit(design, targets, sample_weight=weight, groups=groups)
        return Solved(model, np.asarray(model.cv_predictions_))
    if solver == "svm":
        return _machine(design, targets, codes, penalties, given, weight, groups)
    lssvm = LSSVCCV([1 / alpha for alpha in penalties], **given)
    lssvm.fit(design, codes, sample_weight=weight, groups=groups)
    return Solved(lssvm, np.asarray(lssvm.cv_decision_))


def centred(held_out: Any, targets: Any, folds: Folds, weight: Any) -> Any:
    """Take the mean that each left-out model was trained on off decisions for targets of +-1."""
    y = targets.reshape(len(targets), -1)
    means = training_means(folds, y, weight)
    return less_training_means(held_out.reshape(y.shape), means, y).reshape(targets.shape)


def _linear(
    solver: str,
    design: Any,
    targets: Any,
    penalties: Sequence[float],
    weight: Any,
    groups: Any,
    limit: int | None,
) -> Solved:
    from scipy.linalg import LinAlgWarning

    model = RidgeCV([0.0] if solver == "linear" else penalties, memory_limit=limit)
    with warnings.catch_warnings():
        # More columns than rows are the rule here, and the solution of least norm what is
        # documented.
        warnings.simplefilter("ignore", LinAlgWarning)
        model.fit(design, targets, sample_weight=weight, groups=groups)
    return Solved(model, np.asarray(model.cv_predictions_))


def _machine(
    design: Any,
    targets: Any,
    codes: Any,
    penalties: Sequence[float],
    given: dict[str, Any],
    weight: Any,
    groups: Any,
) -> Solved:
    """Choose C by the squared hinge loss of rows that the machine has not seen.

    Of ten folds of whole groups: there is no closed form, and each fold is a solve.
    """
    own = make_folds(len(codes), groups, weight=weight)
    if own.n_folds > _FOLDS:
        own = make_folds(len(codes), groups, _FOLDS, weight=weight)
    best, lowest = None, np.inf
    for alpha in penalties:
        model = SVC(1 / (2 * alpha), **given)
        model.fit(design, codes, sample_weight=weight, groups=own.codes)
        held_out = np.asarray(model.cv_decision_)
        loss = np.maximum(0, 1 - targets * held_out) ** 2
        loss = loss.sum(axis=1) if loss.ndim > 1 else loss
        total = float(loss.sum() if weight is None else weight @ loss)
        if total < lowest:
            best, lowest = Solved(model, held_out), total
    if best is None:
        raise ValueError("`alphas` must hold at least one value, got none.")
    return best
