"""A ridge problem whose rows come in chunks: its fit, and its predictions for rows left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.chunked.base import FLOAT, Rows
from fastmm.solve.chunked.blocks import Fitted, fold_predictions
from fastmm.solve.chunked.design import ChunkedDesign
from fastmm.solve.chunked.left_out import models_without, predictions_of
from fastmm.solve.chunked.spectrum import ColumnSpectrum, GradedColumns, from_factor, from_sums
from fastmm.solve.grouped import Folds
from fastmm.solve.ridge.problem import RidgeProblem
from fastmm.solve.ridge.spectral import Spectrum, dual_spectrum
from fastmm.solve.ridge.system import Solved
from fastmm.solve.spd import RCOND, solve_spd

__all__ = ["ChunkedProblem"]

_EVERY = slice(None)


class ChunkedProblem(RidgeProblem):
    """A ridge problem that passes over its rows; targets and weights are in memory."""

    design: ChunkedDesign

    def __init__(self, X: Rows, y: Any, weight: Any, fit_intercept: bool, space: Space) -> None:
        self.rows = X
        super().__init__(X, y, weight, fit_intercept, space)

    def spectrum(self, smallest: float, exact: bool = False, gram: Any = None) -> Any:
        """Diagonalise sums or the Gram matrix of the rows; a factor where they lost digits."""
        design: ChunkedDesign = self.design
        found: Any = None
        if design.primal and not exact:
            found = from_sums(design.sums, self.fit_intercept, design.scale, smallest, self.xp)
        elif not exact:
            found = self._of_rows(smallest, gram)
        if found is not None:
            return found
        return from_factor(design.factor(), design.scale, design.shape[0], smallest, self.xp)

    def coefficients(self, spectrum: Any, columns: Any, alpha: Any) -> Any:
        """Return coefficients (d, targets) of the scaled columns for some targets."""
        if isinstance(spectrum, (ColumnSpectrum, GradedColumns)):
            return spectrum.solution(columns, alpha)
        return super().coefficients(spectrum, columns, alpha)

    def solve(self, alpha: Any, solver: str = "auto", precision: str = "float64") -> Solved:
        """Solve for one alpha, or one for each target, on the host (targets,)."""
        smallest, design = float(np.min(alpha)), self.design
        coef = None
        exact = solver == "svd" or smallest == 0
        if np.unique(alpha).size == 1 and not exact:
            if design.primal:
                gram, right = design.normal_equations()
                gram = gram.copy()
                gram.ravel()[:: gram.shape[0] + 1] += smallest
                coef = solve_spd(gram, right, self.space)
            else:
                coef = self._by_cholesky(smallest, primal=False)
        if coef is not None:
            return Solved(coef, "primal" if design.primal else "dual", design.shape[1])
        return self._from_spectrum(self.spectrum(smallest, exact), alpha)

    def backward_error(self, coef: Any, alpha: Any) -> float:
        """Bound the backward error: of the normal equations, where the sums are at hand."""
        if not self.design.primal:
            return super().backward_error(coef, alpha)
        xp, alpha = self.xp, self.space.asarray(np.atleast_1d(alpha))
        gram, right = self.design.normal_equations()
        left = right - gram @ coef - alpha * coef
        size = (xp.linalg.norm(gram) + alpha) * xp.linalg.norm(coef, axis=0)
        size += xp.linalg.norm(right, axis=0)
        return float((xp.linalg.norm(left, axis=0) / xp.where(size > 0, size, 1.0)).max())

    def batches(
        self, folds: Folds, alphas: Sequence[float], *, joint: bool = False
    ) -> Iterator[tuple[slice, slice]]:
        """Cut alphas and targets so that predictions fit: each batch is a pass over the rows."""
        n, targets = self.targets.shape
        room = max(1, self.rows.limit // (8 * FLOAT * n))  # columns of predictions
        if joint or targets <= room:
            step = max(1, room // targets)
            for start in range(0, len(alphas), step):
                yield slice(start, start + step), _EVERY
            return
        for i in range(len(alphas)):
            for start in range(0, targets, room):
                yield slice(i, i + 1), slice(start, start + room)

    def held_out(
        self,
        spectrum: Any,
        folds: Folds,
        alphas: Sequence[float],
        columns: Any = _EVERY,
    ) -> Any:
        """Return predictions (alphas, n, targets), each by the fit without its fold."""
        if isinstance(spectrum, GradedColumns):
            each = [self.held_out(spectrum.at(a), folds, [a], columns) for a in alphas]
            return self.xp.concatenate(each)
        if isinstance(spectrum, Spectrum):
            return super().held_out(spectrum, folds, alphas, columns)
        y, design = self.targets[:, columns], self.design
        predicted = self.xp.empty((len(alphas), *y.shape))
        small = self._small(folds, len(alphas))
        fitted = Fitted(
            spectrum._replace(inner=spectrum.inner[:, columns]),
            design.offset(),
            self.y_mean[columns],
            design.scale,
            list(alphas),
            self._suspects(spectrum, alphas),
            float(self.weight.sum()) if self.weight is not None else float(design.shape[0]),
            self.fit_intercept,
        )
        parts = self._whole_folds(folds, small, len(alphas), y.shape[1])
        weak: dict[int, list[int]] = {}
        arrays = (y, self.weight, folds.codes)
        if parts:
            results = self.rows.each(fold_predictions, parts, arrays, (fitted,))
            for part, (values, poor) in zip(parts, results, strict=True):
                predicted[:, self._index(part)] = values
                for i, fold in poor:
                    weak.setdefault(i, []).append(fold)
        large = np.flatnonzero(~small)
        if large.size:
            self._refit_folds(predicted, folds, large, alphas, columns, spectrum.kind == "svd")
        for i, poor in weak.items():
            part = predicted[i : i + 1]
            self._refit_folds(part, folds, np.array(poor), [alphas[i]], columns, True)
        return predicted

    def _of_rows(self, smallest: float, gram: Any) -> Spectrum | None:
        design = self.design
        gram = design.row_gram(_EVERY) if gram is None else gram
        values, basis = dual_spectrum(gram, design.unit, self.xp)
        values = values.clip(0)
        if values.size and float(values[0]) + smallest <= RCOND * float(values[-1]):
            return None
        return Spectrum("dual", False, basis, values, lambda z: design.transposed_times(basis @ z))

    def _left(self, coef: Any, columns: Any) -> tuple[Any, Any]:
        """Return both as the factor of the rows tells them, which is at hand."""
        design, targets = self.design.factor().design()
        design = design if self.design.scale is None else design * self.design.scale
        return targets[:, columns] - design @ coef, self.xp.einsum("ij,ij->j", design, design)

    def _make_design(self, X: Any) -> ChunkedDesign:
        return ChunkedDesign(X, self.targets, self.weight, self.fit_intercept)

    def _refit(self, rows: Any, alpha: float, columns: Any) -> Any:
        codes = np.ones(self.targets.shape[0], np.intp)
        codes[rows] = 0
        y = self.targets[:, columns]
        out = self.xp.empty((1, *y.shape))
        folds = Folds(codes, 2, ())
        self._refit_folds(out, folds, np.zeros(1, np.intp), [alpha], columns, True)
        return out[0, self.xp.asarray(rows)]

    def _refit_folds(
        self, out: Any, folds: Folds, chosen: Any, alphas: Any, columns: Any, exact: bool
    ) -> None:
        """Predict the rows of the chosen folds by fits to the others' sums or factors."""
        for models in models_without(self, folds, chosen, list(alphas), columns, exact):
            parts = self.design.parts
            results = self.rows.each(predictions_of, parts, (folds.codes,), (models,))
            for part, (at, values) in zip(parts, results, strict=True):
                if at.size:
                    out[:, self.xp.asarray(at + part.start)] = values

    def _small(self, folds: Folds, alphas: int) -> np.ndarray[Any, Any]:
        """Say which folds cost less as blocks of their rows than as a fit to the others."""
        d, m = self.design.shape[1], np.bincount(folds.codes, minlength=folds.n_folds)
        m = m.astype(float)
        blocks = alphas * (2 * m**2 * min(d, self.design.shape[0]) + m**3)
        room = FLOAT * (m * (4 * d + 3 * alphas) + 2 * alphas * m**2)
        # An eigendecomposition of 9 d^3 flops, which runs at a third of the speed of products.
        refit = 27.0 * d**3 + m * d * (d + 2 * alphas)
        small: np.ndarray[Any, Any] = (blocks < refit) & (room < self.rows.limit // 2)
        return small

    def _whole_folds(
        self, folds: Folds, small: np.ndarray[Any, Any], alphas: int, targets: int
    ) -> list[Any]:
        """Cut the rows of small folds into parts of whole folds, in the order they come."""
        codes, d = folds.codes, self.design.shape[1]
        sizes = np.bincount(codes, minlength=folds.n_folds)
        if not small.any():
            return []
        largest = int(sizes[small].max())
        # Beside what every pass needs: the basis, some of its rows, and their products.
        per_row = FLOAT * (2 * d + alphas * (2 * largest + 3 * targets))
        fixed = FLOAT * (2 * d * d + 2 * alphas * len(codes) * targets)
        step = self.rows.chunks(fixed, per_row)[0]
        most = max(step.stop - step.start, largest)
        first = np.full(folds.n_folds, len(codes))
        np.minimum.at(first, codes, np.arange(len(codes)))
        order = np.argsort(first, kind="stable")
        order = order[small[order]]
        which = np.empty(folds.n_folds, np.intp)
        part = filled = 0
        for fold in order:
            if filled and filled + sizes[fold] > most:
                part, filled = part + 1, 0
            which[fold], filled = part, filled + int(sizes[fold])
        owner = np.where(small[codes], which[codes], -1)
        by_part = np.argsort(owner, kind="stable")
        starts = np.searchsorted(owner[by_part], np.arange(part + 2))
        return [_run(by_part[starts[i] : starts[i + 1]]) for i in range(part + 1)]

    def _index(self, part: Any) -> Any:
        return part if isinstance(part, slice) else self.xp.asarray(part)


def _run(index: np.ndarray[Any, Any]) -> Any:
    """Return ascending indices as a slice, where they are a run."""
    first, last = int(index[0]), int(index[-1])
    return slice(first, last + 1) if last - first + 1 == index.size else index
