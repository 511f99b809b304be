"""The spread of all values of rows in chunks, which the width of a kernel is taken from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import enter
from fastmm.solve.chunked.base import Rows
from fastmm.solve.chunked.sums import refuse_values

__all__ = ["total_variance", "variance_of_parts"]


class _Moments(NamedTuple):
    weight: float
    mean: float
    squares: float  # sum of weighted squared distances from the mean


def total_variance(rows: Rows, weight: Any) -> float:
    """Return the variance of all values, each with the weight of its row, in one pass."""
    arrays = (weight, np.arange(len(rows)))
    found: _Moments = rows.reduce(_moments, _joined, rows.chunks(), arrays)
    return found.squares / found.weight


def variance_of_parts(parts: Iterable[Any]) -> float:
    """Return the variance of all values of matrices with as many columns, one after the other.

    Examples
    --------
    >>> variance_of_parts([np.array([[1.0], [3.0]]), np.array([[5.0]])]) == 8 / 3
    True
    """
    found = reduce(_joined, (_moments(part, None, np.arange(len(part))) for part in parts))
    return found.squares / found.weight if found.weight else 0.0


def _moments(X: Any, weight: Any, numbers: Any) -> _Moments:
    refuse_values(X, int(numbers[0]))
    space, (X, weight), _ = enter(X=X, weight=weight)
    weight = space.xp.ones(X.shape[0]) if weight is None else weight
    total = float(weight.sum()) * X.shape[1]
    if total == 0:  # no rows, or none that counts
        return _Moments(0.0, 0.0, 0.0)
    near = float(X[0, 0])
    mean = float((weight @ (X - near).sum(axis=1, dtype=np.float64)) / total)
    wrong = X.astype(np.float64)
    wrong -= near
    wrong -= mean
    return _Moments(total, near + mean, float(weight @ (wrong * wrong).sum(axis=1)))


def _joined(one: _Moments, two: _Moments) -> _Moments:
    total = one.weight + two.weight
    if total == 0:
        return one
    step = two.mean - one.mean
    share = two.weight / total
    squares = one.squares + two.squares + one.weight * share * step**2
    return _Moments(total, one.mean + share * step, squares)
