"""Support vector machines with the squared hinge loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._check import integer, number
from fastmm.solve._inputs import Training, take_training
from fastmm.solve.grouped import Folds, make_folds
from fastmm.solve.kernel.exact import settle_svm
from fastmm.solve.kernel.gram import centre
from fastmm.solve.kernel.machine import KernelMachine, flat
from fastmm.solve.kernel.options import as_rows
from fastmm.solve.svm.growth import GrowingMachine
from fastmm.solve.svm.kernel import kernel_of
from fastmm.solve.svm.newton import Progress
from fastmm.solve.svm.solution import MAX_ITER, warn_of
from fastmm.solve.svm.tiles import TiledKernel
from fastmm.solve.threads import scipy_threads_only

__all__ = ["SVC"]


class SVC(KernelMachine):
    r"""Support vector classifier with the squared hinge loss and a free intercept.

    .. math::

        \min_{f} \tfrac12 \lVert f \rVert_K^2 + C \sum_i w_i \max(0, 1 - y_i (f(x_i) + b))^2,
        \quad y_i \in \{-1, 1\}

    This is not the machine of scikit-learn's ``SVC``, whose hinge loss is not squared: it is
    that machine for the kernel K + I / (2C) with an infinite C of its own.

    Parameters
    ----------
    C : float, default 1.0
        Weight of the loss, positive: large values fit closely.
    kernel : str or callable, default "rbf"
        As in :class:`LSSVC`.
    degree : int, default 3
        Power of "poly".
    gamma : "scale", "auto" or float, default "scale"
        Parameter of "poly", "rbf" and "laplacian", as in :class:`LSSVC`.
    coef0 : float, default 0.0
        Constant of "poly".
    kernel_params : dict or None, default None
        As in :class:`LSSVC`.
    class_weight : None, "balanced" or dict, default None
        Factors of the weights of the rows of a class.
    tol : float, default 1e-6
        Largest violation of the conditions of optimality, relative to max |f|.
    max_iter : int or None, default None
        Most Newton steps of a solve; None for 200.
    memory_limit : int, str or None, default None
        As in :class:`Ridge`; the rows are taken into memory. Where the whole kernel matrix has
        no room beside them, only that of the rows within the margin is held, and kernels with
        all others are made anew, in tiles; where that has no room either, an error says so.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, in the dtype of y, on the host.
    support_ : array of shape (n_support,), intp
        Rows that are support vectors of any decision, ascending.
    X_fit_, support_vectors_ : array of shape (n_support, d), or None
        Copy of these rows; None if `kernel` is "precomputed".
    dual_coef_ : array of shape (n_support,), or (n_support, n_classes), float64
        Coefficients a, signed, where the training data live.
    intercept_ : array of shape (1,) or (n_classes,), float64
        Intercepts b.
    n_support_ : ndarray of shape (n_classes,), int
        Support vectors of each class, on the host.
    gamma_ : float or None
        Parameter used by "poly", "rbf" and "laplacian".
    n_iter_ : int
        Newton steps, the most over decisions.
    residual_ : float
        Largest violation over rows and decisions, relative to max |f|:
        ``sqrt(w_i) |1 - y_i f_i - y_i a_i / (2 C w_i)|`` where `a` pulls or is to pull, and
        what it adds to the decision of its row where it should be 0.
    cv_decision_ : array of shape (n,) or (n, n_classes), float64
        Scores of each row by the machine without its group; only if `groups` were given.
    n_features_in_ : int
        Number of features.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` was reached; `residual_` says how far the result is.

    Notes
    -----
    Newton's method on the primal: a step solves the bordered system of the active rows
    (those with y f < 1) in closed form, and an exact line search makes it end after finitely
    many. At most 1,000 active rows cost n_active^3 / 3 flops a step; more are tried by
    conjugate gradients first, 2 n^2 flops a product. A part of the rows is solved before the
    whole; where few are support vectors, only kernels of rows that were active once are ever
    computed. Memory: at most n^2 float64 values for the kernel, half of that for its float32
    copy, and as many for a factorisation. Training decisions agree with scikit-learn's solver
    to 1e-6 of max |f|, and to 3e-5 for ill-conditioned machines, whose kernel it rounds.

    More than two classes are each solved against the rest, from one kernel. With `groups` each
    group with support vectors costs a solve that starts from the machine of all rows; one
    without them would change nothing, and is not solved. Both are exact to `tol`. The width
    "scale" and the class weights are taken once, from all rows.

    An indefinite kernel raises ValueError where K + I / (2C) is not positive definite on the
    active rows, and is solved as it is otherwise. A sample weight of 0 takes a row away.

    References
    ----------
    .. [1] Keerthi, S. S., & DeCoste, D. (2005). A modified finite Newton method for fast
       solution of large scale linear SVMs. Journal of Machine Learning Research, 6, 341-361.
       https://jmlr.org/papers/v6/keerthi05a.html
    .. [2] Chapelle, O. (2007). Training a support vector machine in the primal. Neural
       Computation, 19(5), 1155-1178. https://doi.org/10.1162/neco.2007.19.5.1155

    Examples
    --------
    >>> from fastmm import SVC
    >>> model = SVC(C=10.0, kernel="linear")
    >>> model = model.fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> model.support_
    array([1, 2])
    >>> model.predict([[0.5], [2.5]])
    array(['a', 'b'], dtype='<U1')
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        kernel: Any = "rbf",
        degree: int = 3,
        gamma: float | str = "scale",
        coef0: float = 0.0,
        kernel_params: dict[str, Any] | None = None,
        class_weight: Any = None,
        tol: float = 1e-6,
        max_iter: int | None = None,
        memory_limit: int | str | None = None,
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> SVC:
        """Fit the machine.

        Parameters
        ----------
        X : array of shape (n, d), or (n, n) kernel values if `kernel` is "precomputed"
            Training rows; or a dask array, and with `memory_limit` anything that is sliced.
        y : array of shape (n,)
            Labels of any dtype, on the host or where `X` lives.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. If given, `cv_decision_` is set.

        Returns
        -------
        SVC
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, `y` has one class, a parameter is
            out of its range, the kernel is too indefinite, or the memory does not do.
        TypeError
            If the arrays live on different devices.
        """
        C, tol = number(self.C, "C", above=0), number(self.tol, "tol", above=0)
        limit = MAX_ITER if self.max_iter is None else integer(self.max_iter, "max_iter")
        given = as_rows(self, X, fit=True)
        data = take_training(self, given, y, sample_weight, labels=True, chunks=True)
        self.__dict__.pop("cv_decision_", None)
        codes, weight = self._encode(data)
        folds = None if groups is None else make_folds(len(codes), groups, weight=weight)
        data, room = settle_svm(self, data)
        space, function = data.space, self._function(self.gamma, data)
        rows = self._rows(data, None)
        kernel = kernel_of(function, rows, space) if room is None else TiledKernel(
            function, rows, space, room)  # fmt: skip
        with scipy_threads_only(space):
            self._solve(kernel, codes, weight, folds, (C, tol, limit), data)
        self.gamma_ = function.gamma
        return self

    @property
    def support_vectors_(self) -> Any:
        """Rows that are support vectors."""
        return self.X_fit_

    def _solve(
        self,
        kernel: Any,
        codes: np.ndarray[Any, Any],
        weight: np.ndarray[Any, Any] | None,
        folds: Folds | None,
        limits: tuple[float, float, int],
        data: Training,
    ) -> None:
        space = data.space
        machine, signs = GrowingMachine(kernel, space), self._signs(codes)
        root = np.ones(len(codes)) if weight is None else np.sqrt(weight)
        runs = [machine.fit(sign, root, *limits) for sign in signs.T]
        if folds is not None:
            left = [
                self._held_out(machine, sign, root, run, folds, limits)
                for sign, run in zip(signs.T, runs, strict=True)
            ]
            self.cv_decision_: Any = flat(space.xp.stack(left, axis=1))
        self._keep_support(space, data.X, codes, runs)

    def _keep_support(
        self, space: Any, X: Any, codes: np.ndarray[Any, Any], runs: list[Progress]
    ) -> None:
        xp = space.xp
        dual = xp.stack([run.state.dual for run in runs], axis=1)
        self.support_ = xp.flatnonzero((dual != 0).any(axis=1))
        self.dual_coef_ = flat(dual[self.support_])
        self.X_fit_ = None if self.kernel == "precomputed" else X[self.support_]
        self.intercept_ = space.asarray(np.array([float(run.state.intercept) for run in runs]))
        if self.kernel == "linear":
            self.intercept_ = self.intercept_ - centre(X) @ self._normal()
        of_class = codes[space.to_host(self.support_)]
        self.n_support_ = np.bincount(of_class, minlength=self.classes_.size)
        self.n_iter_ = max(run.n_iter for run in runs)
        self.residual_ = max(run.residual for run in runs)
        for run in runs:
            warn_of(run, run.n_iter)

    def _held_out(
        self,
        machine: GrowingMachine,
        signs: np.ndarray[Any, Any],
        root: np.ndarray[Any, Any],
        run: Progress,
        folds: Any,
        limits: tuple[float, float, int],
    ) -> Any:
        """Return scores (n,), each by the machine without its fold."""
        space, scores = machine.space, run.state.field + run.state.intercept
        support = space.to_host(run.state.dual) != 0
        for fold in np.unique(folds.codes[support]):
            test = folds.codes == fold
            found = machine.refit(signs, np.where(test, 0.0, root), *limits, run.state)
            warn_of(found, limits[2])
            rows = space.asarray(np.flatnonzero(test))
            scores[rows] = found.state.field[rows] + found.state.intercept
        return scores

    def _decide(self, X: Any, xp: Any) -> Any:
        """Return the scores of checked rows, float64."""
        return super()._decide(X[:, self.support_] if self.kernel == "precomputed" else X, xp)
