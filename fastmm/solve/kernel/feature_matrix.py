r"""The recursion of feature machines: fit, and measure distances by the gradients of the fit.

With :math:`k_M(x, z) = \exp(-\gamma |x - z|_M)`, :math:`|u|_M^2 = u^\top M u`, and
coefficients a, the gradient of :math:`f(x) = \sum_j a_j k_M(x, x_j) + b` is

.. math:: \nabla f(x) = -\gamma M \sum_j a_j \frac{k_M(x, x_j)}{|x - x_j|_M} (x - x_j) ,

0 where x = x_j, and -2 gamma M sum_j a_j k_M (x - x_j) for exp(-gamma |x - z|_M^2). All of
them are one matrix product of the n x n weights with the rows times their coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.solve.kernel.system import KernelSystem
from fastmm.solve.ridge.design import pieces

__all__ = ["Metric", "Stage", "gradient_products", "stages"]

_BLOCK = 1 << 20  # values of a matrix that are worked on at once


class Metric(NamedTuple):
    """Distances by a feature matrix (d, d), or its diagonal (d,), less a common origin."""

    name: str  # "laplace" | "rbf"
    gamma: float
    matrix: Any
    origin: Any

    def root(self, xp: Any) -> Any:
        """Return a root of the feature matrix (d, d), or that of its diagonal (d,)."""
        if self.matrix.ndim == 1:
            return xp.sqrt(self.matrix)
        values, vectors = xp.linalg.eigh(self.matrix)
        vectors *= xp.sqrt(values.clip(0))
        return vectors

    def features(self, X: Any, root: Any) -> Any:
        """Return rows of which plain distances are those of the metric, float64."""
        X = X - self.origin
        if root.ndim == 2:
            return X @ root
        X *= root
        return X

    def squares(self, left: Any, right: Any, xp: Any) -> Any:
        """Return the squared distances of `features`; None on the right: of them all."""
        inner = left @ (left if right is None else right).T
        if right is None:
            norms = (inner.diagonal().copy(),) * 2
        else:
            norms = xp.einsum("ij,ij->i", left, left), xp.einsum("ij,ij->i", right, right)
        for rows in _blocks(inner):  # in place: another matrix might not fit
            scale, found = norms[0][rows, None] + norms[1], inner[rows]
            found *= -2.0
            found += scale
            # Of equal rows rounding would be left, whose root is no small number any more.
            scale *= 4 * left.shape[1] * np.finfo(np.float64).eps
            found[found <= scale] = 0.0
        return inner

    def kernel(self, squares: Any, xp: Any) -> Any:
        """Return the kernel of squared distances."""
        far = xp.sqrt(squares) if self.name == "laplace" else squares.copy()
        far *= -self.gamma
        return xp.exp(far, out=far)

    def slopes(self, squares: Any, gram: Any, xp: Any) -> Any:
        """Return what weighs x - z in the gradient, less its sign and the feature matrix.

        In the memory of the squared distances.
        """
        for rows in _blocks(squares):
            if self.name == "rbf":
                squares[rows] = 2.0 * self.gamma * gram[rows]
                continue
            far = xp.sqrt(squares[rows])
            apart = far > 0
            far[~apart] = 1.0
            squares[rows] = self.gamma * xp.where(apart, gram[rows] / far, 0.0)
        return squares


def _blocks(matrix: Any) -> list[slice]:
    step = max(1, _BLOCK // max(1, matrix.shape[1]))
    return [slice(i, i + step) for i in range(0, matrix.shape[0], step)]


class Stage(NamedTuple):
    """A fit of the recursion: coefficients (n, targets) of `rows` for a metric."""

    metric: Metric
    rows: Any  # (n, d)
    dual: Any
    intercept: Any

    def predict(self, X: Any, xp: Any) -> Any:
        """Return the values (m, targets) at new rows, float64."""
        root = self.metric.root(xp)
        right = self.metric.features(self.rows, root)
        parts, step = [], max(1, 4 * _BLOCK // right.shape[0])
        for some in (slice(i, i + step) for i in range(0, X.shape[0], step)):
            left = self.metric.features(X[some], root)
            parts.append(self.metric.kernel(self.metric.squares(left, right, xp), xp) @ self.dual)
        return xp.concatenate(parts) + self.intercept


def stages(
    X: Any,
    y: Any,
    weight: Any,
    metric: Metric,
    alpha: float,
    iterations: int,
    space: Space,
    *,
    may_diagonalise: bool = True,
) -> Iterator[Stage]:
    """Yield the fit with the metric as given, and one after each time it has learned.

    y is (n, targets), float64. `may_diagonalise` says whether the memory allows it.
    """
    xp, X = space.xp, X.astype(np.float64)
    share = xp.full(X.shape[0], 1 / X.shape[0]) if weight is None else weight / weight.sum()
    metric = metric._replace(origin=share @ X)
    rows = X - metric.origin
    spread = _spread(rows, share, metric.matrix.ndim == 2)
    alphas = np.full(y.shape[1], alpha)
    for turn in range(iterations + 1):
        features = metric.features(X, metric.root(xp))
        squares = metric.squares(features, None, xp)
        del features
        squares.ravel()[:: squares.shape[0] + 1] = 0.0
        gram = metric.kernel(squares, xp)
        slopes = metric.slopes(squares, gram, xp) if turn < iterations else None
        del squares
        system = KernelSystem(gram, y, weight, True, space, may_diagonalise=may_diagonalise)
        dual, intercept = system.original(system.solve(alphas)[0])
        del gram, system
        yield Stage(metric, X, dual, intercept)
        if slopes is None:
            return
        learned = gradient_products(rows, slopes, dual, share, metric.matrix, xp)
        metric = metric._replace(matrix=_rescaled(learned, metric.matrix, spread))


def gradient_products(rows: Any, slopes: Any, dual: Any, share: Any, matrix: Any, xp: Any) -> Any:
    """Return the weighted mean of grad f grad f', (d, d), or its diagonal (d,)."""
    d = rows.shape[1]
    full = matrix.ndim == 2
    total = xp.zeros((d, d) if full else d)
    root = xp.sqrt(share)[:, None]
    for target in range(dual.shape[1]):
        a = dual[:, target]
        along = slopes @ a
        for columns in _column_sets(rows, full):
            part = rows[:, columns]
            gradients = slopes @ (a[:, None] * part)
            gradients -= along[:, None] * part
            gradients *= root
            if full:
                total += gradients.T @ gradients
            else:
                total[columns] += (gradients**2).sum(axis=0)
    return matrix @ total @ matrix if full else matrix * total * matrix


def _spread(rows: Any, share: Any, full: bool) -> Any:
    """Return the weighted covariance (d, d) of centred rows, or the variances (d,)."""
    total: Any = 0.0
    for some in pieces(*rows.shape):
        part = rows[some]
        total = total + ((part * share[some, None]).T @ part if full else share[some] @ part**2)
    return total


def _column_sets(rows: Any, full: bool) -> list[slice]:
    """Return the columns whose gradients are made at once: all, where their products count."""
    n, d = rows.shape
    step = d if full else max(1, 4 * _BLOCK // n)
    return [slice(i, i + step) for i in range(0, d, step)]


def _rescaled(learned: Any, before: Any, spread: Any) -> Any:
    """Keep the mean squared distance of the rows, and with it the width of the kernel."""
    full = learned.ndim == 2
    size, found = float((before * spread).sum()), float((learned * spread).sum())
    if not (np.isfinite(found) and found > 0 and size > 0):
        return before  # the fit is constant: no direction matters more than another
    learned = learned * (size / found)
    return (learned + learned.T) / 2 if full else learned
