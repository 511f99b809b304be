"""Classes of held-out decisions, and the share of them that was found."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["balanced_accuracy", "class_shares", "positive_classes", "winning_classes"]


def positive_classes(codes: np.ndarray[Any, Any], k: int) -> np.ndarray[Any, Any]:
    """Return which rows are positive for each of k decisions, (k, n): of 2 classes there is one.

    Parameters
    ----------
    codes : array of shape (n,), intp
        Number of the class of each row.
    k : int
        Number of decisions: 1 for two classes, else the number of classes.

    Returns
    -------
    array of shape (k, n), bool
        Row c holds which rows are of class c, or of class 1 if k is 1.

    Examples
    --------
    >>> positive_classes(np.array([0, 1, 1]), 1)
    array([[False,  True,  True]])
    """
    named = np.arange(1, 2) if k == 1 else np.arange(k)
    positive: np.ndarray[Any, Any] = codes == named[:, None]
    return positive


def winning_classes(decisions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the number of the class that decisions (..., n, k) choose, (..., n).

    Parameters
    ----------
    decisions : array of shape (..., n, k)
        Decisions: above 0 for class 1 if k = 1, else one column for each class.

    Returns
    -------
    array of shape (..., n), intp
        Numbers of classes.

    Examples
    --------
    >>> winning_classes(np.array([[-1.0], [2.0]]))
    array([0, 1])
    """
    if decisions.shape[-1] == 1:
        above: np.ndarray[Any, Any] = (decisions[..., 0] > 0).astype(np.intp)
        return above
    winners: np.ndarray[Any, Any] = decisions.argmax(axis=-1)
    return winners


def balanced_accuracy(codes: Any, predicted: Any, weight: Any = None) -> Any:
    """Compute the mean over classes of the share of their weight that was found.

    Parameters
    ----------
    codes : array of shape (n,), intp
        Numbers of the true classes.
    predicted : array of shape (..., n), intp
        Numbers of the predicted classes.
    weight : array of shape (n,), optional
        Weights, not negative. Default: 1.

    Returns
    -------
    float, or array of shape (...)
        Scores. Classes without weight do not count.

    Examples
    --------
    >>> float(balanced_accuracy(np.array([0, 0, 1]), np.array([0, 1, 1])))
    0.75
    """
    return (codes == predicted) @ class_shares(codes, weight)


def class_shares(codes: Any, weight: Any = None) -> np.ndarray[Any, Any]:
    """Return what a hit in each row adds to the balanced accuracy.

    Parameters
    ----------
    codes : array of shape (n,), intp
        Number of the class of each row.
    weight : array of shape (n,), optional
        Weights, not negative. Default: 1.

    Returns
    -------
    array of shape (n,), float64
        Shares, which sum to 1.

    Examples
    --------
    >>> class_shares(np.array([0, 0, 1]))
    array([0.25, 0.25, 0.5 ])
    """
    weight = np.ones(codes.size) if weight is None else weight
    total = np.bincount(codes, weights=weight)
    per_row = total[codes] * np.count_nonzero(total)
    none = np.zeros(codes.size)
    shares: np.ndarray[Any, Any] = np.divide(weight, per_row, out=none, where=per_row > 0)
    return shares
