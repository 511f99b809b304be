r"""Rows as a triangular factor: what sums of squares would lose, this keeps.

With weights w, the rows :math:`\sqrt{w_i}\,(1, x_i, y_i)` of all chunks have a factor R of
their QR decomposition, and that of two sets of rows is that of their factors one above the
other. Its first row takes the intercept out; what is below holds the centred design.
"""

from __future__ import annotations

from typing import Any

from fastmm._space import enter
from fastmm.solve.chunked.sums import by_fold

__all__ = ["Factor", "factor_of", "fold_factors"]


class Factor:
    """The triangular factor of some rows, less a common origin."""

    def __init__(self, upper: Any, d: int, intercept: bool) -> None:
        self.upper, self.d, self.intercept = upper, d, intercept

    def __add__(self, other: Factor) -> Factor:
        space, (one, two), _ = enter(one=self.upper, two=other.upper)
        both = space.xp.concatenate([one, two])
        return Factor(space.xp.linalg.qr(both, mode="r"), self.d, self.intercept)

    def design(self) -> tuple[Any, Any]:
        """Return the centred design (r, d) and targets (r, t), turned by one rotation."""
        top = int(self.intercept)
        below = self.upper[top:]
        return below[:, top : top + self.d], below[:, top + self.d :]

    def means(self) -> tuple[Any, Any]:
        """Return the weighted means of features and targets, from the origin."""
        row = self.upper[0] / self.upper[0, 0]
        return row[1 : 1 + self.d], row[1 + self.d :]


def factor_of(X: Any, y: Any, weight: Any, origin: Any, y_origin: Any, intercept: bool) -> Factor:
    """Return the factor of a chunk."""
    space, (X, y, weight), _ = enter(X=X, y=y, weight=weight)
    xp = space.xp
    n, d = X.shape
    y = y.reshape(n, -1)
    one = int(intercept)
    rows = xp.empty((n, one + d + y.shape[1]))
    rows[:, :one] = 1
    rows[:, one : one + d], rows[:, one + d :] = X, y
    if intercept:
        rows[:, 1 : 1 + d] -= origin
        rows[:, 1 + d :] -= y_origin
    if weight is not None:
        rows *= xp.sqrt(weight)[:, None]
    return Factor(xp.linalg.qr(rows, mode="r"), d, intercept)


def fold_factors(
    X: Any,
    y: Any,
    weight: Any,
    codes: Any,
    chosen: Any,
    origin: Any,
    y_origin: Any,
    intercept: bool,
) -> dict[int, Factor]:
    """Return the factor of each chosen fold in a chunk, and of all others as -1."""

    def make(X: Any, y: Any, weight: Any) -> Factor:
        return factor_of(X, y, weight, origin, y_origin, intercept)

    return by_fold(make, X, y, weight, codes, chosen)
