"""What ridge regressions predict for the folds they were fitted without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastmm.solve.grouped import Folds
from fastmm.solve.held_out import held_out_predictions, is_uneven
from fastmm.solve.ridge import design
from fastmm.solve.ridge.graded import GradedSpectrum, OneAlpha, residuals_of_rows
from fastmm.solve.ridge.large_folds import LargeFolds, prefers_columns
from fastmm.solve.ridge.spectral import Spectrum, grouped_products
from fastmm.solve.ridge.system import RidgeSystem
from fastmm.solve.spd import RCOND

__all__ = ["RidgeProblem"]

_EVERY = slice(None)


class RidgeProblem(RidgeSystem):
    """A ridge problem that knows its predictions for rows left out."""

    _known: tuple[Any, Any] | None = None
    _large: tuple[Any, Folds, LargeFolds | None] | None = None

    def batches(
        self, folds: Folds, alphas: Sequence[float], *, joint: bool = False
    ) -> Iterator[tuple[slice, slice]]:
        """Cut alphas and targets into batches whose predictions fit the work space.

        With `joint`, the targets stay together.
        """
        n, targets = self.targets.shape
        largest = max((rows.shape[1] for rows in folds.batches if self._by_rows(rows)), default=1)
        # Smaller ones on the CPU, whose memory stays in its cache, or at least mapped.
        width = n * max(targets, largest) * (8 if self.xp is np else 1)
        for some in design.pieces(len(alphas), width):
            cuts = design.pieces(targets, n)
            together = joint or len(cuts) == 1 or some.stop - some.start > 1
            for columns in [_EVERY] if together else cuts:
                yield some, columns

    def held_out(
        self,
        spectrum: Spectrum | GradedSpectrum,
        folds: Folds,
        alphas: Sequence[float],
        columns: Any = _EVERY,
    ) -> Any:
        """Return predictions (alphas, n, targets), each by the fit without its fold.

        Of some targets only, if `columns` names them.
        """
        if isinstance(spectrum, GradedSpectrum):
            each = [self._held_out_at(spectrum.at(a), folds, a, columns) for a in alphas]
            return self.xp.concatenate(each)
        xp, targets = self.xp, self.targets[:, columns]
        damping = xp.stack([spectrum.damping(alpha) for alpha in alphas])
        residual = self._projected(spectrum, damping, columns)
        if spectrum.primal:
            residual = self.y[:, columns] - residual
        weak: list[tuple[int, Any]] = []
        large = self._large_folds(spectrum, folds)
        if large is not None:
            weak += large.solve(residual, damping, alphas, self._suspects(spectrum, alphas))
        for batch in folds.batches:
            if large is not None and not self._by_rows(batch):
                continue
            rows = xp.asarray(batch)
            blocks = self._blocks(spectrum, damping, rows)
            if spectrum.primal:
                for i in self._suspects(spectrum, alphas):
                    low = xp.linalg.eigvalsh(blocks[i]).min(axis=1) < RCOND
                    blocks[i] = xp.where(low[:, None, None], xp.eye(rows.shape[1]), blocks[i])
                    weak.extend((i, fold) for fold in batch[self.space.to_host(low)])
            elif not self._determined(spectrum):
                undetermined = [i for i, alpha in enumerate(alphas) if alpha == 0]
                blocks[undetermined] = xp.eye(rows.shape[1])
                weak.extend((i, fold) for i in undetermined for fold in batch)
            for one, block in zip(residual, blocks, strict=True):
                one[rows] = _solved(block, one[rows], xp)
        predicted = self._predicted(spectrum, folds, damping, targets, residual)
        for i, fold in weak:
            predicted[i][xp.asarray(fold)] = self._refit(fold, alphas[i], columns)
        return predicted

    def _held_out_at(self, spectrum: Spectrum, folds: Folds, alpha: float, columns: Any) -> Any:
        """Return predictions (1, n, targets) for the only penalty that a basis is of."""
        if spectrum.primal or not isinstance(spectrum, OneAlpha):
            return self.held_out(spectrum, folds, [alpha], columns)
        inner = spectrum.basis.T @ self.y[:, columns]
        residual = residuals_of_rows(spectrum.basis, inner, folds, self.xp)
        damping = spectrum.damping(alpha)
        return self._predicted(
            spectrum, folds, damping[None], self.targets[:, columns], residual[None]
        )

    def _by_rows(self, batch: Any) -> bool:
        """Say whether folds (b, m) of rows are cheaper as blocks of their rows."""
        n, d = self.design.shape
        return d > n or not prefers_columns(batch.shape[1], d, self.targets.shape[1])

    def _large_folds(self, spectrum: Spectrum, folds: Folds) -> LargeFolds | None:
        """Return the folds that are cheaper by columns, kept from one batch to the next."""
        # Those of one penalty are diagonal in another basis.
        if not spectrum.primal or not bool(self.xp.isfinite(spectrum.values).all()):
            return None
        known = self._large
        if known is None or known[0] is not spectrum.basis or known[1] is not folds:
            rows = [fold for batch in folds.batches if not self._by_rows(batch) for fold in batch]
            unit = self.design.unit
            made = LargeFolds(spectrum.basis, unit, rows, self.space) if rows else None
            known = self._large = spectrum.basis, folds, made
        return known[2]

    def _projected(self, spectrum: Spectrum, damping: Any, columns: Any) -> Any:
        """Return basis D basis' y (alphas, n, targets)."""
        basis, inner, xp = spectrum.basis, self._inner(spectrum.basis, columns), self.xp
        if inner.shape[1] >= 64:
            projected = xp.empty((damping.shape[0], basis.shape[0], inner.shape[1]))
            for one, line in zip(projected, damping, strict=True):
                xp.matmul(basis, line[:, None] * inner, out=one)
            return projected
        # One product for all, since one for each would be bound by reading the basis.
        shape = damping.shape[0], inner.shape[1]
        inner = (damping.T[:, :, None] * inner[:, None]).reshape(-1, shape[0] * shape[1])
        return (basis @ inner).reshape(-1, *shape).swapaxes(0, 1).copy()

    def _inner(self, basis: Any, columns: Any) -> Any:
        """Return basis' y, kept from one batch of alphas to the next."""
        if not isinstance(columns, slice) or columns != _EVERY:
            return basis.T @ self.y[:, columns]
        if self._known is None or self._known[0] is not basis:
            self._known = basis, basis.T @ self.y
        return self._known[1]

    def _blocks(self, spectrum: Spectrum, damping: Any, rows: Any) -> Any:
        """Return the blocks (alphas, b, m, m) of I - H, in the dual over alpha."""
        blocks, unit = grouped_products(spectrum.basis[rows], damping, self.xp), self.design.unit
        if not spectrum.primal:
            return blocks
        fixed = self.xp.eye(rows.shape[1])
        if unit is not None:
            fixed = fixed - unit[rows][:, :, None] * unit[rows][:, None, :]
        return fixed - blocks

    def _suspects(self, spectrum: Spectrum, alphas: Sequence[float]) -> list[int]:
        # Far below the eigenvalues a fold may hold all that determines some direction, and
        # one with nearly all of the weight all that determines the mean.
        bound = RCOND * float(spectrum.values.max()) if spectrum.values.size else 0.0
        uneven = self.design.unit is not None and is_uneven(self.weight, self.xp, 1e6)
        return [i for i, alpha in enumerate(alphas) if alpha < bound or uneven]

    @staticmethod
    def _determined(spectrum: Spectrum) -> bool:
        return bool((spectrum.values > 0).all())

    def _predicted(
        self, spectrum: Spectrum, folds: Folds, damping: Any, targets: Any, residual: Any
    ) -> Any:
        root = self.design.root
        if root is None:
            return targets - residual

        def smoother(rows: Any, line: Any) -> Any:
            lifted = spectrum.lift(self.xp.eye(spectrum.values.size))
            lines = ((self.design.centred(rows) @ lifted) * line) @ spectrum.basis.T
            return lines if self.design.unit is None else lines + root / self.weight.sum()

        return self.xp.stack(
            [
                held_out_predictions(
                    folds, targets, one, root, partial(smoother, line=line), self.space
                )
                for one, line in zip(residual, damping, strict=True)
            ]
        )

    def _refit(self, rows: Any, alpha: float, columns: Any) -> Any:
        train = np.ones(self.targets.shape[0], bool)
        train[rows] = False
        keep, left = self.xp.asarray(np.flatnonzero(train)), self.xp.asarray(rows)
        X, weight = self.design.X, None if self.weight is None else self.weight[keep]
        y = self.targets[:, columns][keep]
        part = RidgeSystem(X[keep], y, weight, self.fit_intercept, self.space)
        part = part if self.design.scale is None else part.scaled(self.design.scale)
        coef, intercept = part.original(part.solve(alpha).coef)
        return X[left].astype(np.float64) @ coef.T + intercept


def _solved(blocks: Any, right: Any, xp: Any) -> Any:
    """Solve systems (b, m, m) with right sides (b, m, targets)."""
    if blocks.shape[1] == 1:
        return right / blocks
    if right.shape[2] > blocks.shape[1]:
        # Products with an inverse are faster than as many substitutions.
        return xp.linalg.inv(blocks) @ right
    return xp.linalg.solve(blocks, right)
