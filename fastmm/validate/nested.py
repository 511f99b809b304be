"""Nested validation: every step that learns is fitted without the patients it is tested on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._check import integer
from fastmm.solve.grouped import make_folds

__all__ = ["OutOfFold", "out_of_fold"]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of each row by a model that never saw its group.

    Attributes
    ----------
    decision, probability, prediction : arrays with one row for each row of the data
        Scores, calibrated probabilities (rows, classes), and labels.
    folds : int
        How many models were fitted.
    """

    decision: np.ndarray[Any, Any]
    probability: np.ndarray[Any, Any]
    prediction: np.ndarray[Any, Any]
    folds: int


def out_of_fold(
    model: Any,
    blocks: Mapping[str, Any],
    y: Any,
    groups: Any,
    *,
    max_folds: int = 100,
    advance: Callable[[], None] | None = None,
) -> OutOfFold:
    """Predict each row by a model fitted without its group, all of its steps included.

    Means and scales, categories, the regularisation (by exact leave-one-group-out within
    the training rows) and the calibration are learned anew in each fold.

    Parameters
    ----------
    model : MultimodalClassifier
        Its parameters; it stays as it is.
    blocks : dict of str to Block
        Features of every modality, from ``model.extract``.
    y : array of shape (rows,)
        Labels.
    groups : array of shape (rows,)
        Patient of each row; never split between training and test.
    max_folds : int, default 100
        One group is left out at a time where there are no more groups than this; else
        whole groups are dealt into 10 folds.
    advance : callable, optional
        Called after each fold.

    Returns
    -------
    OutOfFold

    Raises
    ------
    ValueError
        If a class would be missing from a training fold.
    """
    from sklearn.base import clone

    y, groups = np.asarray(y), np.asarray(groups)
    count = len(set(groups.tolist()))
    limit = integer(max_folds, "max_folds", minimum=2)
    folds = make_folds(len(y), groups, None if count <= limit else min(10, limit))
    classes = np.unique(y)
    decision = np.empty((len(y),) if len(classes) == 2 else (len(y), len(classes)))
    probability = np.empty((len(y), len(classes)))
    prediction = np.empty_like(y)
    for fold in range(folds.n_folds):
        test = folds.codes == fold
        if set(groups[test]) & set(groups[~test]):
            raise RuntimeError("A patient stood in training and test.")
        if len(np.unique(y[~test])) < len(classes):
            raise ValueError(
                "Each class must keep at least one patient when another is left out; "
                "a class has all its rows in one fold."
            )
        fitted = clone(model).fit(
            {name: block.take(~test) for name, block in blocks.items()},
            y[~test],
            groups=groups[~test],
        )
        held_out = {name: block.take(test) for name, block in blocks.items()}
        decision[test] = fitted.decision_function(held_out)
        probability[test] = fitted.probabilities(decision[test])
        prediction[test] = fitted.winners(decision[test])
        if advance:
            advance()
    return OutOfFold(decision, probability, prediction, folds.n_folds)
