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


class Metric(NamedTuple):
    """Distances by a feature matrix (d, d), or its diagonal (d,), less a common origin."""

    name: str  # "laplace" | "rbf"
    gamma: float
    matrix: Any
    origin: Any

    def features(self, X: Any, xp: Any) -> Any:
        """Return rows of which plain distances are those of the metric, float64."""
        X = X - self.origin
        if self.matrix.ndim == 1:
            return X * xp.sqrt(self.matrix)
        values, vectors = xp.linalg.eigh(self.matrix)
        return X @ (vectors * xp.sqrt(values.clip(0)))

    def squares(self, left: Any, right: Any, xp: Any) -> Any:
        """Return the squared distances of `features`; None on the right: of them all."""
        inner = left @ (left if right is None else right).T
        if right is None:
            norms = (inner.diagonal().copy(),) * 2
        else:
            norms = xp.einsum("ij,ij->i", left, left), xp.einsum("ij,ij->i", right, right)
        scale = norms[0][:, None] + norms[1]
        found = scale - 2.0 * inner
        # Of equal rows rounding would be left, whose root is no small number any more.
        scale *= 4 * left.shape[1] * np.finfo(np.float64).eps
        return xp.where(found > scale, found, 0.0)

    def kernel(self, squares: Any, xp: Any) -> Any:
        """Return the kernel of squared distances."""
        far = xp.sqrt(squares) if self.name == "laplace" else squares
        return xp.exp(-self.gamma * far)

    def slopes(self, squares: Any, gram: Any, xp: Any) -> Any:
        """Return what weighs x - z in the gradient, less its sign and the feature matrix."""
        if self.name == "rbf":
            return 2.0 * self.gamma * gram
        far = xp.sqrt(squares)
        return self.gamma * xp.where(far > 0, gram / xp.where(far > 0, far, 1.0), 0.0)


class Stage(NamedTuple):
    """A fit of the recursion: coefficients (n, targets) of `rows` for a metric."""

    metric: Metric
    rows: Any  # (n, d)
    dual: Any
    intercept: Any

    def predict(self, X: Any, xp: Any) -> Any:
        """Return the values (m, targets) at new rows, float64."""
        right = self.metric.features(self.rows, xp)
        parts = []
        for some in pieces(X.shape[0], right.shape[0]):
            left = self.metric.features(X[some], xp)
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
) -> Iterator[Stage]:
    """Yield the fit with the metric as given, and one after each time it has learned.

    y is (n, targets), float64.
    """
    xp, X = space.xp, X.astype(np.float64)
    share = xp.full(X.shape[0], 1 / X.shape[0]) if weight is None else weight / weight.sum()
    metric = metric._replace(origin=share @ X)
    rows = X - metric.origin
    covariance = (rows * share[:, None]).T @ rows
    alphas = np.full(y.shape[1], alpha)
    for turn in range(iterations + 1):
        features = metric.features(X, xp)
        squares = metric.squares(features, None, xp)
        squares.ravel()[:: squares.shape[0] + 1] = 0.0
        gram = metric.kernel(squares, xp)
        slopes = metric.slopes(squares, gram, xp) if turn < iterations else None
        del squares
        system = KernelSystem(gram, y, weight, True, space)
        dual, intercept = system.original(system.solve(alphas)[0])
        del gram, system
        yield Stage(metric, X, dual, intercept)
        if slopes is None:
            return
        learned = gradient_products(rows, slopes, dual, share, metric.matrix, xp)
        metric = metric._replace(matrix=_rescaled(learned, metric.matrix, covariance))


def gradient_products(rows: Any, slopes: Any, dual: Any, share: Any, matrix: Any, xp: Any) -> Any:
    """Return the weighted mean of grad f grad f', (d, d), or its diagonal (d,)."""
    d = rows.shape[1]
    full = matrix.ndim == 2
    total = xp.zeros((d, d) if full else d)
    root = xp.sqrt(share)[:, None]
    for target in range(dual.shape[1]):
        a = dual[:, target]
        gradients = root * ((slopes @ a)[:, None] * rows - slopes @ (a[:, None] * rows))
        total += gradients.T @ gradients if full else (gradients**2).sum(axis=0)
    return matrix @ total @ matrix if full else matrix * total * matrix


def _rescaled(learned: Any, before: Any, covariance: Any) -> Any:
    """Keep the mean squared distance of the rows, and with it the width of the kernel."""
    full = learned.ndim == 2
    variances = covariance if full else covariance.diagonal()
    size, found = float((before * variances).sum()), float((learned * variances).sum())
    if not (np.isfinite(found) and found > 0 and size > 0):
        return before  # the fit is constant: no direction matters more than another
    learned = learned * (size / found)
    return (learned + learned.T) / 2 if full else learned
