"""What `fit` is given: modalities, labels and weights, checked."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fastmm.deep.inputs import SINGLE, Inputs, is_dict, take_inputs
from fastmm.solve._inputs import take_training
from fastmm.solve.chunked.base import Rows
from fastmm.solve.class_weights import class_weights
from fastmm.streams.limits import check_limit

__all__ = ["refuse_one_class", "take_training_inputs", "weigh"]


def take_training_inputs(model: Any, X: Any, y: Any, sample_weight: Any) -> tuple[Inputs, Any, Any]:
    """Check training data: modalities, host labels and host weights."""
    from fastmm.deep.runs import check_training

    limit, check = check_limit(model.memory_limit), partial(check_training, model)
    if not is_dict(X) and len(getattr(X, "shape", (0, 0))) < 3:
        data = take_training(model, X, y, sample_weight, labels=True, chunks=limit is not None)
        rows = X if isinstance(data.X, Rows) else data.X
        inputs = take_inputs({SINGLE: rows}, model.channels, limit, check)
    else:
        modalities = X if is_dict(X) else {SINGLE: X}
        inputs = take_inputs(modalities, model.channels, limit, check)
        # Labels and weights are checked as for a table; a column stands for the rows.
        column = inputs.space.xp.zeros((inputs.n, 1), np.float32)
        data = take_training(model, column, y, sample_weight, labels=True, chunks=limit is not None)
        del model.n_features_in_
    return inputs, data.y, data.host_weight()


def weigh(
    class_weight: Any, classes: np.ndarray[Any, Any], codes: np.ndarray[Any, Any], weight: Any
) -> np.ndarray[Any, Any]:
    """Return the weight of each row by itself and by its class, 1 on average."""
    by_class = class_weights(class_weight, classes, codes, weight)
    total = np.ones(len(codes)) if weight is None else weight
    total = total if by_class is None else total * by_class
    used = total > 0
    scaled: np.ndarray[Any, Any] = total / total[used].mean() if used.any() else total
    return scaled


def refuse_one_class(classes: np.ndarray[Any, Any], codes: np.ndarray[Any, Any]) -> None:
    """Refuse rows of one class."""
    present = np.unique(codes)
    if present.size < 2:
        only = f"only one class, {classes[present[0]]!s}" if present.size else "none"
        raise ValueError(f"`y` must hold at least 2 classes, got {only}.")
