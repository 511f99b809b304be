"""Kernel ridge regression on few centres, for many penalties: what `KernelSystem` is exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastmm._check import integer
from fastmm._space import Space
from fastmm.solve.chunked.base import Rows
from fastmm.solve.chunked.grid import ChunkedGrid
from fastmm.solve.chunked.problem import ChunkedProblem
from fastmm.solve.grouped import Folds
from fastmm.solve.kernel.centre_features import choose_centres, kernel_features
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.system import Candidates
from fastmm.solve.pivots import solve_upper
from fastmm.solve.ridge.grid import RidgeGrid
from fastmm.solve.ridge.problem import RidgeProblem

__all__ = ["CentreSystem", "count_of"]


def count_of(n_components: Any, n: int) -> int:
    """Return the number of centres that are asked for: 10 sqrt(n) by default."""
    m = 10 * int(-(-(n**0.5) // 1)) if n_components is None else n_components
    return min(n, integer(m, "n_components"))


class CentreSystem:
    """A ridge regression on the features that few rows span, of arrays or of rows in chunks.

    Parameters
    ----------
    rows : array of shape (n, d), or Rows
        Training rows.
    function : KernelFunction
        The kernel.
    m, seed : int
        Number of the centres, and seed of their drawing.
    y : array of shape (n, targets), float64
        Targets.
    weight : array of shape (n,), or None
        Weights.
    fit_intercept : bool
        Whether the intercept is free.
    space : Space
        Where the arrays live.
    """

    def __init__(
        self,
        rows: Any,
        function: KernelFunction,
        m: int,
        seed: int,
        y: Any,
        weight: Any,
        fit_intercept: bool,
        space: Space,
    ) -> None:
        centres = self.centres = choose_centres(rows, function, m, weight, seed, space)
        self.space, self.y = space, y
        self.problem: RidgeProblem
        if isinstance(rows, Rows):
            rows = rows.mapped(kernel_features, centres.numbers.size, (centres,))
            self.problem = ChunkedProblem(rows, y, weight, fit_intercept, space)
        else:
            features = kernel_features(rows, centres)
            self.problem = RidgeProblem(features, y, weight, fit_intercept, space)
        self._spectrum: tuple[float, Any] | None = None

    def candidates(
        self, folds: Folds, alphas: Sequence[float], *, of: int | None = None
    ) -> Iterator[tuple[slice, Candidates]]:
        """Yield, for some of the alphas at a time, the fit and what it predicts held out."""
        problem, every = self.problem, slice(None)
        spectrum = self._factorised(folds, alphas)
        for some, _ in problem.batches(folds, alphas, joint=True):
            held_out = problem.held_out(spectrum, folds, alphas[some])
            coef = [problem.coefficients(spectrum, every, alpha) for alpha in alphas[some]]
            yield some, Candidates(self.space.xp.stack(coef), held_out)

    def solve(self, alpha: float) -> Any:
        """Return the coefficients (m, targets) of the features for one alpha."""
        return self.problem.solve(alpha).coef

    def original(self, weighted: Any) -> tuple[Any, Any]:
        """Return coefficients (m, targets) of the centres, and intercepts (targets,)."""
        coef, intercept = self.problem.original(weighted)
        xp = self.space.xp
        dual = solve_upper(self.centres.upper, coef.T, self.space)
        return dual, xp.broadcast_to(xp.asarray(intercept), (self.y.shape[1],)).copy()

    def residual(self, weighted: Any, alpha: float) -> float:
        """Return the backward error of coefficients for one alpha."""
        return self.problem.backward_error(weighted, alpha)

    def _factorised(self, folds: Folds, alphas: Sequence[float]) -> Any:
        smallest = min(alphas)
        if self._spectrum is None or smallest < self._spectrum[0]:
            of = ChunkedGrid if isinstance(self.problem, ChunkedProblem) else RidgeGrid
            self._spectrum = smallest, of(self.problem, folds, [smallest]).factorised(0)[1]
        return self._spectrum[1]
