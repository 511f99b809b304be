"""Scores of held-out predictions under many permutations of the labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmm.solve.areas import roc_auc
from fastmm.solve.grouped import fold_shares, training_means
from fastmm.solve.scoring import score_regression
from fastmm.validate.linear_maps import LinearMap
from fastmm.validate.shuffles import Shuffles

__all__ = ["PatientScores", "refuse_more_values", "row_scores"]

_PIECE = 1 << 15  # elements of predictions at once: what stays in the cache
_KEPT = 1 << 23  # elements of permuted labels that are kept for all candidates: 128 MB
_ROUNDER = 1.5 * 2.0**12  # added and taken off, it rounds to multiples of 2^-40


def refuse_more_values(held: LinearMap) -> None:
    """Refuse targets that are not of two values where the score is for two classes."""
    if not held.n_classes:
        values = held.labels[:, None].astype(np.float64)
        score_regression(held.scoring, values, values[None], held.folds, held.weight)


def row_scores(held: LinearMap, labels: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Yield, for each candidate, the score of each permutation (permutations,).

    Parameters
    ----------
    held : LinearMap
        The model.
    labels : array of shape (permutations, n)
        Permuted labels.
    """
    truth = _values(held, labels)
    (count, n), known = labels.shape, _known(held, labels, truth)
    centres: Any = 0.0
    blind: Any = None
    if _centres(held):
        means = training_means(held.folds, truth.reshape(-1, n).T, held.weight)
        centres = means.T.reshape(truth.shape)
        blind = _saw_one_target(centres, truth)
    for found in held.held_out(truth.reshape(-1, n).T):
        predicted = found.T.reshape(truth.shape) - centres
        if blind is not None:
            predicted[blind] = 0.0
        yield _scores(held, known, predicted) if count else np.empty(0)


