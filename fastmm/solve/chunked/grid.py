"""The candidates of a ridge search over rows that come in chunks."""

from __future__ import annotations

from typing import Any

from fastmm.solve.chunked.problem import ChunkedProblem
from fastmm.solve.ridge.grid import RidgeGrid
from fastmm.solve.ridge.problem import RidgeProblem

__all__ = ["ChunkedGrid"]


class ChunkedGrid(RidgeGrid):
    """As `RidgeGrid`, with spectra of the columns from sums, those of the rows in tiles."""

    problem: ChunkedProblem
    _row_grams: list[Any] | None = None

    def factorised(self, direction: int) -> tuple[RidgeProblem, Any]:
        """Return the problem and its spectrum for one ratio of the blocks' penalties."""
        if self._known is None or self._known[0] != direction:
            problem = self.problem
            if self.bands is not None and self.ratios is not None:
                factors = self.bands.factors(self.ratios[direction])
                problem = problem.scaled(problem.space.asarray(factors))
            gram = None
            if self.bands is not None and not problem.design.primal:
                gram = self._banded_rows(direction)
            spectrum = problem.spectrum(min(self.alphas), gram=gram)
            self._known = direction, problem, spectrum
        return self._known[1:]

    def _banded_rows(self, direction: int) -> Any:
        """Return the Gram matrix of the rows for a ratio; each block is passed over once."""
        if self._row_grams is None:
            plain = self.problem.design
            self._row_grams = [plain.row_gram(columns) for columns in self.bands.columns]  # type: ignore[union-attr]
        ratio: Any = self.ratios[direction]  # type: ignore[index]
        return sum(part / float(p) for part, p in zip(self._row_grams, ratio, strict=True))
