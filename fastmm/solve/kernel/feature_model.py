"""What recursive feature machines share: the recursion, and the choice of its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from fastmm._check import integer, one_of
from fastmm._device_memory import TellsOfMemory
from fastmm._space import telling_of_memory
from fastmm.solve._inputs import Training, grid
from fastmm.solve.chunked.base import FLOAT, Rows
from fastmm.solve.chunked.rows import read_whole
from fastmm.solve.grouped import Folds
from fastmm.solve.kernel.feature_matrix import Metric, Stage, stages
from fastmm.solve.kernel.gram import centre, width
from fastmm.solve.kernel.machine import flat
from fastmm.solve.scoring import best_of, refuse_overflow
from fastmm.streams.limits import refuse_below

__all__ = ["FeatureMachine"]

# Values held at once, in those of n x n, n x d and d x d, measured; of an eigendecomposition.
_OF_KERNEL, _OF_ROWS, _OF_COLUMNS, _SPECTRAL = 3.2, 5, 6, 4.2
_WORK = 24 << 20  # bytes of blocks of large matrices


class FeatureMachine(TellsOfMemory, BaseEstimator):  # type: ignore[misc]
    """A machine with the parameters of the recursion."""

    def __init__(
        self,
        alphas: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0),
        *,
        iterations: int = 5,
        kernel: str = "laplace",
        gamma: float | str = "scale",
        diagonal: bool = False,
        scoring: str | None = None,
        cv: Any = 5,
        memory_limit: int | str | None = None,
    ) -> None:
        self.alphas = alphas
        self.iterations = iterations
        self.kernel = kernel
        self.gamma = gamma
        self.diagonal = diagonal
        self.scoring = scoring
        self.cv = cv
        self.memory_limit = memory_limit

    def _learn(
        self, data: Training, y: Any, weight: Any, folds: Folds, score: Callable[[Any], Any]
    ) -> None:
        """Choose penalty and iteration by folds left out of all that is learned; fit all rows."""
        alphas = grid(self.alphas, "alphas", above=0)
        turns, space = integer(self.iterations, "iterations", minimum=0), data.space
        may_diagonalise = self._fits(data, len(alphas) * (turns + 1) * y.shape[1])
        metric = self._metric(data, weight)
        if isinstance(data.X, Rows):
            data = data._replace(X=read_whole(data.X), own=True)
        with telling_of_memory(space):
            held_out = space.xp.empty((len(alphas), turns + 1, *y.shape))
            for fold in range(folds.n_folds):
                train, test = (
                    space.asarray(np.flatnonzero(same))
                    for same in (folds.codes != fold, folds.codes == fold)
                )
                part = None if weight is None else weight[train]
                for i, alpha in enumerate(alphas):
                    runs = stages(
                        data.X[train], y[train], part, metric, alpha, turns, space,
                        may_diagonalise=may_diagonalise,
                    )  # fmt: skip
                    for turn, stage in enumerate(runs):
                        held_out[i, turn, test] = stage.predict(data.X[test], space.xp)
            decisions = space.to_host(held_out).reshape(-1, *y.shape)
            refuse_overflow(decisions)
            scores = np.asarray(score(decisions))
            place = int(best_of(scores))
            self.cv_scores_ = scores.reshape(len(alphas), turns + 1)
            self.best_score_ = float(scores[place])
            self.alpha_, self.iteration_ = alphas[place // (turns + 1)], place % (turns + 1)
            runs = stages(
                data.X, y, weight, metric, self.alpha_, self.iteration_, space,
                may_diagonalise=may_diagonalise,
            )  # fmt: skip
            for stage in runs:
                found = stage
        self._place, self._held_out = place, held_out.reshape(-1, *y.shape)[place]
        self.feature_matrix_ = found.metric.matrix
        self.gamma_: Any = metric.gamma
        self.X_fit_: Any = data.X if data.own else data.X.copy()
        self.dual_coef_, self.intercept_ = flat(found.dual), found.intercept

    def _fits(self, data: Training, decisions: int) -> bool:
        """Refuse rows in chunks of which all that is made would not fit.

        Return whether an eigendecomposition would.
        """
        rows = data.X
        if not isinstance(rows, Rows):
            return True
        (n, d), full = rows.shape, not self.diagonal
        # The rows, those of a fold, and in float64: as they are, centred, turned, gradients.
        held = n * d * (2 * rows.dtype.itemsize + _OF_ROWS * FLOAT)
        held += FLOAT * (n * 3 * decisions + (_OF_COLUMNS * d * d if full else 0)) + min(
            _WORK, 3 * FLOAT * n * n
        )
        needed = held + int(_OF_KERNEL * FLOAT * n * n)
        refuse_below(
            needed, rows.limit,
            f"the kernel matrix of {n} rows takes that much with the rows, the slopes and what it "
            "is factorised in. Take `NystromFeatures` and a linear model on them, or `diagonal` "
            "where the features are many",
        )  # fmt: skip
        return needed + int(_SPECTRAL * FLOAT * n * n) <= rows.limit

    def _metric(self, data: Training, weight: Any) -> Metric:
        one_of(self.kernel, "kernel", ("laplace", "rbf"))
        xp, d = data.space.xp, data.X.shape[1]
        gamma = width(self.gamma, data.X, weight, xp)
        if self.kernel == "laplace" and isinstance(self.gamma, str):
            gamma = gamma**0.5  # a distance, not its square
        return Metric(self.kernel, gamma, xp.ones(d) if self.diagonal else xp.eye(d), 0.0)

    def _values(self, X: Any, xp: Any) -> Any:
        """Return the values (m, targets) of checked rows, float64."""
        metric = Metric(self.kernel, self.gamma_, self.feature_matrix_, centre(self.X_fit_))
        dual = self.dual_coef_.reshape(self.X_fit_.shape[0], -1)
        return Stage(metric, self.X_fit_, dual, self.intercept_).predict(X, xp)
