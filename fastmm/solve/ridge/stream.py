"""Ridge regression from rows that come in pieces, or that several machines have seen."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from fastmm._check import one_of
from fastmm._space import enter
from fastmm.solve._inputs import rank_warning, take_training
from fastmm.solve.ridge.bands import Bands
from fastmm.solve.ridge.model import RidgeModel
from fastmm.solve.ridge.normal import solve_normal
from fastmm.solve.ridge.solution import target_penalties
from fastmm.solve.ridge.sufficient import SufficientStatistics

__all__ = ["SOLVERS", "RidgeStream"]

SOLVERS = ("auto", "primal", "dual", "svd", "iterative")


class RidgeStream(RidgeModel):
    """A ridge regressor with `alpha`, `blocks` and `solver` that learns from sums over rows."""

    # Parameters, which the estimator's constructor sets.
    alpha: Any
    blocks: Any
    solver: str
    fit_intercept: bool

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Add rows to those seen so far, and solve for all of them.

        Parameters
        ----------
        X : array of shape (n, d)
            More rows of features.
        y : array of shape (n,) or (n, targets)
            Their targets, on the same device.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.

        Returns
        -------
        Ridge
            The model fitted to all rows seen by `partial_fit`; unchanged after an error.

        Raises
        ------
        ValueError
            As for `fit`; and if the model was fitted by `fit`, which keeps no sums, if
            `solver` is neither "auto" nor "primal", or if sums over d x d values do not
            fit into half of the memory.
        TypeError
            If the arrays, or the sums so far, live on different devices.

        Notes
        -----
        Cost: n d^2 flops to add, d^3 / 3 to solve: pieces of at least d rows are best.
        """
        first = not hasattr(self, "statistics_")
        if first and hasattr(self, "coef_"):
            raise ValueError(
                "`partial_fit` cannot go on after `fit`, which keeps no sums over its rows; use "
                "`partial_fit` from the first rows on, or a new model."
            )
        data = take_training(self, X, y, sample_weight, reset=first)
        sums = (
            SufficientStatistics() if first else SufficientStatistics.from_state(self.statistics_)
        )
        sums.add(data.X, data.y, data.weight)
        self._solve_sums(sums, data.y.ndim == 1 if first else self.coef_.ndim == 1)
        return self

    def merge(self, other: RidgeStream | SufficientStatistics) -> Self:
        """Add the rows that another model has seen by `partial_fit`, and solve for all.

        Parameters
        ----------
        other : Ridge or SufficientStatistics
            The model, or the sums, of other rows; it stays as it is.

        Returns
        -------
        Ridge
            The model fitted to the rows of both.

        Raises
        ------
        ValueError
            If the numbers or names of features, or the numbers of targets, differ.
        TypeError
            If `other` is something else, or the sums live on different devices.
        NotFittedError
            If one of the two has seen no rows by `partial_fit`.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "statistics_")
        if isinstance(other, SufficientStatistics):
            more = other
        elif isinstance(other, RidgeStream):
            check_is_fitted(other, "statistics_")
            mine, theirs = (getattr(m, "feature_names_in_", None) for m in (self, other))
            if mine is not None and theirs is not None and list(mine) != list(theirs):
                raise ValueError(
                    "`other` was fitted to features of other names, or in another order."
                )
            more = SufficientStatistics.from_state(other.statistics_)
        else:
            raise TypeError(
                f"`other` must be a Ridge or SufficientStatistics, got {type(other).__name__}."
            )
        sums = SufficientStatistics.from_state(self.statistics_) + more
        self._solve_sums(sums, self.coef_.ndim == 1)
        return self

    def _solve_sums(self, sums: SufficientStatistics, flat: bool) -> None:
        if self.solver not in ("auto", "primal"):
            one_of(self.solver, "solver", SOLVERS)
            raise ValueError(
                f'`solver` must be "auto" or "primal" for rows that come in pieces, got '
                f'"{self.solver}": X\'X is all that is kept of them.'
            )
        gram, right = sums.normal_equations(self.fit_intercept)
        space, _, _ = enter(sums=gram)
        d, targets = right.shape
        alpha, scale = self._penalties(d, targets)
        if scale is not None:
            scale = space.asarray(scale)[:, None]
            gram, right = gram * scale * scale.T, right * scale
        found = solve_normal(gram, right, alpha, space)
        coef = found.coef if scale is None else scale * found.coef
        self.intercept_ = 0.0
        if self.fit_intercept:
            intercept = sums.y_mean - sums.x_mean @ coef
            self.intercept_ = float(intercept[0]) if flat else intercept
        self.coef_ = coef[:, 0] if flat else coef.T
        self.solver_, self.residual_, self.n_iter_ = "primal", found.residual, 1
        self.statistics_, self.n_features_in_ = sums.state(), d
        if found.rank < d:
            rank_warning(found.rank, d, stacklevel=4)

    def _penalties(self, d: int, targets: int) -> tuple[Any, Any]:
        """Return the penalty of each target, and the factors of the columns or None."""
        if self.blocks is not None:
            bands = Bands(self.blocks, d)
            return np.ones(targets), bands.factors(bands.penalties(self.alpha))
        return np.broadcast_to(target_penalties(self.alpha, targets), targets), None
