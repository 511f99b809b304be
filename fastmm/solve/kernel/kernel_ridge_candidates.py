"""The candidates of a search of kernel ridge regression: their scores, and the best of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.grouped import Folds, less_training_means, training_means
from fastmm.solve.kernel.accuracy import fault_of_residual
from fastmm.solve.kernel.centre_system import CentreSystem
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.system import KernelSystem
from fastmm.solve.scoring import best_of, refuse_overflow, score_regression

__all__ = ["Best", "Score", "best_at"]

_System = KernelSystem | CentreSystem


class Best(NamedTuple):
    """The best penalty, or penalties, for a kernel, and the fit with it."""

    function: KernelFunction
    place: Any
    score: np.ndarray[Any, Any]
    held_out: Any
    dual: Any
    intercept: Any
    centres: Any  # or None
    fault: str  # what is wrong with the fit, or nothing

    def worse_than(self, score: Any) -> bool:
        """Say whether another score is higher, by more than rounding."""
        one = self.score.mean()
        return bool(score.mean() > one + 1e-12 * abs(one))


class Score:
    """How well held-out predictions (candidates, n, targets) do, target by target."""

    def __init__(self, name: str, folds: Folds, y: Any, weight: Any, intercept: bool) -> None:
        self.name, self.folds, self.y, self.weight = name, folds, y, weight
        # A heavily penalised model predicts the mean of what it saw, which leans against the
        # rows left out: areas are to be free of it.
        self.means = None
        if name == "roc_auc" and intercept:
            self.means = training_means(folds, y, weight)

    def __call__(self, held_out: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the score of each candidate and target."""
        refuse_overflow(held_out)
        if self.means is not None:
            held_out = less_training_means(held_out, self.means, self.y)
        return score_regression(
            self.name, self.y, held_out, self.folds, self.weight, per_target=True
        )


def best_at(
    system: _System,
    function: KernelFunction,
    score: Score,
    alphas: list[float],
    per_target: bool,
    known: Best | None,
) -> tuple[Best, np.ndarray[Any, Any]]:
    """Return the best fit, which may be the one `known` before, and the score of each alpha."""
    scores = _scores(system, score, alphas, per_target)
    place = best_of(scores)
    found = scores.T[(*np.indices(np.shape(place)), place)]
    if known is not None and not known.worse_than(found):
        return known, scores
    centres = system.centres if isinstance(system, CentreSystem) else None
    held_out, weighted = _fit(system, score.folds, alphas, place)
    fault = _fault(system, weighted, np.array(alphas)[place])
    fit = held_out, *system.original(weighted)
    return Best(function, place, found, *fit, centres, fault), scores


def _scores(system: _System, score: Score, alphas: list[float], per_target: bool) -> Any:
    """Return the score of each alpha (alphas,), or of each alpha and target."""
    parts = [
        score(system.space.to_host(found.held_out))
        for _, found in system.candidates(score.folds, alphas)
    ]
    scores = np.concatenate(parts)
    return scores if per_target else scores.mean(axis=1)


def _fit(system: _System, folds: Folds, alphas: list[float], place: Any) -> Any:
    """Return held-out predictions and weighted coefficients for the chosen alphas."""
    xp = system.space.xp
    place = np.broadcast_to(place, system.y.shape[1])
    held_out, weighted = xp.empty_like(system.y), None
    for one in np.unique(place):
        at = xp.asarray(np.flatnonzero(place == one))
        for _, found in system.candidates(folds, [alphas[one]], of=len(alphas)):
            weighted = xp.empty_like(found.weighted[0]) if weighted is None else weighted
            held_out[:, at], weighted[:, at] = found.held_out[0][:, at], found.weighted[0][:, at]
    return held_out, weighted


def _fault(system: _System, weighted: Any, chosen: Any) -> str:
    """Return what is wrong with the fit for one alpha, or one of each target."""
    if isinstance(system, CentreSystem):
        return ""
    alphas = np.broadcast_to(chosen, weighted.shape[1])
    residual = system.residuals(weighted, alphas)
    # Without a penalty, what is asked for is the solution of least norm.
    return fault_of_residual(float(np.where(alphas > 0, residual, 0).max()), "raise `alphas`")
