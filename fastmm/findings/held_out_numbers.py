"""Numbers predicted for patients that the model never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from fastmm.blocks import Block
from fastmm.cohort import Cohort
from fastmm.findings.scoring import CONFIDENCE, RESAMPLES
from fastmm.multimodal_regressor import MultimodalRegressor
from fastmm.solve.grouped import make_folds

__all__ = ["COVERED", "HeldOutNumbers", "describe_leaving_out", "leave_out"]

COVERED = 0.9  # what the intervals of predictions are to hold
_MOST_FOLDS = 100


@dataclass(frozen=True)
class HeldOutNumbers:
    """Predictions of each row by a model that never saw its patient.

    Attributes
    ----------
    prediction, low, high : arrays of shape (n,)
        Numbers, and the ends of their conformal intervals.
    guess : array of shape (n,)
        Mean label of the rows each model was fitted to.
    folds : int
        How many models there were.
    """

    prediction: Any
    low: Any
    high: Any
    guess: Any
    folds: int


def leave_out(
    model: MultimodalRegressor, blocks: Mapping[str, Block], y: Any, groups: Any
) -> HeldOutNumbers:
    """Predict each row by a model fitted without its group; 10 folds of more than 100."""
    count = len(set(groups.tolist()))
    folds = make_folds(len(y), groups, None if count <= _MOST_FOLDS else 10)
    found = np.empty((4, len(y)))
    for fold in range(folds.n_folds):
        test = folds.codes == fold
        if set(groups[test]) & set(groups[~test]):
            raise RuntimeError("A patient stood in training and test.")
        train = {name: block.take(~test) for name, block in blocks.items()}
        fitted = clone(model).fit(train, y[~test], groups=groups[~test])
        prediction = fitted.predict({name: block.take(test) for name, block in blocks.items()})
        found[0, test] = prediction
        found[1, test], found[2, test] = fitted.intervals(prediction, COVERED)
        found[3, test] = y[~test].mean()
    return HeldOutNumbers(found[0], found[1], found[2], found[3], folds.n_folds)


def describe_leaving_out(held_out: HeldOutNumbers, cohort: Cohort) -> dict[str, Any]:
    """Say by which scheme patients were left out, and what was learned without them."""
    what = "patient" if cohort.grouped else "row"
    one_out = held_out.folds == cohort.patients
    return {
        "scheme": f"leave one {what} out" if one_out else f"{held_out.folds} folds of {what}s",
        "detail": (
            "Nested: means and scales, categories, weights of modalities, widths of kernels, the "
            f"penalty and the widths of the intervals are learned anew without the {what}s that "
            "are predicted."
        ),
        "bootstrap": RESAMPLES,
        "confidence": CONFIDENCE,
    }
