r"""Designs whose columns differ by many orders of magnitude, in the digits each of them has.

A singular value decomposition moves every column by rounding of the *largest* one. Where that
is more than what the penalty leaves of a small column, its coefficient is noise, and so is what
it should have explained. Householder reflections move each column by rounding of *its own*
length [1]_, if the matrix that they turn is made for it:

- to d <= n: :math:`(X; \sqrt\alpha I) = Q R`, columns brought to one length. Then
  :math:`H = Q_1 Q_1^\top` with :math:`Q_1` the rows of X;
- beyond: :math:`(X^\top; \sqrt\alpha I) W = Q R`, rows in descending order [2]_, and W a random
  rotation, in place of the exchange of columns: it leaves no leading entry small against its
  row. Then :math:`(X X^\top + \alpha I)^{-1} = W R^{-1} R^{-\top} W^\top`.

One factorisation for each penalty, each at a third of the cost of the decomposition.

References
----------
.. [1] Higham, N. J. (2002). Accuracy and Stability of Numerical Algorithms, 2nd ed., 20.1. SIAM.
   https://doi.org/10.1137/1.9780898718027
.. [2] Cox, A. J., & Higham, N. J. (1998). Stability of Householder QR factorization for weighted
   least squares problems. Numerical Analysis 1997, Pitman Research Notes in Mathematics 380,
   57-73.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.grouped import Folds
from fastmm.solve.ridge.accuracy import Condition
from fastmm.solve.ridge.design import Design
from fastmm.solve.ridge.spectral import Complement, Spectrum, singular_spectrum

__all__ = [
    "SINGULAR",
    "Columns",
    "GradedSpectrum",
    "OneAlpha",
    "factorise_columns",
    "is_graded",
    "residuals_of_rows",
]

_EPS = float(np.finfo(np.float64).eps)
_LOSS = 1e-10  # relative to a column and its penalty, what rounding of the largest may be
SINGULAR = 1e10  # condition beyond which, without a penalty, the least norm has to decide


def is_graded(squares: Any, smallest_alpha: float) -> bool:
    """Say whether columns with these squared lengths (d,) differ too much for an SVD."""
    lengths = squares + smallest_alpha
    lengths = lengths[lengths > 0]
    if lengths.size == 0:
        return False
    largest, smallest = float(squares.sum()), float(lengths.min())
    return largest > (_LOSS / _EPS) ** 2 * smallest


class Columns(NamedTuple):
    """Q_1 (n, d), V (d, d) with A V = Q_1, and the condition number of the scaled columns."""

    basis: Any
    vectors: Any
    condition: float


def factorise_columns(A: Any, alpha: float, xp: Any) -> Columns:
    """Factorise (A; sqrt(alpha) I), its columns brought to one length."""
    d = A.shape[1]
    lengths = xp.sqrt(xp.einsum("ij,ij->j", A, A) + alpha)
    # Powers of two, so that nothing is rounded.
    scale = 2.0 ** xp.round(xp.log2(xp.where(lengths > 0, lengths, 1.0)))
    whole = A / scale
    if alpha > 0:
        whole = xp.concatenate([whole, xp.diag(alpha**0.5 / scale)])
    Q, R = xp.linalg.qr(whole)
    inverse, condition = _inverted(R, xp)
    return Columns(Q[: A.shape[0]], inverse / scale[:, None], condition / d**0.5)


class OneAlpha(Spectrum):
    """A basis in which the penalty it was made for is no longer to be seen."""

    __slots__ = ()

    def damping(self, alpha: Any) -> Any:
        """Return ones: the penalty is in the basis."""
        return (self.values > 0).astype(np.float64)


class GradedSpectrum:
    """The weighted, centred problem, factorised for each penalty as it is asked for."""

    kind = "svd"  # X itself, which the names of solvers call by what is usual

    def __init__(self, design: Design) -> None:
        self.design, self.xp = design, design.xp
        n, d = design.shape
        self.matrix = design.whole()
        self.rows = n if design.unit is None else n - 1
        self.primal = d <= self.rows
        self._known: tuple[float, Spectrum] | None = None
        self._numbers: dict[float, float] = {}
        self._turn: Any = None

    def at(self, alpha: float) -> Spectrum:
        """Return the basis for one penalty."""
        if self._known is None or self._known[0] != alpha:
            spectrum, condition = (self._columns if self.primal else self._rows)(alpha)
            if alpha == 0 and not condition < SINGULAR:
                spectrum = singular_spectrum(self.design)
            self._known, self._numbers[alpha] = (alpha, spectrum), condition
        return self._known[1]

    def condition(self, alpha: float, lengths: Any, xp: Any) -> Condition:
        """Return what the digits for a penalty depend on; `lengths` (d,) of its columns."""
        if alpha not in self._numbers:
            self.at(alpha)
        number = self._numbers[alpha]
        if alpha == 0 and not number < SINGULAR:
            return self.at(alpha).condition(alpha, lengths, xp)
        return Condition(number)

    def rank(self) -> int:
        """Count the directions in which the design extends."""
        return self.at(0.0).rank()

    def coefficients(self, y: Any, alpha: Any) -> Any:
        """Return the coefficients (d, targets); alpha is one number, or (targets, 1)."""
        if np.ndim(alpha) == 0:
            return self.at(float(alpha)).coefficients(y, float(alpha))
        alphas = np.array([float(each) for each in alpha[:, 0]])
        found = self.xp.empty((self.design.shape[1], y.shape[1]))
        for each in np.unique(alphas):
            at = self.xp.asarray(np.flatnonzero(alphas == each))
            found[:, at] = self.at(float(each)).coefficients(y[:, at], float(each))
        return found

    def _columns(self, alpha: float) -> tuple[Spectrum, float]:
        found = factorise_columns(self.matrix, alpha, self.xp)
        vectors = found.vectors
        made = OneAlpha("svd", True, found.basis, self._endless(), lambda z: vectors @ z)
        return made, found.condition

    def _rows(self, alpha: float) -> tuple[Spectrum, float]:
        xp, k = self.xp, self.rows
        if self._turn is None:
            self._turn = self._rotation()
        turn, turned = self._turn
        whole = turned.T
        if alpha > 0:
            whole = xp.concatenate([whole, alpha**0.5 * xp.eye(k)])
        order = xp.argsort(-xp.abs(whole).max(axis=1))
        Q, R = xp.linalg.qr(whole[order])
        lengths = xp.sqrt((R * R).sum(axis=1))
        # Rows of one length: what they are scaled by is no loss.
        even = xp.where(lengths > 0, lengths, 1.0)[:, None]
        inverse, condition = _inverted(R / even, xp)
        inverse = inverse / even.T
        plain = xp.empty_like(Q)
        plain[order] = Q
        top = plain[: self.design.shape[1]]
        basis = turn @ inverse
        return OneAlpha("svd", False, basis, self._endless(), lambda z: top @ z), condition / k

    def _rotation(self) -> tuple[Any, Any]:
        """Return orthogonal columns (n, k), without the intercept's direction, and their X."""
        xp, k = self.xp, self.rows
        draws = np.random.default_rng(0).standard_normal((k, k))
        turn, _ = xp.linalg.qr(xp.asarray(draws))
        X = self.matrix
        if self.design.unit is None:
            return turn, turn.T @ X
        complement = Complement(self.design.unit, xp)
        return complement.vectors(turn), turn.T @ complement.coordinates(X)

    def _endless(self) -> Any:
        # As eigenvalues: beside them any penalty is small, so that every fold is looked at.
        return self.xp.full(min(self.rows, self.design.shape[1]), np.inf)


def residuals_of_rows(basis: Any, inner: Any, folds: Folds, xp: Any) -> Any:
    r"""Return the residuals (n, targets) held out, from C = basis basis' and basis' y.

    By :math:`e_g = (B_g^\top)^+ B^\top y`, since :math:`B_g B_g^\top` would square how far the
    columns of B differ; their last ones, the largest, come first.
    """
    found, lines, inner = xp.empty((basis.shape[0], inner.shape[1])), basis[:, ::-1], inner[::-1]
    for batch in folds.batches:
        for rows in batch:
            at = xp.asarray(rows)
            Q, R = xp.linalg.qr(lines[at].T)
            found[at] = xp.linalg.solve(R, Q.T @ inner)
    return found


def _inverted(R: Any, xp: Any) -> tuple[Any, float]:
    """Return the inverse of a triangular matrix, and the product of their Frobenius norms."""
    size = xp.abs(R.diagonal())
    if not bool((size > 0).all()):
        return xp.zeros_like(R), np.inf
    # Solving with a triangular matrix exchanges no rows: it is substitution.
    inverse = xp.linalg.solve(R, xp.eye(R.shape[0]))
    return inverse, float(xp.linalg.norm(R) * xp.linalg.norm(inverse))
