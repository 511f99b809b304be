"""Kernel ridge regression, in closed form or by conjugate gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import integer, number, one_of
from fastmm._space import telling_of_memory
from fastmm.solve._inputs import Training, take_training
from fastmm.solve.chunked.base import FLOAT, Rows
from fastmm.solve.chunked.rows import gathered, read_whole
from fastmm.solve.grouped import make_folds
from fastmm.solve.kernel.kernel_ridge_fit import SOLVERS, Effort, Task, choose_solver
from fastmm.solve.kernel.kernel_ridge_model import KernelRegressor
from fastmm.solve.kernel.options import as_rows
from fastmm.solve.ridge.solution import target_penalties

__all__ = ["KernelRidge"]


class KernelRidge(KernelRegressor):
    r"""Kernel ridge regression.

    .. math::

        (K + \alpha W^{-1})\, a + b = y, \quad
        \hat y(x) = \sum_i a_i k(x, x_i) + b

    Parameters
    ----------
    alpha : float or array of shape (targets,), default 1.0
        Penalty, one for all or for each target; not negative, and positive for "cg" and
        "nystrom".
    kernel : str or callable, default "linear"
        Kernel: "linear", "poly", "rbf", "laplacian", "arccos", "ntk", "patch" or
        "convolutional", as in :class:`LSSVC`. "precomputed" takes kernel matrices for X; a
        callable maps rows (n, d) and (m, d) to a matrix (n, m), where the rows live.
    gamma : float, "scale", "auto" or None, default None
        Parameter of "poly", "rbf", "laplacian" and "patch". None is "auto", ``1 / d``, as in
        scikit-learn's KernelRidge. "scale" is ``1 / (d * X.var())``, for "laplacian"
        ``1 / (d * X.std())``, weighted by `sample_weight`; 1 where X is constant.
    degree : int, default 3
        Degree of "poly".
    coef0 : float, default 1.0
        Constant of "poly".
    kernel_params : dict or None, default None
        What else the kernel has to know, as in :class:`LSSVC`.
    fit_intercept : bool, default False
        Whether b is free, with the a then summing to 0; else b is 0, as in scikit-learn.
    solver : {"auto", "direct", "cg", "nystrom"}, default "auto"
        "direct" factorises the kernel matrix. "cg" iterates to the same solution with
        products in tiles, and never holds the matrix. "nystrom" seeks the best function
        that the kernels of `n_components` rows span: an approximation. "auto" is "direct"
        where 3 copies of the matrix fit into half of the memory, else "cg".
    n_components : int or None, default None
        Rank of the preconditioner of "cg", number of centres of "nystrom". None is
        10 sqrt(n).
    seed : int, default 0
        Seed of their drawing.
    tol : float, default 1e-8
        Relative residual that "cg" and "nystrom" iterate to. For "cg", no prediction of a
        training row is off by more than this share of the norm of (centred) y.
    max_iter : int, default 1000
        Most iterations; a ConvergenceWarning says where they do not do.
    memory_limit : int, str or None, default None
        As in :class:`Ridge`. "nystrom" reads X in chunks, and solves the normal equations of
        the centres instead of iterating; the other solvers take X into memory where it fits
        beside what they need, and else say so.

    Attributes
    ----------
    dual_coef_ : array of shape (n,) or (n, targets), float64
        Coefficients a, where the training data live; of the m centres for "nystrom".
    intercept_ : float or array of shape (targets,)
        Intercept b.
    X_fit_ : array of shape (n, d), or (m, d) for "nystrom", or None
        Copy of the rows that `dual_coef_` belongs to; less their mean for the linear kernel
        with an intercept. None if `kernel` is "precomputed".
    component_indices_ : ndarray of shape (m,), or None
        Which training rows are the centres of "nystrom", on the host.
    gamma_ : float or None
        Parameter used by the kernel.
    solver_ : {"direct", "cg", "nystrom"}
        What solved it.
    n_iter_ : int
        Iterations; 1 for "direct".
    residual_ : float
        Relative residual of the system solved, a true one, the largest over targets.
    cv_predictions_ : array of shape (n,) or (n, targets), float64
        Predictions of each row by the fit without its group, exact; only if `groups` were
        given. For "nystrom" the centres stay as they are, whose targets are left out.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    "direct" takes n^3 / 3 flops, three times that with `groups`, and up to 3 n^2 values of
    memory; the error is that of a Cholesky solve in float64. `alpha` 0 gives the
    minimum-norm solution, and a warning where the kernel is singular. "cg" takes n^2 (d + 1)
    flops an iteration, "nystrom" 4 n m a pass and m^3 / 3; tiles of the kernel are kept
    from one iteration to the next where they fit into a quarter of the memory, and made
    anew, 2 n m d flops, where not. All of it runs in float64.

    References
    ----------
    .. [1] Saunders, C., Gammerman, A., & Vovk, V. (1998). Ridge regression learning
       algorithm in dual variables. ICML, 515-521.
    .. [2] Rudi, A., Carratino, L., & Rosasco, L. (2017). FALKON: An optimal large scale
       kernel method. NeurIPS 30. https://doi.org/10.48550/arXiv.1705.10958
    .. [3] Frangella, Z., Tropp, J. A., & Udell, M. (2023). Randomized Nystrom
       preconditioning. SIAM Journal on Matrix Analysis and Applications, 44(2), 718-752.
       https://doi.org/10.1137/21M1466244

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import KernelRidge
    >>> X = np.linspace(0, 3, 20)[:, None]
    >>> model = KernelRidge(alpha=1e-3, kernel="rbf", gamma=1.0).fit(X, np.sin(X[:, 0]))
    >>> model.predict([[1.5]]).round(3)
    array([0.998])
    """

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        kernel: Any = "linear",
        gamma: float | str | None = None,
        degree: int = 3,
        coef0: float = 1.0,
        kernel_params: dict[str, Any] | None = None,
        fit_intercept: bool = False,
        solver: str = "auto",
        n_components: int | None = None,
        seed: int = 0,
        tol: float = 1e-8,
        max_iter: int = 1000,
        memory_limit: int | str | None = None,
    ) -> None:
        self.alpha = alpha
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.n_components = n_components
        self.seed = seed
        self.tol = tol
        self.max_iter = max_iter
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> KernelRidge:
        """Fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d), or (n, n) kernel values if `kernel` is "precomputed"
            Training rows.
        y : array of shape (n,) or (n, targets)
            Targets, on the same device.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. If given, `cv_predictions_` is set.

        Returns
        -------
        KernelRidge
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, a parameter is out of its range,
            or `groups` are given where only "cg" would do.
        TypeError
            If the arrays live on different devices.
        DeviceMemoryError
            If the device has not the memory; "cg" and "nystrom" need less.
        """
        solver = one_of(self.solver, "solver", ("auto", *SOLVERS))
        data = take_training(self, as_rows(self, X, fit=True), y, sample_weight, chunks=True)
        data, limit = self._held(data, solver)
        n, flat = data.X.shape[0], data.y.ndim == 1
        y = data.y.reshape(n, -1).astype(np.float64)
        alphas = np.broadcast_to(target_penalties(self.alpha, y.shape[1]), y.shape[1])
        folds = None if groups is None else make_folds(n, groups, weight=data.host_weight())
        function = self._function(self.gamma, data)
        rows, origin = (data.X, None) if isinstance(data.X, Rows) else self._rows(data)
        intercept = bool(self.fit_intercept)
        task = Task(function, rows, y, data.weight, alphas, intercept, folds, data.space, limit)
        self.solver_ = choose_solver(solver, task)
        with telling_of_memory(data.space):
            fit = SOLVERS[self.solver_](task, self._effort(n))
        self.n_iter_, self.residual_ = fit.n_iter, fit.residual
        self.component_indices_ = fit.centres
        self._keep(function, fit.rows, origin, fit.dual, fit.intercept, flat)
        if fit.held_out is not None:
            self.cv_predictions_ = fit.held_out[:, 0] if flat else fit.held_out
        elif hasattr(self, "cv_predictions_"):
            del self.cv_predictions_
        return self

    def _held(self, data: Training, solver: str) -> tuple[Training, int | None]:
        """Take rows in chunks into memory where the solver needs them there; and the limit."""
        rows = data.X
        if not isinstance(rows, Rows):
            return data, None
        n, d = rows.shape
        if solver == "nystrom" and self.kernel != "precomputed":
            return data, rows.limit
        rank = min(n, self._effort(n).n_components)
        least = FLOAT * n * (2 * d + 4 * rank)  # of "cg", which never holds the matrix
        if solver == "direct" or least > rows.limit:
            return data._replace(X=gathered(rows, self)), rows.limit
        return data._replace(X=read_whole(rows)), rows.limit - FLOAT * 2 * n * d

    def _effort(self, n: int) -> Effort:
        m = 10 * int(np.ceil(np.sqrt(n))) if self.n_components is None else self.n_components
        return Effort(
            min(n, integer(m, "n_components")),
            integer(self.seed, "seed", minimum=0),
            number(self.tol, "tol", above=0),
            integer(self.max_iter, "max_iter"),
        )
