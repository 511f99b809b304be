"""The bordered linear system of least-squares support vector machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import number
from fastmm._space import Space, enter
from fastmm.solve.grouped import Folds
from fastmm.solve.held_out import held_out_predictions, held_out_residuals
from fastmm.solve.spd import cholesky, inverse_spd
from fastmm.solve.spectral import dual_spectrum, weighted_products

__all__ = ["BorderedSystem", "solve_lssvm"]


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
    system = BorderedSystem(K, y.reshape(y.shape[0], -1), weight, space)
    dual, intercept = system.original(system.solve(1 / C))
    return (dual[:, 0] if y.ndim == 1 else dual), intercept


class BorderedSystem:
    """The bordered system with its border taken out, by weighted double centring.

    With s = sqrt(w) and the kernel centred, s spans the direction of the intercept: what
    is left is (s K s + I / C) a = s (y - mean) on the complement of s.
    """

    def __init__(self, K: Any, y: Any, weight: Any, space: Space) -> None:
        xp, n = space.xp, K.shape[0]
        self.space, self.weight, self.targets = space, weight, y.astype(np.float64)
        share = xp.full(n, 1 / n) if weight is None else weight / weight.sum()
        self.root: Any = None if weight is None else xp.sqrt(weight)
        self.unit = xp.sqrt(share)
        self.kernel = K.astype(np.float64)
        self.row_mean = share @ self.kernel
        self.kernel -= self.row_mean
        self.kernel -= (self.row_mean - share @ self.row_mean)[:, None]
        self.y_mean = share @ self.targets
        self.y = self._scaled(self.targets - self.y_mean)

    def solve(self, alpha: float) -> Any:
        """Return the weighted coefficients (n, targets) for one alpha = 1 / C."""
        solve = cholesky(self._shifted(alpha)[0], self.space)
        return self.spectral()(alpha).times(self.y) if solve is None else solve(self.y)

    def original(self, weighted: Any) -> tuple[Any, Any]:
        """Return coefficients and intercept in terms of the kernel as it was given."""
        dual = self._scaled(weighted)
        return dual, self.y_mean - self.row_mean @ dual

    def inverses(self, count: int) -> Callable[[float], _Inverse]:
        """Return a function of alpha that inverts; the cheaper one for `count` of them."""
        # Measured on 2 cores: one eigendecomposition, with all that a search does besides,
        # costs as much as 3 to 4 inverses by Cholesky at n = 1,000, and 5 to 6 from 2,000.
        if count > (3 if self.unit.size < 1500 else 5):
            return self.spectral()
        return self._direct

    def spectral(self) -> Callable[[float], _Inverse]:
        """Return a function of alpha that inverts, from one eigendecomposition."""
        xp = self.space.xp
        values, basis = dual_spectrum(self._weighted(), self.unit, xp)
        noise = float(abs(values).max()) * values.size * 1e-15
        values = xp.where(abs(values) <= noise, 0.0, values)

        def inverse(alpha: float) -> _Inverse:
            if float(abs(values + alpha).min()) <= min(noise, alpha / 2):
                raise ValueError(
                    "The kernel is not positive semidefinite, and the system is singular for "
                    f"C = {1 / alpha:g}; change `C` or the kernel."
                )
            return _Factored(basis, 1.0 / (values + alpha))

        return inverse

    def held_out(self, inverse: _Inverse, weighted: Any, folds: Folds) -> Any:
        """Return decisions (n, targets), each by the machine without its fold.

        `weighted` are the coefficients of the machine that saw all.
        """

        def smoother(rows: Any) -> Any:
            lines = inverse.after(self.kernel[rows] * self.root)
            return lines + self.root / self.weight.sum()

        residual = held_out_residuals(folds, inverse.blocks, weighted, self.space.xp)
        return held_out_predictions(folds, self.targets, residual, self.root, smoother, self.space)

    def _direct(self, alpha: float) -> _Inverse:
        shifted, shift = self._shifted(alpha)
        matrix = inverse_spd(shifted, self.space)
        if matrix is None:
            return self.spectral()(alpha)
        matrix -= self.unit[:, None] * (self.unit / (alpha + shift))
        return _Dense(matrix)

    def _weighted(self) -> Any:
        return self.kernel.copy() if self.root is None else self._scaled(self.kernel) * self.root

    def _scaled(self, rows: Any) -> Any:
        return rows if self.root is None else self.root[:, None] * rows

    def _shifted(self, alpha: float) -> tuple[Any, float]:
        # The direction of the intercept is a null vector that alone would spoil the
        # condition; no right side reaches into it.
        matrix = self._weighted()
        shift = float(abs(matrix.diagonal()).mean())
        matrix += self.unit[:, None] * (shift * self.unit)
        matrix.ravel()[:: matrix.shape[0] + 1] += alpha
        return matrix, shift


class _Dense(NamedTuple):
    matrix: Any

    def times(self, right: Any) -> Any:
        return self.matrix @ right

    def after(self, left: Any) -> Any:
        return left @ self.matrix

    def blocks(self, rows: Any) -> Any:
        return self.matrix[rows[:, :, None], rows[:, None, :]]


class _Factored(NamedTuple):
    basis: Any
    values: Any

    def times(self, right: Any) -> Any:
        return self.basis @ (self.values[:, None] * (self.basis.T @ right))

    def after(self, left: Any) -> Any:
        return ((left @ self.basis) * self.values) @ self.basis.T

    def blocks(self, rows: Any) -> Any:
        return weighted_products(self.basis[rows], self.values)


_Inverse = _Dense | _Factored
