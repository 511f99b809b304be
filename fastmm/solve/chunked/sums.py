"""Sums over chunks of rows, of all of them or fold by fold, and all but one fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastmm._space import enter
from fastmm.solve.ridge.sufficient import SufficientStatistics

__all__ = ["add", "by_fold", "fold_sums", "join_folds", "others", "refuse_values", "sums_of"]


def sums_of(X: Any, y: Any, weight: Any, numbers: Any) -> SufficientStatistics:
    """Return the sums over a chunk; `numbers` are those of its rows."""
    try:
        return SufficientStatistics().add(X, y, weight)
    except ValueError:
        refuse_values(X, int(numbers[0]))  # which row of all it is
        raise


def fold_sums(
    X: Any, y: Any, weight: Any, codes: Any, chosen: Any
) -> dict[int, SufficientStatistics]:
    """Return the sums over each chosen fold in a chunk, and over all others as -1."""
    return by_fold(_statistics, X, y, weight, codes, chosen)


def by_fold(
    make: Callable[[Any, Any, Any], Any], X: Any, y: Any, weight: Any, codes: Any, chosen: Any
) -> dict[int, Any]:
    """Call `make` on the rows of each chosen fold, and on all others as -1."""
    space, (X, y, weight), _ = enter(X=X, y=y, weight=weight)
    labels = np.where(np.isin(codes, chosen), codes, -1)
    found = {}
    for label in np.unique(labels):
        rows = space.asarray(np.flatnonzero(labels == label))
        found[int(label)] = make(X[rows], y[rows], None if weight is None else weight[rows])
    return found


def join_folds(one: dict[int, Any], two: dict[int, Any]) -> dict[int, Any]:
    """Join what is known of folds."""
    joined = dict(one)
    for label, value in two.items():
        joined[label] = joined[label] + value if label in joined else value
    return joined


def add(one: Any, two: Any) -> Any:
    """Add up; either may be None."""
    if one is None or two is None:
        return two if one is None else one
    return one + two


def others(parts: Sequence[Any], rest: Any) -> Iterator[Any]:
    """Yield the sum of `rest` and all parts but one, for each.

    From sums of those before and those after: a difference of sums would lose digits.
    """
    after = [rest]
    for part in reversed(parts[1:]):
        after.append(add(part, after[-1]))
    before = None
    for part in parts:
        yield add(before, after.pop())
        before = add(before, part)


def _statistics(X: Any, y: Any, weight: Any) -> SufficientStatistics:
    return SufficientStatistics().add(X, y, weight)


def refuse_values(X: Any, first: int) -> None:
    """Refuse NaN and infinity in a chunk whose first row has the number `first`."""
    space, (X,), _ = enter(X=X)
    if X.dtype.kind != "f" or bool(space.xp.isfinite(space.xp.sum(X, dtype=np.float64))):
        return
    bad = ~space.xp.isfinite(X)
    if bool(bad.any()):
        row, column = divmod(int(bad.argmax()), X.shape[1])
        raise ValueError(
            f"`X` contains NaN or infinity, the first at index {(first + row, column)}. Fill or "
            "drop them first."
        )
