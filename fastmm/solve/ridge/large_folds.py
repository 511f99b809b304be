r"""Residuals of folds of so many rows that systems of the columns are the smaller ones.

Let E = (B, u) hold the basis, in which the penalty is diagonal, and the direction of the
intercept, and :math:`D = \mathrm{diag}(1 / (\Lambda + \alpha), 1)`. What a fold g of m rows
needs the inverse of is :math:`C_{gg} = I - A A^\top` with :math:`A = E_g D^{1/2}`, m x m, and

.. math::

    C_{gg}^{-1} = I + A S^{-1} A^\top, \quad S = I - A^\top A
    = D^{1/2} \Bigl(\sum_{h \ne g} E_h^\top E_h + \mathrm{diag}(\alpha, 0)\Bigr) D^{1/2} .

The sums are over the rows of the other folds, never a difference, so that no digits are lost.
The eigenvalues of S are those of :math:`C_{gg}`, but for ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.chunked.sums import others
from fastmm.solve.spd import RCOND

__all__ = ["LargeFolds", "prefers_columns"]


def prefers_columns(m: int, d: int, targets: int) -> bool:
    """Say whether systems of d columns take fewer flops than those of m rows, for a penalty."""
    by_rows = m**2 * d + 2 / 3 * m**3 + 2 * m**2 * targets
    by_columns = m * d**2 + 2 / 3 * d**3 + (4 * m * d + 2 * d**2) * targets
    return by_columns < by_rows


class LargeFolds:
    """Some folds of a problem, and the sums over the rows of all others for each.

    Parameters
    ----------
    basis : array of shape (n, d)
        B.
    unit : array of shape (n,), or None
        u; None without an intercept.
    folds : list of arrays of shape (m,), on the host
        Rows of the folds.
    space : Space
        Where the arrays live.
    """

    def __init__(self, basis: Any, unit: Any, folds: list[np.ndarray[Any, Any]], space: Space):
        self.basis, self.unit, self.folds, self.space = basis, unit, folds, space
        rest = np.ones(basis.shape[0], bool)
        for rows in folds:
            rest[rows] = False
        outside = self._products(np.flatnonzero(rest)) if rest.any() else None
        self.sums = list(others([self._products(rows) for rows in folds], outside))

    def solve(
        self, residual: Any, damping: Any, alphas: Any, suspects: list[int]
    ) -> list[tuple[int, Any]]:
        """Turn C y (alphas, n, targets) into the residuals held out, on the rows of the folds.

        Return pairs (place of alpha, rows) whose fit without them is not determined; of the
        `suspects` alone, which are left as they are.
        """
        weak: list[tuple[int, Any]] = []
        for rows, sums in zip(self.folds, self.sums, strict=True):
            at = self.space.asarray(rows)
            part = self._part(at)
            for i, (line, alpha) in enumerate(zip(damping, alphas, strict=True)):
                root, inner = self._inner(sums, line, alpha)
                if i in suspects and float(self.space.xp.linalg.eigvalsh(inner)[0]) < RCOND:
                    weak.append((i, rows))
                    continue
                right = residual[i, at]
                found = self.space.xp.linalg.solve(inner, root * (part.T @ right))
                residual[i, at] = right + part @ (root * found)
        return weak

    def _inner(self, sums: Any, line: Any, alpha: float) -> tuple[Any, Any]:
        """Return the diagonal of D^1/2, as a column, and S."""
        xp, d = self.space.xp, line.size
        root = xp.ones(sums.shape[0])
        root[:d] = xp.sqrt(line)
        inner = sums * root
        inner *= root[:, None]
        # A direction that nothing extends in has no part in A, where alpha is 0.
        inner.ravel()[: d * (len(root) + 1) : len(root) + 1] += xp.where(line > 0, alpha * line, 1)
        return root[:, None], inner

    def _part(self, at: Any) -> Any:
        part = self.basis[at]
        if self.unit is None:
            return part
        return self.space.xp.concatenate([part, self.unit[at][:, None]], axis=1)

    def _products(self, rows: np.ndarray[Any, Any]) -> Any:
        part = self._part(self.space.asarray(rows))
        return part.T @ part
