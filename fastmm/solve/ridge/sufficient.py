r"""Sums from which a ridge regression is solved, gathered in any pieces and in any order.

The weight, the means and the centred products

.. math:: S = \sum_i w_i (z_i - \bar z)(z_i - \bar z)^\top, \quad z = (x, y)

are sufficient for every penalty. Those of two sets of rows are joined exactly:

.. math:: S = S_1 + S_2 + \frac{w_1 w_2}{w_1 + w_2}
    (\bar z_1 - \bar z_2)(\bar z_1 - \bar z_2)^\top .

Nothing large is ever subtracted, so that a large mean costs no digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import finite, real
from fastmm._space import Space, enter
from fastmm.solve.memory import memory_limit
from fastmm.solve.ridge.design import pieces

__all__ = ["SufficientStatistics"]

_MATRICES = 3  # of d x d at once: the sums, and what adds to them or solves them


class SufficientStatistics:
    """Weight, means and centred products of the rows seen so far, in float64.

    Attributes
    ----------
    weight : float
        Sum of the weights; 0.0 before the first row.
    x_mean, y_mean : arrays of shape (d,) and (targets,)
        Weighted means.
    xx, xy, yy : arrays of shape (d, d), (d, targets) and (targets,)
        Centred, weighted products: X'X, X'y and y'y of each target.

    Notes
    -----
    Memory: d^2 values, whatever the number of rows. Cost: n d^2 flops for n rows. The
    order of rows, pieces and merges changes the sums by rounding only.

    References
    ----------
    .. [1] Chan, T. F., Golub, G. H., & LeVeque, R. J. (1983). Algorithms for computing
       the sample variance: analysis and recommendations. The American Statistician,
       37(3), 242-247. https://doi.org/10.1080/00031305.1983.10483115

    Examples
    --------
    >>> one = SufficientStatistics().add([[0.0], [1.0]], [0.0, 2.0])
    >>> two = SufficientStatistics().add([[2.0]], [4.0])
    >>> (one + two).xx
    array([[2.]])
    """

    def __init__(self) -> None:
        self.weight = 0.0
        self.x_mean: Any = None
        self.y_mean: Any = None
        self.xx: Any = None
        self.xy: Any = None
        self.yy: Any = None

    def add(self, X: Any, y: Any, sample_weight: Any = None) -> SufficientStatistics:
        """Add rows.

        Parameters
        ----------
        X : array of shape (n, d), NumPy or CuPy
            Rows of features.
        y : array of shape (n,) or (n, targets)
            Targets, where `X` lives.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.

        Returns
        -------
        SufficientStatistics
            These sums, changed.

        Raises
        ------
        ValueError
            If shapes do not fit, a value is not finite, or d x d sums would not fit into
            half of the memory.
        TypeError
            If the arrays, or the sums so far, live on different devices.
        """
        space, (X, y, weight, _), _ = enter(X=X, y=y, sample_weight=sample_weight, sums=self.xx)
        for name, array in (("X", X), ("y", y), ("sample_weight", weight)):
            if array is not None:
                real(array, name)
                finite(array, name, space.xp)
        if X.ndim != 2 or y.ndim not in (1, 2) or y.shape[0] != X.shape[0] or 0 in X.shape:
            raise ValueError(
                "`X` must have shape (n, d) and `y` (n,) or (n, targets), got "
                f"{tuple(X.shape)} and {tuple(y.shape)}."
            )
        n = X.shape[0]
        if weight is not None and (weight.shape != (n,) or bool((weight < 0).any())):
            raise ValueError(f"`sample_weight` must hold {n} weights, none of them negative.")
        y = y.reshape(n, -1)
        self._check_width(X.shape[1], y.shape[1], space)
        for rows in pieces(n, X.shape[1]):
            self._join(_sums(X[rows], y[rows], None if weight is None else weight[rows], space.xp))
        return self

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        if not isinstance(other, SufficientStatistics):
            return NotImplemented
        both = SufficientStatistics.from_state(self.state())
        if other.weight and self.weight:
            space, _, _ = enter(these=self.xx, others=other.xx)
            self._check_width(other.xy.shape[0], other.xy.shape[1], space)
        both._join(other)
        return both

    def state(self) -> dict[str, Any]:
        """Return the sums as a dictionary of arrays, for workers and files to pass on."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> SufficientStatistics:
        """Make the sums again from what `state` gave; arrays are copied when they change."""
        made = cls()
        vars(made).update(state)
        return made

    def normal_equations(self, fit_intercept: bool) -> tuple[Any, Any]:
        """Return X'X (d, d) and X'y (d, targets), centred for a free intercept."""
        if fit_intercept:
            return self.xx, self.xy
        root = self.weight**0.5
        x, y = root * self.x_mean, root * self.y_mean
        return self.xx + x[:, None] * x, self.xy + x[:, None] * y

    def _join(self, other: SufficientStatistics) -> None:
        if other.weight == 0:
            return
        if self.weight == 0:
            vars(self).update(vars(other))
            return
        total = self.weight + other.weight
        root = (self.weight / total * other.weight) ** 0.5
        x, y = other.x_mean - self.x_mean, other.y_mean - self.y_mean
        share = other.weight / total
        # New arrays, since `state` hands the old ones out.
        self.x_mean, self.y_mean = self.x_mean + share * x, self.y_mean + share * y
        x, y = root * x, root * y
        products = x[:, None] * x
        products += self.xx
        products += other.xx
        self.xx = products
        self.xy = self.xy + other.xy + x[:, None] * y
        self.yy = self.yy + other.yy + y * y
        self.weight = total

    def _check_width(self, d: int, targets: int, space: Space) -> None:
        if self.weight and self.xy.shape != (d, targets):
            raise ValueError(
                f"The sums are of {self.xy.shape[0]} features and {self.xy.shape[1]} targets, "
                f"got {d} and {targets}."
            )
        needed, limit = _MATRICES * 8 * d * d, memory_limit(space)
        if needed > limit:
            raise ValueError(
                f"The sums over {d} features would need {needed / 1e9:.1f} GB, more than "
                f"{limit / 1e9:.1f} GB, half of the memory here. Give fewer features, or fit "
                'all rows at once: solver="dual" needs n x n values, "iterative" none of either.'
            )


