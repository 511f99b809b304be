"""Rows in the order of their folds, so that each fold is a run of rows and no gather."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve.grouped import Folds

__all__ = ["order_by_fold", "runs"]


def order_by_fold(folds: Folds) -> tuple[np.ndarray[Any, Any], Folds]:
    """Return the rows fold by fold, and the folds of the rows in that order.

    Parameters
    ----------
    folds : Folds
        A partition of n rows.

    Returns
    -------
    order : array of shape (n,), intp, on the host
        Rows, those of a fold side by side, and folds of equal size too.
    folds : Folds
        The same partition of the rows in that order.

    Examples
    --------
    >>> from fastmm.solve.grouped import make_folds
    >>> order, folds = order_by_fold(make_folds(5, groups=["b", "a", "b", "c", "a"]))
    >>> order
    array([3, 0, 2, 1, 4])
    >>> folds.codes
    array([2, 0, 0, 1, 1])
    """
    order = np.concatenate([rows.ravel() for rows in folds.batches])
    places = np.split(np.arange(order.size), np.cumsum([rows.size for rows in folds.batches])[:-1])
    batches = tuple(
        place.reshape(rows.shape) for place, rows in zip(places, folds.batches, strict=True)
    )
    return order, Folds(folds.codes[order], folds.n_folds, batches)


def runs(folds: Folds) -> list[tuple[int, int, int]]:
    """Return first row, number of folds and rows of each, for runs of folds of equal size."""
    return [(int(rows[0, 0]), *rows.shape) for rows in folds.batches]
