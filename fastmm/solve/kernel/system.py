"""Kernel ridge regression in closed form, with exact predictions for folds left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.solve.grouped import Folds
from fastmm.solve.held_out import held_out_predictions
from fastmm.solve.kernel.centred import CentredKernel
from fastmm.solve.kernel.inverse import Dense, Factored, Shifted, add_outer
from fastmm.solve.ridge.design import pieces
from fastmm.solve.ridge.spectral import dual_spectrum
from fastmm.solve.spd import cholesky, inverse_spd

__all__ = ["Candidates", "KernelSystem"]

_FACTORISATIONS = 8  # by Cholesky, before one eigendecomposition is cheaper: see `solve`


class Candidates(NamedTuple):
    """Weighted coefficients and held-out predictions, (alphas, n, targets) each."""

    weighted: Any
    held_out: Any


class KernelSystem(CentredKernel):
    r"""Kernel ridge regression for many penalties, from one kernel matrix.

    .. math:: (S P K P^\top S + \alpha I)\, z = S (y - \bar y), \quad a = S z

    with S = diag(sqrt(w)) and, where the intercept is free, P = I - 1 w' / (w'1), which takes
    the weighted mean off, so that z is orthogonal to sqrt(w); else P = I and the mean is 0.

    Parameters
    ----------
    K : array of shape (n, n), float64
        Symmetric kernel matrix, which is overwritten.
    y : array of shape (n, targets)
        Targets.
    weight : array of shape (n,), or None
        Weights, not negative.
    fit_intercept : bool
        Whether the intercept is free.
    space : Space
        Where the arrays live.
    may_diagonalise : bool, default True
        Whether the memory allows an eigendecomposition, which takes 4 n^2 values more.
    """

    def __init__(
        self,
        K: Any,
        y: Any,
        weight: Any,
        fit_intercept: bool,
        space: Space,
        *,
        may_diagonalise: bool = True,
    ) -> None:
        super().__init__(K, y, weight, fit_intercept, space, may_diagonalise=may_diagonalise)
        self.matrix = self._weighted()
        self._spectrum: Any = None
        self._known: dict[float, Candidates] = {}

    def solve(self, alphas: np.ndarray[Any, Any]) -> tuple[Any, np.ndarray[Any, Any]]:
        """Return weighted coefficients for one alpha of each target, and residuals.

        The residuals (targets,), on the host, are relative to the norm of y.
        """
        weighted = self.space.xp.empty_like(self.y)
        distinct = np.unique(alphas)
        for alpha in distinct:
            at = self.space.xp.asarray(np.flatnonzero(alphas == alpha))
            right, found = self.y[:, at], None
            # Measured on 2 cores: an eigendecomposition costs as much as 8 of them at n = 3,000.
            if distinct.size <= _FACTORISATIONS and self._spectrum is None:
                found = self._by_cholesky(alpha, right)
            if found is None:
                found = self._factored([float(alpha)]).times(right)[0]
            weighted[:, at] = found
        return weighted, self.residuals(weighted, alphas)

    def residuals(self, weighted: Any, alphas: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return what weighted coefficients leave of y, relative to its norm, (targets,)."""
        xp = self.space.xp
        error = self.y - self.matrix @ weighted - self.space.asarray(alphas) * weighted
        size, whole = (xp.linalg.norm(each, axis=0) for each in (self.y, self.targets))
        size = xp.where(size > 1e-12 * whole, size, np.inf)  # of all but constant targets
        return self.space.to_host(xp.linalg.norm(error, axis=0) / size)

    def candidates(
        self, folds: Folds, alphas: Sequence[float], *, of: int | None = None
    ) -> Iterator[tuple[slice, Candidates]]:
        """Yield, for some of the alphas at a time, the fit and what it predicts held out.

        `of` says how many alphas there are to come: a few cost an inverse by Cholesky
        each, many one eigendecomposition.
        """
        n, targets = self.y.shape
        few = (len(alphas) if of is None else of) <= (
            3 if n < 1500 else 5
        ) or not self.may_diagonalise
        largest = max(rows.shape[1] for rows in folds.batches)
        for some in (
            [slice(i, i + 1) for i in range(len(alphas))]
            if few
            else pieces(len(alphas), n * max(targets, largest))
        ):
            known = self._known.get(alphas[some][0]) if few else None
            if known is None:
                inverse = self._inverse(alphas[some][0]) if few else None
                known = self._held_out(inverse or self._factored(alphas[some]), folds, alphas[some])
                del inverse  # before the next is made
                if few:
                    self._known[alphas[some][0]] = known
            yield some, known

    def rank(self) -> int:
        """Count the directions in which the kernel extends."""
        return int((self._eigen()[0] > 0).sum())

    def _held_out(self, inverse: Any, folds: Folds, alphas: Sequence[float]) -> Candidates:
        xp = self.space.xp
        weighted = inverse.times(self.y)
        residual = xp.empty_like(weighted)
        for batch in folds.batches:
            rows = xp.asarray(batch)
            blocks, right = inverse.blocks(rows), weighted[:, rows]
            # Without a penalty, what spans no direction says nothing about those left out.
            for i in self._undetermined(alphas):
                blocks[i] = xp.eye(rows.shape[1])
            single = rows.shape[1] == 1
            residual[:, rows] = right / blocks if single else xp.linalg.solve(blocks, right)
        held_out = xp.stack(
            [self._predicted(inverse, i, residual[i], folds) for i in range(len(alphas))]
        )
        for i in self._undetermined(alphas):
            for batch in folds.batches:
                for fold in batch:
                    held_out[i][xp.asarray(fold)] = self._refit(fold)
        return Candidates(weighted, held_out)

    def _predicted(self, inverse: Any, place: int, residual: Any, folds: Folds) -> Any:
        def smoother(rows: Any) -> Any:
            lines = inverse.after(self.kernel[rows] * self.root, place)
            return lines if self.unit is None else lines + self.root / self.weight.sum()

        return held_out_predictions(folds, self.targets, residual, self.root, smoother, self.space)

    def _refit(self, fold: Any) -> Any:
        """Return predictions of a fold by the fit without it, and without a penalty."""
        xp, train = self.space.xp, np.ones(self.y.shape[0], bool)
        train[fold] = False
        keep, left = xp.asarray(np.flatnonzero(train)), xp.asarray(fold)
        weight = None if self.weight is None else self.weight[keep]
        part = KernelSystem(
            self.kernel[keep][:, keep],
            self.targets[keep],
            weight,
            self.unit is not None,
            self.space,
        )
        dual, intercept = part.original(part._factored([0.0]).times(part.y)[0])
        return self.kernel[left][:, keep] @ dual + intercept

    def _undetermined(self, alphas: Sequence[float]) -> list[int]:
        at = [i for i, alpha in enumerate(alphas) if alpha == 0]
        return at if at and bool((self._eigen()[0] <= 0).any()) else []

    def _by_cholesky(self, alpha: float, right: Any) -> Any:
        with self._shifted(alpha):
            solve = cholesky(self.matrix, self.space)
        return None if solve is None else solve(right)

    def _inverse(self, alpha: float) -> Any:
        # Whatever is missing then, only the eigenvalues tell.
        if alpha <= 0 or (self.uneven and self.may_diagonalise):
            return None
        shifted = self._shifted(alpha)
        with shifted:
            matrix = inverse_spd(self.matrix, self.space)
        if matrix is None:
            return None
        if self.unit is not None:
            add_outer(matrix, self.unit, -self.unit / (alpha + shifted.border))
        return Dense(matrix)

    def _shifted(self, alpha: float) -> Shifted:
        return Shifted(self.matrix, alpha, self.unit)

    def _factored(self, alphas: Sequence[float]) -> Factored:
        values, basis = self._eigen()
        xp = self.space.xp
        total = values + xp.asarray(np.asarray(alphas, np.float64))[:, None]
        noise = _noise(values)
        usual = abs(total) > xp.asarray([min(noise, alpha / 2) for alpha in alphas])[:, None]
        if not bool((usual | (values == 0)).all()):
            raise ValueError(
                "The kernel is not positive semidefinite, and the system is singular for this "
                "`alpha`; change `alpha` or the kernel."
            )
        nothing = total == 0
        return Factored(basis, xp.where(nothing, 0.0, 1.0 / xp.where(nothing, 1.0, total)), xp)

    def _eigen(self) -> Any:
        if self._spectrum is None:
            self._refuse_spectrum()
            values, basis = dual_spectrum(self.matrix, self.unit, self.space.xp)
            # What rounding leaves of eigenvalues 0 must not pass for directions.
            self._spectrum = self.space.xp.where(abs(values) <= _noise(values), 0.0, values), basis
        return self._spectrum


def _noise(values: Any) -> float:
    return float(abs(values).max()) * values.size * 1e-15 if values.size else 0.0