def _sums(X: Any, y: Any, weight: Any, xp: Any) -> SufficientStatistics:
    """Return the sums over a few rows."""
    sums, n = SufficientStatistics(), X.shape[0]
    sums.weight = float(n) if weight is None else float(weight.sum(dtype=np.float64))
    if sums.weight == 0:
        return sums
    share = xp.full(n, 1 / n) if weight is None else weight.astype(np.float64) / sums.weight
    X, sums.x_mean = _centred(X, share, xp)
    y, sums.y_mean = _centred(y, share, xp)
    if weight is not None:
        root = xp.sqrt(weight.astype(np.float64))[:, None]
        X *= root
        y *= root
    sums.xx, sums.xy, sums.yy = X.T @ X, X.T @ y, (y * y).sum(axis=0)
    if not bool(xp.isfinite(sums.xx.trace() + sums.yy.sum())):
        raise ValueError(
            "Squares of `X` or `y` overflow float64; bring features and targets to a smaller "
            "scale first."
        )
    return sums


def _centred(rows: Any, share: Any, xp: Any) -> tuple[Any, Any]:
    first = rows[int(share.argmax())].astype(np.float64)
    # About one of the rows: constant columns become 0, not rounding noise. An error r of the
    # mean adds but r r' to the products. C order, that the layout does not change the bits.
    centred = xp.subtract(rows, first, out=xp.empty(rows.shape))
    shift = share @ centred
    centred -= shift
    return centred, first + shift