class PatientScores:
    """Scores of each permutation of labels that are constant within patients.

    Parameters
    ----------
    held : LinearMap
        The model.
    shuffles : Shuffles
        The permutations.
    members : array of shape (n, patients)
        1 where a row is of a patient.
    """

    def __init__(self, held: LinearMap, shuffles: Shuffles, members: np.ndarray[Any, Any]) -> None:
        self.held, self.shuffles, self.members = held, shuffles, members
        self.means: Any = 0.0
        self.may_be_blind = False
        if _centres(held):
            self.means = training_means(held.folds, members, held.weight)
            self.may_be_blind = _may_see_one_target(held, shuffles, members)
        self.count, self.k = len(shuffles.order), held.n_classes if held.n_classes > 2 else 1
        self.step = max(1, _PIECE // (len(members) * self.k))
        self.known: dict[int, tuple[Any, Any, Any]] = {}
        self.keep = self.count * len(members) * self.k <= _KEPT

    def of(self, moved: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the scores (permutations,) from predictions of the columns of `members`."""
        held, everything = self.held, slice(self.count)
        if held.scoring in ("neg_mean_squared_error", "r2"):
            values = self.shuffles.patients(_values(held, held.labels[None])[0], everything)
            found: np.ndarray[Any, Any] = _squares(held, values, self.members, moved)
            return found
        lines = np.ascontiguousarray((moved - self.means).T)
        scores = np.empty(self.count)

        for start in range(0, self.count, self.step):
            some = slice(start, min(start + self.step, self.count))
            values = _values(held, self.shuffles.patients(held.labels, some))
            *known, blind = self._truth(some)
            predicted = values @ lines
            if blind is not None:
                predicted[blind] = 0.0
            scores[some] = _scores(held, (known[0], known[1]), predicted)
        return scores

    def _truth(self, some: slice) -> tuple[Any, Any, Any]:
        if some.start in self.known:
            return self.known[some.start]
        held, labels, blind = self.held, self.shuffles.labels(some), None
        values = _values(held, labels)
        if self.may_be_blind:
            own = _values(held, self.shuffles.patients(held.labels, some))
            blind = _saw_one_target(own @ self.means.T, values)
        found = *_known(held, labels, values), blind
        if self.keep:
            self.known[some.start] = found
        return found


def _values(held: LinearMap, labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what the model is fitted to: (..., n), or (..., classes, n) for more than two."""
    if held.n_classes > 2:
        signs: np.ndarray[Any, Any] = np.where(
            labels[..., None, :] == np.arange(held.n_classes)[:, None], 1.0, -1.0
        )
        return signs
    if held.n_classes:
        binary: np.ndarray[Any, Any] = np.where(labels == 1, 1.0, -1.0)
        return binary
    # With a free intercept predictions move along with the targets; digits are kept.
    centre = np.average(held.labels, weights=held.weight) if held.centred else 0.0
    values: np.ndarray[Any, Any] = labels - centre
    return values


def _centres(held: LinearMap) -> bool:
    return held.scoring == "roc_auc" and held.centred


def _saw_one_target(means: Any, targets: Any) -> Any:
    """Say which rows (..., n) a model predicts that saw one target only; None if there are none.

    That one is all that it can predict, and what else it does is rounding.
    """
    rounding = 1e-12 * max(float(np.abs(targets).max()), np.finfo(np.float64).tiny)
    low, high = (find(axis=-1, keepdims=True) for find in (targets.min, targets.max))
    blind = (means > high - rounding) | (means < low + rounding)
    return blind if blind.any() else None


def _may_see_one_target(held: LinearMap, shuffles: Shuffles, members: Any) -> bool:
    """Say whether some permutation may leave a fold with a single target, or one class out."""
    outside = [
        np.count_nonzero(members[held.folds.codes != fold].any(axis=0))
        for fold in range(held.folds.n_folds)
    ]
    labels = shuffles.patients(held.labels, slice(0, 1))[0]
    counts = np.unique(labels, return_counts=True)[1]
    return bool(min(outside) <= max(int(counts.max()), labels.size - int(counts.min())))


def _known(held: LinearMap, labels: Any, truth: Any) -> tuple[Any, Any]:
    """Return what the scores of all candidates need to know of permuted labels."""
    if held.scoring in ("neg_mean_squared_error", "r2") or held.n_classes > 2:
        return labels, truth
    given = _values(held, held.labels[None])[0]
    positive = truth == given.max()
    if held.scoring == "roc_auc":
        return positive, abs(given).max()
    # Rows that are called positive add their share, or take it away.
    if held.scoring == "accuracy":
        share = np.broadcast_to(fold_shares(held.folds, held.weight), truth.shape)
    else:
        weight = np.ones(len(given)) if held.weight is None else held.weight
        total = (positive @ weight)[:, None]
        share = weight / (2 * np.where(positive, total, weight.sum() - total))
    return np.where(positive, share, -share), (share * ~positive).sum(axis=1)


def _scores(held: LinearMap, known: tuple[Any, Any], predicted: Any) -> Any:
    if held.scoring == "roc_auc":
        # What is left of rounding is made a tie, since it may follow the labels.
        size = known[1] if held.n_classes <= 2 else 1.0
        predicted /= max(size, np.finfo(np.float64).tiny)
        predicted += _ROUNDER
        predicted -= _ROUNDER
    if held.n_classes <= 2:
        return _of_two_values(held, known, predicted)
    labels, truth = known
    if held.scoring == "roc_auc":
        return np.nanmean(roc_auc(truth > 0, predicted, held.weight), axis=1)
    hits = predicted.argmax(axis=1) == labels
    if held.scoring == "accuracy":
        return hits @ fold_shares(held.folds, held.weight)
    weight = np.ones(labels.shape[1]) if held.weight is None else held.weight
    total = (truth > 0) @ weight
    shares = weight / np.take_along_axis(total, labels, axis=1)
    return (hits * shares).sum(axis=1) / np.count_nonzero(total, axis=1)


def _of_two_values(held: LinearMap, known: tuple[Any, Any], predicted: Any) -> Any:
    if held.scoring in ("neg_mean_squared_error", "r2"):
        truth = known[1]
        return score_regression(
            held.scoring, truth.T, predicted.T[None], held.folds, held.weight, per_target=True
        )[0]
    if held.scoring == "roc_auc":
        return roc_auc(known[0], predicted, held.weight)
    given = _values(held, held.labels[None])[0]
    above = predicted > given.min() / 2 + given.max() / 2
    return np.einsum("pn,pn->p", known[0], above) + known[1]


def _squares(held: LinearMap, values: Any, members: Any, moved: Any) -> Any:
    """Return scores of squared errors, which are quadratic in the values of patients."""
    n = len(members)
    weight = np.ones(n) if held.weight is None else held.weight
    by_fold = held.scoring == "neg_mean_squared_error"
    share = fold_shares(held.folds, held.weight) if by_fold else weight / weight.sum()
    wrong = (moved - members) * np.sqrt(share)[:, None]
    error = ((values @ (wrong.T @ wrong)) * values).sum(axis=1)
    if by_fold:
        return -error
    mass = share @ members
    spread = ((values - (values @ mass)[:, None]) ** 2) @ mass
    return 1.0 - error / spread
