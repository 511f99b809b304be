"""Kernel matrices with the direction of a free intercept taken out."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.held_out import is_uneven
from fastmm.streams.limits import say_bytes

__all__ = ["CentredKernel"]

_UNEVEN = 1e3  # weight relative to the median; the error grows as its square, from 1e-11


class CentredKernel:
    r"""A kernel and targets whose weighted means are taken off: rows and columns, and y.

    With s = sqrt(w) and u = s / |s|, what is solved for, z = a / s, is orthogonal to u; the
    coefficients of the kernel as it was given are a = s z, and the intercept
    :math:`\bar y - \bar k^\top a`.

    Parameters
    ----------
    K : array of shape (n, n)
        Symmetric kernel matrix; float64 in C order is overwritten, else copied.
    y : array of shape (n, targets)
        Targets.
    weight : array of shape (n,), or None
        Weights, not negative.
    fit_intercept : bool
        Whether the intercept is free; else nothing is taken off.
    space : Space
        Where the arrays live.
    may_diagonalise : bool, default True
        Whether the memory allows an eigendecomposition.

    Attributes
    ----------
    kernel : array of shape (n, n), float64
        The centred kernel.
    uneven : bool
        Whether few rows have so much of the weight that an inverse would lose digits.
    root, unit : array of shape (n,), or None
        s, where there are weights; u, where the intercept is free.
    targets, y : array of shape (n, targets), float64
        Targets as given, and s (targets - y_mean).
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
        xp, n = space.xp, K.shape[0]
        self.may_diagonalise = may_diagonalise
        self.space, self.weight, self.targets = space, weight, y.astype(np.float64)
        self.root: Any = None if weight is None else xp.sqrt(weight)
        self.y_mean = xp.zeros(y.shape[1])
        self.unit: Any = None
        self.row_mean: Any = None
        K = xp.ascontiguousarray(K, np.float64)  # else no view of its diagonal could be written
        largest = float(abs(K.diagonal()).max())
        if not np.isfinite(largest):
            raise ValueError(
                "Kernel values overflow float64; bring features to a smaller scale first."
            )
        # Centring takes off what is common to all values, but not the rounding of them.
        self.rounding = n * 1e-15 * largest
        self.uneven = fit_intercept and is_uneven(weight, xp, _UNEVEN)
        if fit_intercept:
            share = xp.full(n, 1 / n) if weight is None else weight / weight.sum()
            self.unit = xp.sqrt(share)
            self.row_mean = share @ K
            K -= self.row_mean
            K -= (self.row_mean - share @ self.row_mean)[:, None]
            self.y_mean = share @ self.targets
        self.kernel = K
        self.y = self._scaled(self.targets - self.y_mean)

    def original(self, weighted: Any) -> tuple[Any, Any]:
        """Return coefficients and intercepts in terms of the kernel as it was given."""
        if self.row_mean is None:
            return self._scaled(weighted), self.y_mean
        # Coefficients sum to 0, or decisions get what is common to all kernel values, too.
        dual = self._scaled(weighted - self.unit[:, None] * (self.unit @ weighted))
        return dual, self.y_mean - self.row_mean @ dual

    def _weighted(self) -> Any:
        """Return s K s, which is the kernel itself where there are no weights."""
        return self.kernel if self.root is None else self._scaled(self.kernel) * self.root

    def _refuse_spectrum(self) -> None:
        if not self.may_diagonalise:
            raise ValueError(
                "The kernel matrix is too close to singular for a Cholesky factorisation, and an "
                f"eigendecomposition of {self.y.shape[0]} rows takes "
                f"{say_bytes(48 * self.y.shape[0] ** 2)}: raise `memory_limit`, or the penalty."
            )

    def _scaled(self, rows: Any) -> Any:
        return rows if self.root is None else self.root[:, None] * rows
