"""Kernel ridge regression on few centres, whose n x m kernel need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.solve.conjugate import solve_shifted
from fastmm.solve.grouped import Folds
from fastmm.solve.held_out import held_out_predictions, held_out_residuals
from fastmm.solve.kernel.products import KernelProducts
from fastmm.solve.pivots import solve_upper, upper_factor
from fastmm.solve.ridge.design import pieces
from fastmm.solve.spd import cholesky

__all__ = ["NystromProblem", "NystromSolution", "draw_centres"]


class NystromSolution(NamedTuple):
    """Coefficients (m, targets) of the centres, intercepts (targets,), and the effort."""

    dual: Any
    intercept: Any
    n_iter: int
    residual: np.ndarray[Any, Any]


def draw_centres(
    n: int, m: int, weight: np.ndarray[Any, Any] | None, seed: int
) -> np.ndarray[Any, Any]:
    """Draw `m` of `n` rows with weight, all alike, in their order.

    Parameters
    ----------
    n, m : int
        Rows, and how many of them to draw; all with weight where there are fewer.
    weight : array of shape (n,), or None, on the host
        Weight of each row.
    seed : int
        Seed of the drawing.

    Returns
    -------
    ndarray of shape (m,), intp
        Numbers of the rows.

    Examples
    --------
    >>> draw_centres(3, 5, np.array([1.0, 0.0, 2.0]), 0)
    array([0, 2])
    """
    rows = np.arange(n) if weight is None else np.flatnonzero(weight)
    drawn = np.random.default_rng(seed).choice(rows, min(m, rows.size), replace=False)
    return np.sort(drawn)


class NystromProblem:
    r"""Ridge regression on the functions that m centres span.

    .. math::

        \min_{a, b} \sum_i w_i \Bigl(y_i - \sum_j a_j k(x_i, z_j) - b\Bigr)^2
        + \alpha\, a^\top K_{mm} a

    With U'U = K_mm it is an ordinary ridge regression, of features K_nm U^-1 and the
    coefficients v = U a. Its Gram matrix G is never formed: conjugate gradients take
    products with it in one pass over K_nm each, and

    .. math:: G \approx U (D - d d^\top / 1^\top d) U^\top, \quad D = \mathrm{diag}(d),

    where the centres stand for all rows, d their weights times n / m, is the
    preconditioner of Falkon.

    Parameters
    ----------
    products : KernelProducts
        K_nm, of the rows and the centres.
    gram : array of shape (m, m), float64
        K_mm.
    y : array of shape (n, targets), float64
        Targets.
    weight : array of shape (n,), or None
        Weights.
    centres : ndarray of shape (m,), intp, on the host
        Rows that are the centres.
    fit_intercept : bool
        Whether b is free.
    space : Space
        Where the arrays live.

    References
    ----------
    .. [1] Rudi, A., Carratino, L., & Rosasco, L. (2017). FALKON: An optimal large scale
       kernel method. NeurIPS 30. https://doi.org/10.48550/arXiv.1705.10958
    """

    def __init__(
        self,
        products: KernelProducts,
        gram: Any,
        y: Any,
        weight: Any,
        centres: np.ndarray[Any, Any],
        fit_intercept: bool,
        space: Space,
    ) -> None:
        xp, n = space.xp, y.shape[0]
        self.products, self.weight, self.space = products, weight, space
        self.root: Any = None if weight is None else xp.sqrt(weight)
        self.upper = upper_factor(gram, space)
        self.targets = y
        total = float(n if weight is None else weight.sum())
        every = xp.ones(n) if weight is None else weight
        at = space.asarray(centres)
        self.centre_weight = every[at] * (total / float(every[at].sum()))
        # With the intercept taken out, K_nm loses its weighted column means.
        self.share: Any = every / total if fit_intercept else None
        self.y_mean = xp.zeros(y.shape[1]) if self.share is None else self.share @ y
        weighted = every[:, None] * (y - self.y_mean)
        both = (
            weighted if self.share is None else xp.concatenate([weighted, every[:, None]], axis=1)
        )
        sums = products.transposed_times(both)
        self.right = self._down(sums[:, : y.shape[1]])
        self.mean: Any = None if self.share is None else self._down(sums[:, -1:] / total)
        self.total = total

    def solve(self, alphas: np.ndarray[Any, Any], tol: float, max_iter: int) -> NystromSolution:
        """Solve for one alpha of each target, positive, on the host."""
        found = solve_shifted(
            self._gram_times, self.right, alphas, precondition=self._preconditioner(alphas),
            tol=tol, max_iter=max_iter, xp=self.space.xp,
        )  # fmt: skip
        dual = solve_upper(self.upper, found.solution, self.space)
        intercept = self.y_mean
        if self.mean is not None:
            intercept = intercept - self.mean[:, 0] @ found.solution
        return NystromSolution(dual, intercept, found.n_iter, found.residual)

    def held_out(self, solution: NystromSolution, alphas: Any, folds: Folds) -> Any:
        """Return predictions (n, targets), each by the fit without its fold.

        The centres stay, whose targets have no part in it. Takes n m^2 flops, and the
        features of one fold at a time.
        """
        xp = self.space.xp
        fitted = xp.concatenate([block @ solution.dual for _, block in self.products.row_blocks()])
        residual = self.targets - fitted - solution.intercept
        residual = residual if self.root is None else self.root[:, None] * residual
        gram = self._gram_times(xp.eye(self.upper.shape[0]))
        predicted = xp.empty_like(self.targets)
        for alpha in np.unique(alphas):
            at = xp.asarray(np.flatnonzero(alphas == alpha))
            shifted = gram.copy()
            shifted.ravel()[:: gram.shape[0] + 1] += alpha
            solve = cholesky(shifted, self.space)
            if solve is None:
                raise ValueError("The centres' kernel is too close to singular for this `alpha`.")
            predicted[:, at] = self._held_out_at(solve, residual[:, at], at, folds)
        return predicted

    def _held_out_at(self, solve: Any, residual: Any, at: Any, folds: Folds) -> Any:
        xp = self.space.xp

        def blocks(rows: Any) -> Any:
            made = []
            for some in pieces(rows.shape[0], rows.shape[1] * self.upper.shape[0]):
                few = rows[some]
                part = self._features(few.reshape(-1))
                if self.root is not None:
                    part = self.root[few.reshape(-1), None] * part
                part = part.reshape(*few.shape, -1)
                back = solve(part.reshape(-1, part.shape[2]).T).T.reshape(part.shape)
                block = xp.eye(few.shape[1]) - part @ back.swapaxes(1, 2)
                if self.share is not None:
                    unit = xp.sqrt(self.share[few])
                    block -= unit[:, :, None] * unit[:, None, :]
                made.append(block)
            return xp.concatenate(made)

        def smoother(rows: Any) -> Any:
            back = solve(self._features(rows).T)
            lines = self.products.times(solve_upper(self.upper, back, self.space))
            if self.mean is not None:
                lines = lines - self.mean.T @ back
            lines = (self.root[:, None] * lines).T
            return lines if self.share is None else lines + self.root / self.total

        held = held_out_residuals(folds, blocks, residual, xp)
        return held_out_predictions(
            folds, self.targets[:, at], held, self.root, smoother, self.space
        )

    def _features(self, rows: Any) -> Any:
        """Return the centred features (r, m) of some rows."""
        products = self.products
        part = KernelProducts(products.function, products.X[rows], products.Z, self.space)
        block = self._down(self.space.xp.concatenate([tile for _, tile in part.row_blocks()]).T).T
        return block if self.mean is None else block - self.mean.T

    def _gram_times(self, columns: Any) -> Any:
        rows = solve_upper(self.upper, columns, self.space)
        found = self._down(self.products.normal_times(rows, self.weight))
        if self.mean is not None:
            found -= self.total * self.mean * (self.mean.T @ columns)
        return found

    def _preconditioner(self, alphas: np.ndarray[Any, Any]) -> Callable[[Any, Any], Any]:
        xp, U, d = self.space.xp, self.upper, self.centre_weight
        gram = (U * d) @ U.T
        if self.mean is not None:
            mean = U @ d
            gram -= mean[:, None] * (mean / float(d.sum()))
        solvers = {}
        for alpha in np.unique(alphas):
            shifted = gram.copy()
            shifted.ravel()[:: gram.shape[0] + 1] += alpha
            solvers[float(alpha)] = upper_factor(shifted, self.space)

        def precondition(columns: Any, shifts: np.ndarray[Any, Any]) -> Any:
            out = xp.empty_like(columns)
            for alpha in np.unique(shifts):
                at = xp.asarray(np.flatnonzero(shifts == alpha))
                upper = solvers[float(alpha)]
                half = solve_upper(upper, columns[:, at], self.space, transposed=True)
                out[:, at] = solve_upper(upper, half, self.space)
            return out

        return precondition

    def _down(self, columns: Any) -> Any:
        """Turn sums over centres into those of the features, U'^-1 times them."""
        return solve_upper(self.upper, columns, self.space, transposed=True)
