"""Out-of-fold predictions of networks: the folds of one fit serve validation and model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastmm.blocks import Block
from fastmm.fusion.deep_fusion import FOLDS
from fastmm.multimodal import MultimodalClassifier
from fastmm.validate.calibration import calibrated, fit_calibration
from fastmm.validate.dealing import deal_rows
from fastmm.validate.out_of_fold import OutOfFold

__all__ = ["DETAIL", "LEFT_OUT", "validate_network"]

DETAIL = (
    "means and scales, categories and all weights of a network are learned anew without the "
    "{what}s that are predicted; its settings were fixed beforehand, so that nothing is chosen "
    "by these scores. The calibration of a fold is learned from the scores of the others, and so "
    "are the weights of late fusion; they and the conformal sets are the only numbers that "
    "networks had a part in which had seen the {what}s of that fold. The final model is one more "
    "training, on all of them. A score of 0 is the border between classes of equal weight; the "
    "probability knows how frequent they are"
)
LEFT_OUT = (
    "not computed for networks: refits to permuted labels (p-values permute the labels under "
    "the out-of-fold scores) and learning curves, for each point of either would be as many "
    "trainings as the whole validation"
)


def validate_network(
    model: MultimodalClassifier,
    blocks: Mapping[str, Block],
    y: np.ndarray[Any, Any],
    groups: np.ndarray[Any, Any],
    *,
    members: Mapping[str, MultimodalClassifier | None] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[OutOfFold, MultimodalClassifier]:
    """Fit a model of networks, and return its own out-of-fold predictions and the model.

    Nesting one validation within another would train each network five times as often, for
    nothing but the two numbers of a calibration: these are learned from other folds instead.
    """
    trained = {name: one for name, one in (members or {}).items() if one is not None}
    model.fit(blocks, y, groups=groups, members=trained, progress=progress)
    decision = np.round(model.cv_decision_, 9)
    classes, codes = np.unique(y, return_inverse=True)
    fold = deal_rows(codes, groups, FOLDS)
    probability = np.empty((len(y), len(classes)))
    for each in range(int(fold.max()) + 1):
        test = fold == each
        learned = fit_calibration(decision[~test], codes[~test])
        probability[test] = calibrated(decision[test], *learned)
    return OutOfFold(decision, probability, model.winners(decision), int(fold.max()) + 1), model
