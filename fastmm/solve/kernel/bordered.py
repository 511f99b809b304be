"""The bordered linear system of least-squares support vector machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmm._check import number
from fastmm._space import Space, enter
from fastmm.solve.fold_order import runs
from fastmm.solve.grouped import Folds
from fastmm.solve.held_out import held_out_predictions
from fastmm.solve.kernel.bordered_inverse import (
    CholeskyInverse,
    Inverse,
    SpectralInverse,
    inverse_factor,
    solve_blocks,
)
from fastmm.solve.kernel.centred import CentredKernel
from fastmm.solve.products import multiply
from fastmm.solve.ridge.spectral import dual_spectrum
from fastmm.solve.spd import cholesky

__all__ = ["BorderedSystem", "solve_lssvm"]

_EPS = float(np.finfo(np.float64).eps)


def solve_lssvm(K: Any, y: Any, C: float, *, sample_weight: Any = None) -> tuple[Any, Any]:
    r"""Solve the LS-SVM system for one or several targets, in float64.

    .. math::

        \begin{pmatrix} 0 & 1^\top \\ 1 & K + (C W)^{-1} \end{pmatrix}
        \begin{pmatrix} b \\ a \end{pmatrix} = \begin{pmatrix} 0 \\ y \end{pmatrix}

    Parameters
    ----------
    K : array of shape (n, n), NumPy or CuPy
        Symmetric kernel matrix.
    y : array of shape (n,) or (n, targets)
        Targets, -1 and 1 for classes, where `K` lives.
    C : float
        Weight of the squared errors, positive.
    sample_weight : array of shape (n,), optional
        Diagonal of W, not negative. Default: 1.

    Returns
    -------
    dual_coef : array of shape (n,) or (n, targets), float64
        Coefficients a, where `K` lives.
    intercept : array of shape (targets,)
        Intercepts b.

    Raises
    ------
    ValueError
        If `C` is not positive or the system is singular.

    Notes
    -----
    One Cholesky factorisation of the centred kernel, n^3 / 3 flops, and an
    eigendecomposition where the kernel is not positive definite.

    References
    ----------
    .. [1] Suykens, J. A. K., & Vandewalle, J. (1999). Least squares support vector machine
       classifiers. Neural Processing Letters, 9, 293-300.
       https://doi.org/10.1023/A:1018628609742

    Examples
    --------
    >>> a, b = solve_lssvm(np.eye(2), np.array([1.0, -1.0]), 1.0)
    >>> a
    array([ 0.5, -0.5])
    """
    C = number(C, "C", above=0)
    space, (K, y, weight), _ = enter(K=K, y=y, sample_weight=sample_weight)
    K = K.astype(np.float64)  # a copy, since the system overwrites it
    system = BorderedSystem(K, y.reshape(y.shape[0], -1), weight, space)
    dual, intercept = system.original(system.solve(1 / C))
    return (dual[:, 0] if y.ndim == 1 else dual), intercept


class BorderedSystem(CentredKernel):
    """The bordered system with its border taken out, by weighted double centring.

    With s = sqrt(w) and the kernel centred, s spans the direction of the intercept: what
    is left is (s K s + I / C) a = s (y - mean) on the complement of s. The kernel is
    overwritten.
    """

    def __init__(
        self, K: Any, y: Any, weight: Any, space: Space, *, may_diagonalise: bool = True
    ) -> None:
        super().__init__(K, y, weight, True, space, may_diagonalise=may_diagonalise)
        self.order: Any = None
        self.scratch: Any = None

    @classmethod
    def of(
        cls,
        K: Any,
        signs: np.ndarray[Any, Any],
        weight: np.ndarray[Any, Any] | None,
        order: np.ndarray[Any, Any] | None,
        space: Space,
        *,
        may_diagonalise: bool = True,
    ) -> BorderedSystem:
        """Set up the system of a kernel in some order of the rows; the rest is in their own."""
        if order is not None:
            signs, weight = signs[order], None if weight is None else weight[order]
        weights = None if weight is None else space.asarray(weight)
        system = cls(K, space.asarray(signs), weights, space, may_diagonalise=may_diagonalise)
        system.order = None if order is None else space.asarray(order)
        return system

    def in_rows(self, ordered: Any) -> Any:
        """Bring what is in the order of the system (n, targets) to that of the rows."""
        if self.order is None:
            return ordered
        found = self.space.xp.empty_like(ordered)
        found[self.order] = ordered
        return found

    def solve(self, alpha: float) -> Any:
        """Return the weighted coefficients (n, targets) for one alpha = 1 / C."""
        solve = cholesky(self._shifted(alpha)[0], self.space, overwrite=True)
        if solve is None:
            return self.refined(self.spectral()(alpha).times, alpha)
        return self.refined(solve, alpha)

    def refined(self, solve: Callable[[Any], Any], alpha: float) -> Any:
        """Return the weighted coefficients by a solver, after a step of refinement."""
        weighted = solve(self.y)
        return weighted + solve(self.y - self.product(weighted, alpha))

    def product(self, weighted: Any, alpha: float) -> Any:
        """Return what the system makes of weighted coefficients."""
        found = multiply(self.kernel, self._scaled(weighted), self.space)
        found = self._scaled(found) + alpha * weighted
        return found - self.unit[:, None] * (self.unit @ found)

    def residual(self, weighted: Any, alpha: float) -> float:
        """Return |y - A a| / |y|, the largest over targets."""
        norm, left = self.space.xp.linalg.norm, self.y - self.product(weighted, alpha)
        return float((norm(left, axis=0) / self._size()).max())

    def rounding_of(self, dual: Any) -> float:
        """Return what rounding of the coefficients (n, targets) does to fits, relative to |y|."""
        largest = self.rounding / (1e-15 * self.y.shape[0])
        size = _EPS * largest * len(dual) ** 0.5 * abs(dual).max(axis=0)
        return float((size / self._size()).max())

    def _size(self) -> Any:
        """Return |y| of each target; infinity for those that are all but constant."""
        xp = self.space.xp
        size, whole = (xp.linalg.norm(each, axis=0) for each in (self.y, self.targets))
        return xp.where(size > 1e-12 * whole, size, np.inf)

    def original(self, weighted: Any) -> tuple[Any, Any]:
        """Return coefficients and intercept in terms of the kernel as it was given."""
        dual, intercept = super().original(weighted)
        return self.in_rows(dual), intercept

    def inverses(self, count: int) -> Callable[[float], Inverse]:
        """Return a function of alpha that inverts; the cheaper one for `count` of them."""
        return self.spectral() if self.prefers_spectrum(count) else self._direct

    def prefers_spectrum(self, count: float) -> bool:
        """Say whether so many penalties are cheaper by one eigendecomposition."""
        return self.may_diagonalise and (
            self.uneven or count > _crossover(self.unit.size, self.space)
        )

    def spectral(self) -> Callable[[float], Inverse]:
        """Return a function of alpha that inverts, from one eigendecomposition."""
        self._refuse_spectrum()
        xp = self.space.xp
        values, basis = dual_spectrum(self._weighted(), self.unit, xp)
        largest = 1.0 if self.weight is None else float(self.weight.max())
        noise = float(abs(values).max()) * values.size * 1e-15 + largest * self.rounding
        values, basis = xp.where(abs(values) <= noise, 0.0, values), xp.ascontiguousarray(basis)

        def inverse(alpha: float) -> Inverse:
            if float(abs(values + alpha).min()) <= min(noise, alpha / 2):
                raise ValueError(
                    "The kernel is not positive semidefinite, and the system is singular for "
                    f"C = {1 / alpha:g}; change `C` or the kernel."
                )
            return SpectralInverse(basis, 1.0 / (values + alpha), self.space)

        return inverse

    def held_out(self, inverse: Inverse, weighted: Any, folds: Folds) -> Any:
        """Return decisions (n, targets), each by the machine without its fold.

        `weighted` are the coefficients of the machine that saw all; the rows of a fold
        must be side by side.
        """
        residual = self.space.xp.empty_like(weighted)
        for start, count, size in runs(folds):
            stop = start + count * size
            right = weighted[start:stop].reshape(count, size, -1)
            solved = solve_blocks(inverse.blocks(start, count, size), right, self.space)
            residual[start:stop] = solved.reshape(count * size, -1)
        return self.without_residuals(residual, folds, inverse)

    def without_residuals(self, residual: Any, folds: Folds, inverse: Inverse | None = None) -> Any:
        """Return the decisions that leave such weighted residuals, (n, targets).

        Only rows of weight 0 need the inverse.
        """

        def smoother(rows: Any) -> Any:
            if inverse is None:
                raise RuntimeError("rows of weight 0, and no inverse")
            lines = inverse.after(self.kernel[rows] * self.root)
            return lines + self.root / self.weight.sum()

        return held_out_predictions(folds, self.targets, residual, self.root, smoother, self.space)

    def border(self) -> float:
        """Return the eigenvalue that the direction of the intercept is given."""
        return float(self._diagonal().mean())

    def _direct(self, alpha: float) -> Inverse:
        shifted, shift = self._shifted(alpha)
        upper = inverse_factor(shifted, self.space)
        if upper is None:
            return self.spectral()(alpha)
        return CholeskyInverse(upper, self.unit, 1 / (alpha + shift), self.space)

    def _diagonal(self) -> Any:
        diagonal = abs(self.kernel.diagonal())
        return diagonal if self.weight is None else diagonal * self.weight

    def _shifted(self, alpha: float) -> tuple[Any, float]:
        """Return the matrix of the system, in the same memory each time."""
        # The direction of the intercept is a null vector that alone would spoil the
        # condition; no right side reaches into it.
        xp, shift = self.space.xp, self.border()
        if self.scratch is None:
            self.scratch = xp.empty(self.kernel.shape)
        matrix = self.scratch
        if self.root is None:
            xp.add(self.kernel, shift / matrix.shape[0], out=matrix)
        else:
            xp.multiply(self.kernel, self.root, out=matrix)
            matrix *= self.root[:, None]
            matrix += self.unit[:, None] * (shift * self.unit)
        matrix.ravel()[:: matrix.shape[0] + 1] += alpha
        return matrix, shift


def _crossover(n: int, space: Space) -> int:
    """Return up to how many penalties a Cholesky factorisation for each is the cheaper way."""
    if space.kind == "cuda":
        # Estimated from flops and bandwidth: half of an eigendecomposition is bound by memory.
        return 60
    return 3 if n < 700 else 8 if n < 2500 else 11  # measured on two cores
