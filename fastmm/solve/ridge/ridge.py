"""Ridge regression for given penalties: from all rows at once, or from rows as they come."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import one_of
from fastmm.solve._inputs import Training, rank_warning, take_training
from fastmm.solve.chunked.base import Rows
from fastmm.solve.ridge.accuracy import digits_warning
from fastmm.solve.ridge.grid import RidgeGrid
from fastmm.solve.ridge.iterative import iterative_pays, solve_ridge_iteratively
from fastmm.solve.ridge.solution import solve_ridge
from fastmm.solve.ridge.stream import SOLVERS, RidgeStream

__all__ = ["Ridge"]

_FITTED = ("statistics_", "cv_predictions_")


class Ridge(RidgeStream):
    r"""Ridge regression with exact leave-one-group-out predictions.

    .. math:: \min_{\beta, b} \sum_i w_i (y_i - x_i^\top \beta - b)^2 + \alpha \|\beta\|^2

    Parameters
    ----------
    alpha : float, array of shape (targets,), or one float for each block, default 1.0
        Penalty, not negative; an array has one for each target. 0 gives the minimum-norm
        least-squares solution, with a warning where the design has not full column rank.
        With `blocks`, a dict or a list of positive penalties, or one for all.
    fit_intercept : bool, default True
        Whether to fit an intercept, which is not penalised.
    blocks : dict of name to columns, or list of columns, optional
        Columns of each block (modality), as slices or arrays of indices, such as the
        slices of :class:`fastmm.StackedFeatures`; each column in one block. The penalty is
        then :math:`\sum_b \alpha_b \|\beta_b\|^2`.
    solver : {"auto", "primal", "dual", "svd", "iterative"}, default "auto"
        What to factorise: X'X, XX' or X; or nothing. "auto" takes the smaller of the Gram
        matrices, and "iterative" where that would take more than half of the memory or 4
        times as long: at about 20,000 rows and features.
    precision : {"float64", "mixed"}, default "float64"
        "mixed" factorises in float32 and refines to the accuracy of float64.
    tol : float, default 1e-10
        Relative error of the fitted values at which "iterative" stops.
    max_iter : int, default 1000
        Iterations of "iterative" at most.
    memory_limit : int, str or None, default None
        Bytes that a fit may take beside `y`, such as ``2 * 10**9`` or "2GB": X is then read in
        chunks, once for the fit and once for what is left out. X may be a NumPy array (as
        `np.load` maps it), zarr, or anything of h5py's kind, with shape, dtype and slices. None
        takes X into memory; dask arrays are always fitted in their chunks.

    Attributes
    ----------
    coef_ : array of shape (d,) or (targets, d), float64
        Coefficients, where the training data live.
    intercept_ : float or array of shape (targets,)
        Intercept; 0.0 if `fit_intercept` is False.
    solver_ : {"primal", "dual", "svd", "iterative"}
        What was factorised: X'X (d <= n), XX' (d > n), or X itself where the Gram matrix
        would lose more than 7 digits, and for `alpha` 0: by singular values, or where columns
        differ by many orders of magnitude, by QR. After `partial_fit`, "primal".
    residual_ : float
        Backward error: by how much, relatively, the data would have to change for `coef_`
        to be exact. After `partial_fit`, that of the normal equations.
    n_iter_ : int
        Iterations taken; 1 where something was factorised.
    statistics_ : dict
        Sums over the rows seen so far; only after `partial_fit`.
    cv_predictions_ : array of shape (n,) or (n, targets), float64
        Out-of-fold predictions in the row order of X; only if `groups` were given.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    Solved in float64 whatever the dtype of the data; the data are centred before any
    product, so that a large mean costs no digits.

    Data larger than memory are read under a `memory_limit`, or given to `partial_fit` piece
    by piece; those on several machines are a dask array, or are seen by models that `merge`
    puts together. Order and pieces do not matter, but by rounding. The sums take d^2 values,
    go into model files with the model (so that it can learn on), and tell of patients only
    sums over the rows; `fit` keeps none.

    References
    ----------
    .. [1] Hoerl, A. E., & Kennard, R. W. (1970). Ridge regression: biased estimation for
       nonorthogonal problems. Technometrics, 12(1), 55-67.
       https://doi.org/10.1080/00401706.1970.10488634
    .. [2] Chan, T. F., Golub, G. H., & LeVeque, R. J. (1983). Algorithms for computing
       the sample variance: analysis and recommendations. The American Statistician,
       37(3), 242-247. https://doi.org/10.1080/00031305.1983.10483115

    Examples
    --------
    >>> from fastmm import Ridge
    >>> Ridge(alpha=0.5).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]).coef_
    array([0.8])
    >>> one = Ridge(alpha=0.5).partial_fit([[0.0], [1.0]], [0.0, 1.0])
    >>> two = Ridge(alpha=0.5).partial_fit([[2.0]], [2.0])
    >>> one.merge(two).coef_
    array([0.8])
    """

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        fit_intercept: bool = True,
        blocks: Any = None,
        solver: str = "auto",
        precision: str = "float64",
        tol: float = 1e-10,
        max_iter: int = 1000,
        memory_limit: int | str | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.blocks = blocks
        self.solver = solver
        self.precision = precision
        self.tol = tol
        self.max_iter = max_iter
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Ridge:
        """Fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d), or dask array
            Rows of features; with `memory_limit` anything that is sliced.
        y : array of shape (n,) or (n, targets)
            Targets, on the same device.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. If given, `cv_predictions_` is set, from an
            eigendecomposition whatever `solver` is; "iterative" is refused.

        Returns
        -------
        Ridge
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit or a parameter is out of its range.
        TypeError
            If the arrays live on different devices.
        """
        solver = one_of(self.solver, "solver", SOLVERS)
        one_of(self.precision, "precision", ("float64", "mixed"))
        if groups is not None and solver == "iterative":
            raise ValueError(
                '`groups` need a factorisation to be left out, which solver="iterative" does '
                'not make; use solver="auto" or give no groups.'
            )
        data = take_training(self, X, y, sample_weight, chunks=True)
        if isinstance(data.X, Rows) and solver == "iterative":
            raise ValueError(
                '`solver="iterative"` needs all rows at once; take "auto" for rows in chunks.'
            )
        for name in _FITTED:
            if hasattr(self, name):
                delattr(self, name)
        self.n_iter_ = 1
        n, d = data.X.shape
        targets = 1 if data.y.ndim == 1 else data.y.shape[1]
        if groups is not None:
            self._leave_out(data, groups, self.alpha, self.blocks)
        elif solver == "iterative" or (
            solver == "auto"
            and not isinstance(data.X, Rows)
            and iterative_pays(n, d, targets, data.space)
        ):
            self._iterate(data, targets)
        else:
            self._factorise(data, solver)
        return self

    def _factorise(self, data: Training, solver: str) -> None:
        found = solve_ridge(
            data.X,
            data.y,
            self.alpha,
            fit_intercept=self.fit_intercept,
            sample_weight=data.weight,
            blocks=self.blocks,
            solver=solver,
            precision=self.precision,
        )
        self.coef_, self.intercept_ = found.coef, found.intercept
        self.solver_, self.residual_ = found.solver, found.residual
        if found.rank < data.X.shape[1]:
            rank_warning(found.rank, data.X.shape[1], stacklevel=4)
        digits_warning(found.error)

    def _iterate(self, data: Training, targets: int) -> None:
        alpha, scale = self._penalties(data.X.shape[1], targets)
        found = solve_ridge_iteratively(
            data.X,
            data.y,
            alpha,
            fit_intercept=self.fit_intercept,
            sample_weight=data.weight,
            scale=None if scale is None else data.space.asarray(scale),
            tol=self.tol,
            max_iter=self.max_iter,
        )
        self.coef_, self.intercept_ = found.coef, found.intercept
        self.solver_, self.residual_, self.n_iter_ = "iterative", found.residual, found.n_iter

    def _keep(self, grid: RidgeGrid, chosen: Any) -> None:
        super()._keep(grid, chosen)
        problem, _ = grid.factorised(0)
        coef = self.coef_.reshape(-1, self.coef_.shape[-1]).T
        if problem.design.scale is not None:
            coef = coef / problem.design.scale[:, None]
        self.residual_ = problem.backward_error(coef, np.array(grid.alphas)[chosen])
