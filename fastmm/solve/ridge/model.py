"""What the ridge models share: their predictions and the exact grouped search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from fastmm._check import dtype_of_result
from fastmm._device_memory import TellsOfMemory
from fastmm.solve._inputs import Training, rank_warning, take_new
from fastmm.solve.chunked.grid import ChunkedGrid
from fastmm.solve.chunked.predictions import over_chunks
from fastmm.solve.chunked.problem import ChunkedProblem
from fastmm.solve.grouped import Folds, make_folds
from fastmm.solve.ridge.accuracy import digits_warning
from fastmm.solve.ridge.bands import Bands
from fastmm.solve.ridge.design import pieces
from fastmm.solve.ridge.grid import RidgeGrid
from fastmm.solve.ridge.problem import RidgeProblem
from fastmm.solve.ridge.solution import make_problem, target_penalties
from fastmm.solve.scoring import best_of, refuse_overflow

__all__ = ["LinearModel", "RidgeModel"]


class LinearModel(TellsOfMemory, BaseEstimator):  # type: ignore[misc]
    """A linear model with `coef_`, `intercept_` and `fit_intercept`, fitted by ridge."""

    def _linear(self, X: Any) -> tuple[Any, Any, Any]:
        """Return where new rows live, X coef_ + intercept_ in float64, and the way out."""
        space, X, leave = take_new(self, X, coef_=getattr(self, "coef_", None))
        # Products in float64: at a mean of 1e4, float32 sums lose what the fit found.
        parts = [
            X[rows].astype(np.float64, order="C") @ self.coef_.T + self.intercept_
            for rows in pieces(*X.shape)
        ]
        values = parts[0] if len(parts) == 1 else space.xp.concatenate(parts)
        return space, values.astype(dtype_of_result(X.dtype), copy=False), leave

    def _search(
        self,
        data: Training,
        groups: Any,
        cv: Any,
        alphas: Sequence[float],
        scoring: str,
        *,
        codes: np.ndarray[Any, Any] | None = None,
        per_target: bool = False,
        bands: Bands | None = None,
        ratios: np.ndarray[Any, Any] | None = None,
    ) -> tuple[Any, np.ndarray[Any, Any]]:
        """Fit the best of all candidates; return its place and all scores.

        Sets `coef_`, `intercept_`, `solver_` and `cv_predictions_`. Scores have shape
        (alphas,), with `ratios` (ratios, alphas), with `per_target` one axis more; the
        place counts them flat, for each target on its own with `per_target`. Classes are
        scored by their `codes` (n,) on the host; `data.y` are then the decisions aimed at,
        -1 and 1, one column or one for each class.
        """
        problem = self._problem(data)
        labels = data.space.to_host(data.y) if codes is None else codes
        folds = make_folds(data.X.shape[0], groups, cv, labels, data.host_weight())
        grid = _grid(problem, folds, alphas, bands, ratios)
        scores = grid.scores(scoring, codes, per_target=per_target and not problem.flat)
        best = best_of(scores.reshape(-1, *scores.shape[2:]))
        self._keep(grid, best)
        return best, scores[0] if ratios is None else scores

    def _leave_out(self, data: Training, groups: Any, alpha: Any, blocks: Any = None) -> None:
        """Fit, and predict each group without it; alpha as for `solve_ridge`."""
        problem = self._problem(data)
        weight = data.host_weight()
        folds = make_folds(data.X.shape[0], groups, None, data.space.to_host(data.y), weight)
        if blocks is not None:
            bands = Bands(blocks, data.X.shape[1])
            self._keep(_grid(problem, folds, [1.0], bands, bands.penalties(alpha)[None]), 0)
            return
        penalty = target_penalties(alpha, problem.targets.shape[1])
        alphas, chosen = np.unique(penalty, return_inverse=True)
        self._keep(_grid(problem, folds, alphas.tolist()), chosen)

    def _problem(self, data: Training) -> RidgeProblem:
        return make_problem(data.X, data.y, data.weight, self.fit_intercept, data.space)

    def _keep(self, grid: RidgeGrid, chosen: Any) -> None:
        self.coef_, self.intercept_, held_out, self.solver_, rank = grid.fit(chosen)
        if not bool(grid.problem.xp.isfinite(held_out).all()):
            refuse_overflow(np.inf)
        self.cv_predictions_ = held_out[:, 0] if grid.problem.flat else held_out
        if min(grid.alphas) == 0 and rank < grid.problem.design.shape[1]:
            rank_warning(rank, grid.problem.design.shape[1], stacklevel=5)
        digits_warning(grid.error)


def _grid(problem: RidgeProblem, folds: Folds, alphas: Any, *blocks: Any) -> RidgeGrid:
    of = ChunkedGrid if isinstance(problem, ChunkedProblem) else RidgeGrid
    return of(problem, folds, alphas, *blocks)


class RidgeModel(RegressorMixin, LinearModel):  # type: ignore[misc]
    """A ridge regressor."""

    @over_chunks
    def predict(self, X: Any) -> Any:
        r"""Predict the targets of new rows.

        .. math:: \hat y = X \beta + b

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features, on the device the model was fitted on.

        Returns
        -------
        array of shape (n,) or (n, targets)
            Predictions, float32 for float32 `X`; they leave as what `X` came as.

        Raises
        ------
        ValueError
            If `X` has another number of features or is not finite.
        TypeError
            If `X` lives on another device.
        """
        _, values, leave = self._linear(X)
        return leave(values)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
