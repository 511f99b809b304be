"""Weights of the rows by their class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmm._check import number

__all__ = ["class_weights"]


def class_weights(
    class_weight: Any,
    classes: np.ndarray[Any, Any],
    codes: np.ndarray[Any, Any],
    weight: np.ndarray[Any, Any] | None = None,
) -> np.ndarray[Any, Any] | None:
    """Return the weight of each row by its class; None where all are alike.

    Parameters
    ----------
    class_weight : None, "balanced" or mapping
        "balanced" is ``n / (n_classes * count of the class)``, as in scikit-learn, where a
        row of weight 2 counts twice; a mapping gives the weight of some labels, and the
        others have 1.
    classes : array of shape (n_classes,), on the host
        Labels.
    codes : array of shape (n,), intp, on the host
        Number of the class of each row.
    weight : array of shape (n,), on the host, optional
        Weight of each row. Default: 1.

    Returns
    -------
    array of shape (n,), float64, on the host, or None
        Weights.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, a label is none of `classes`, or
        `class_weight` is something else.

    Examples
    --------
    >>> class_weights("balanced", np.array(["a", "b"]), np.array([0, 1, 1, 1]))
    array([2.        , 0.66666667, 0.66666667, 0.66666667])
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, Mapping):
        labels = classes.tolist()
        unknown = [label for label in class_weight if label not in labels]
        if unknown:
            raise ValueError(f"`class_weight` names {unknown[0]!r}, which is no class of `y`.")
        given = [
            number(class_weight.get(label, 1.0), f"class_weight[{label!r}]", minimum=0)
            for label in labels
        ]
        weights: np.ndarray[Any, Any] = np.array(given)[codes]
        return weights
    if not (isinstance(class_weight, str) and class_weight == "balanced"):
        raise ValueError(
            f'`class_weight` must be None, "balanced" or a dict, got {class_weight!r}.'
        )
    count = np.bincount(codes, weights=weight, minlength=classes.size)
    seen = count > 0  # classes without weight have no say
    share = np.divide(count.sum() / seen.sum(), count, out=np.ones(count.size), where=seen)
    balanced: np.ndarray[Any, Any] = share[codes]
    return balanced
