"""Predictions for rows in chunks: lazily for dask arrays, one after the other under a limit."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from fastmm.solve.chunked.base import FLOAT, Rows
from fastmm.solve.chunked.rows import is_dask, rows_of

__all__ = ["over_chunks"]

F = TypeVar("F", bound=Callable[..., Any])


def over_chunks(method: F) -> F:
    """Let a method ``predict(self, X)`` take dask arrays, and sources under `memory_limit`."""

    @wraps(method)
    def call(self: Any, X: Any) -> Any:
        if type(X) is np.ndarray:  # the common case pays nothing
            return method(self, X)
        if is_dask(X):
            from sklearn.utils.validation import check_is_fitted

            from fastmm.solve.chunked.dask_rows import map_rows

            check_is_fitted(self)
            return map_rows(method.__get__(_without_names(self, X)), X)
        rows = rows_of(X, getattr(self, "memory_limit", None))
        return method(self, X) if rows is None else _one_by_one(self, method.__get__(self), rows)

    return call  # type: ignore[return-value]


def _without_names(model: Any, X: Any) -> Any:
    """Check the columns of a data frame once, for the chunks are arrays without names."""
    fitted, given = getattr(model, "feature_names_in_", None), getattr(X, "columns", None)
    if fitted is None or given is None:
        return model
    if list(fitted) != list(given):
        raise ValueError(
            "The feature names should match those that were passed during fit, in their order."
        )
    plain = copy(model)
    del plain.feature_names_in_
    return plain


def _one_by_one(model: Any, predict: Callable[[Any], Any], rows: Rows) -> Any:
    known = 0 if getattr(model, "X_fit_", None) is None else model.X_fit_.shape[0]
    # The kernel of a chunk with the rows that are known, but in tiles where these are many.
    parts = rows.chunks(per_row=2 * FLOAT * (1 + min(known, rows.limit // (64 * 4 * FLOAT))))
    return np.concatenate(list(rows.each(predict, parts)))
