r"""A machine and those without each fold, from one Cholesky factor in float32.

Let A be the matrix of the system, u the direction of the intercept and P = I - u u'. The
machine without the rows g has coefficients z, and leaves residuals e on g, with

.. math:: P (A z + E_g e) = y, \quad z_g = 0, \quad u^\top z = 0

(:math:`E_g` puts a vector on the rows g). A rounded inverse M of A corrects both by what is
left of y, called r:

.. math:: d = M_{gg}^{-1} (M r)_g, \quad e \leftarrow e + d,
    \quad z \leftarrow z + M (r - E_g d) .

What is left is measured in float64, so that rounding costs corrections, not digits: two,
where the condition of A is moderate. A factor and its inverse take half the time in float32,
a correction 6 n^2 flops for each fold and target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmm.solve.fold_order import runs
from fastmm.solve.grouped import Folds
from fastmm.solve.threads import one_thread

if TYPE_CHECKING:
    from fastmm.solve.kernel.bordered import BorderedSystem

__all__ = ["RoundedFolds", "pays"]

_LEAST = 1000  # rows, below which a factor in float64 costs as little
_SHARE = 60  # rows for each column of a correction, below which corrections cost what is gained
_MOST = 8  # corrections
_GAIN = 0.1  # of what is left: a correction that leaves more converges too slowly
_SETTLED = 32  # times rounding: what may be left where a further correction changes nothing
_EPS = float(np.finfo(np.float64).eps)


def pays(system: BorderedSystem, folds: Folds) -> bool:
    """Say whether rounding can be expected to cost less than a factor in float64."""
    n, targets = system.y.shape
    columns = (folds.n_folds + 1) * targets
    if system.space.kind != "cpu" or n < _LEAST or columns * _SHARE > n:
        return False
    return system.root is None or bool((system.root > 0).all())


class RoundedFolds:
    """Solves a system with all rows and without each fold, for one penalty after the other.

    Parameters
    ----------
    system : BorderedSystem
        The system, on the host; all weights are positive.
    folds : Folds
        The partition; the rows of a fold are side by side.
    """

    def __init__(self, system: BorderedSystem, folds: Folds) -> None:
        self.system, self.unit = system, system.unit
        self.rows = [
            slice(start + i * size, start + (i + 1) * size)
            for start, count, size in runs(folds)
            for i in range(count)
        ]
        targets = system.y.shape[1]
        self.columns = [slice(i * targets, (i + 1) * targets) for i in range(len(self.rows))]
        # One eigenvalue for the direction of the intercept, which no right side reaches into.
        self.scale = system.border() or 1.0
        scaled = np.empty(system.kernel.shape, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # nothing converges then
            np.multiply(system.kernel, 1 / self.scale, out=scaled, casting="same_kind")
            if system.root is not None:
                root = system.root.astype(np.float32)
                scaled *= root
                scaled *= root[:, None]
            # Long sums in float32 end in the wrong place, but this is only a bound.
            self.norm = self.scale * float(np.linalg.norm(np.linalg.norm(scaled, axis=1)))
        small = self.unit.astype(np.float32)
        scaled += small[:, None] * small
        self.matrix = scaled

    def solve(self, alpha: float) -> tuple[Any, Any] | None:
        """Return weighted coefficients, and residuals held out; None if that is slow."""
        inverse = _RoundedInverse.of(self, alpha / self.scale)
        if inverse is None:
            return None
        y = self.system.y
        residual = np.zeros(y.shape)
        right = np.asfortranarray(np.tile(y, len(self.rows) + 1))
        dual, left, last = np.zeros_like(right), right, np.inf
        error = np.inf
        for _ in range(_MOST):
            self._correct(inverse, left, dual, residual)
            left = right - self.system.product(dual, alpha)
            for rows, columns in self._folds():
                left[rows, columns] -= residual[rows]
            left -= self.unit[:, None] * (self.unit @ left)
            size = (self.norm + alpha) * _largest(dual) + _largest(right)
            error = float((_largest(left) / (size + (size == 0))).max())
            if error <= _EPS:
                return dual[:, -y.shape[1] :], residual
            if not error <= _GAIN * last:
                break
            last = error
        if error <= _SETTLED * _EPS:
            return dual[:, -y.shape[1] :], residual
        return None

    def _correct(self, inverse: _RoundedInverse, left: Any, dual: Any, residual: Any) -> None:
        size = _largest(left)
        size[size == 0] = 1.0  # float32 has no room for small residuals
        half = inverse.half((left / size).astype(np.float32, order="F"))
        with one_thread(self.system.space):
            for fold, (rows, columns) in enumerate(self._folds()):
                found = inverse.solve_fold(fold, half[:, columns])
                residual[rows] += found * size[columns]
        change = inverse.rest(half) * (size / self.scale)
        for rows, columns in self._folds():
            others = self.unit.copy()
            others[rows] = 0.0
            change[rows, columns] = 0.0
            _take_off(others, change[:, columns])
        _take_off(self.unit, change[:, len(self.rows) * residual.shape[1] :])
        dual += change

    def _folds(self) -> zip[tuple[slice, slice]]:
        return zip(self.rows, self.columns, strict=True)


class _RoundedInverse:
    """S' S in float32, with S = L^-1; less pull u u' within the folds."""

    def __init__(self, lower: Any, folds: RoundedFolds, parts: list[Any], blocks: list[Any]):
        self.lower, self.folds, self.parts, self.blocks = lower, folds, parts, blocks

    @classmethod
    def of(cls, folds: RoundedFolds, alpha: float) -> _RoundedInverse | None:
        """Invert the scaled matrix with `alpha` on the diagonal; None if float32 cannot."""
        from scipy.linalg.blas import ssyrk
        from scipy.linalg.lapack import spotrf, strtri

        matrix = folds.matrix.copy()
        with np.errstate(over="ignore"):
            matrix.ravel()[:: len(matrix) + 1] += np.float32(alpha)
        # LAPACK counts columns first: the transpose of a symmetric matrix spares a copy.
        lower, fault = spotrf(matrix.T, lower=1, clean=1, overwrite_a=1)
        if not fault:
            lower, fault = strtri(lower, lower=1, overwrite_c=1)
        if fault:
            return None
        unit = (folds.unit / (1 + alpha) ** 0.5).astype(np.float32)
        parts, blocks = [], []
        for rows in folds.rows:  # S is zero before the columns of a fold
            part = np.ascontiguousarray(lower.T[rows, rows.start :])
            block = ssyrk(1.0, part.T, trans=1, lower=1) - unit[rows, None] * unit[rows]
            block, fault = spotrf(block, lower=1, overwrite_a=1)
            if fault:
                return None
            parts.append(part)
            blocks.append(block)
        return cls(lower, folds, parts, blocks)

    def half(self, right: Any) -> Any:
        """Return S right, which is overwritten."""
        from scipy.linalg.blas import strmm

        return strmm(1.0, self.lower, right, lower=1, overwrite_b=1)

    def rest(self, right: Any) -> Any:
        """Return S' right, which is overwritten."""
        from scipy.linalg.blas import strmm

        return strmm(1.0, self.lower, right, lower=1, trans_a=1, overwrite_b=1)

    def solve_fold(self, fold: int, half: Any) -> Any:
        """Return d = M_gg^-1 (M r)_g, given S r, from which S E_g d is taken off."""
        from scipy.linalg.blas import sgemm
        from scipy.linalg.lapack import spotrs

        part, start = self.parts[fold], self.folds.rows[fold].start
        found, _ = spotrs(self.blocks[fold], sgemm(1.0, part.T, half[start:], trans_a=1), lower=1)
        half[start:] -= sgemm(1.0, part.T, found)
        return found


def _largest(columns: Any) -> Any:
    return abs(columns).max(axis=0)


def _take_off(direction: Any, columns: Any) -> None:
    columns -= direction[:, None] * ((direction @ columns) / (direction @ direction))
