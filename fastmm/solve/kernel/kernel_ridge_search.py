"""Kernel ridge regression that searches penalty and width by exact grouped validation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastmm._check import integer, one_of
from fastmm._space import telling_of_memory
from fastmm.solve._inputs import grid, take_training
from fastmm.solve.grouped import make_folds
from fastmm.solve.kernel.accuracy import warn
from fastmm.solve.kernel.bandwidths import kernel_grams
from fastmm.solve.kernel.centre_system import CentreSystem, count_of
from fastmm.solve.kernel.exact import Exact, Needs, settle
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.kernel_ridge_candidates import Best, Score, best_at
from fastmm.solve.kernel.kernel_ridge_model import KernelRegressor
from fastmm.solve.kernel.options import as_rows
from fastmm.solve.kernel.system import KernelSystem
from fastmm.solve.scoring import REGRESSION_SCORINGS

__all__ = ["KernelRidgeCV"]


class KernelRidgeCV(KernelRegressor):
    r"""Kernel ridge regression that chooses its penalty by exact grouped cross-validation.

    With M the inverse of the (weighted, centred) kernel matrix plus alpha, one
    eigendecomposition of which serves all penalties, the predictions of group g by the fit
    without it are

    .. math:: \hat y_g = y_g - (M_{gg})^{-1} a_g

    Parameters
    ----------
    alphas : sequence of float, default (0.1, 1.0, 10.0)
        Penalties to try, not negative.
    kernel, degree, coef0, kernel_params, fit_intercept
        As in :class:`KernelRidge`.
    gamma : float, "scale", "auto", None or a sequence of them, default None
        As in :class:`KernelRidge`. Of a sequence the best is chosen, together with the
        penalty; their distances are computed once.
    scoring : str or None, default None
        What to maximise, as in :class:`RidgeCV`: "neg_mean_squared_error" (None), "r2",
        "roc_auc", "accuracy" or "balanced_accuracy".
    alpha_per_target : bool, default False
        Whether each target has a penalty of its own; else one has the best mean score.
    cv : None, int, splitter or iterable of (train, test), default None
        As in :class:`RidgeCV`.
    solver : {"auto", "direct", "nystrom"}, default "auto"
        As in :class:`LSSVC`: "nystrom" is an approximation on centres, which "auto" only
        takes, with a warning, where rows in chunks leave no room for "direct".
    n_components, seed, memory_limit
        As in :class:`LSSVC`.

    Attributes
    ----------
    alpha_ : float, or ndarray of shape (targets,)
        The chosen penalty, or penalties with `alpha_per_target`.
    gamma_ : float or None
        The chosen parameter of the kernel.
    best_score_ : float, or ndarray of shape (targets,)
        The cross-validated score of `alpha_` and `gamma_`.
    cv_scores_ : ndarray of shape (n_alphas,), float64
        Score of each penalty; (n_gammas, n_alphas) if `gamma` is a sequence, and one axis
        for the targets more with `alpha_per_target`.
    cv_predictions_ : array of shape (n,) or (n, targets), float64
        Out-of-fold predictions at `alpha_` and `gamma_`, in the row order of X.
    solver_ : {"direct", "nystrom"}
        What solved it.
    dual_coef_, intercept_, X_fit_, component_indices_, n_features_in_
        As in :class:`KernelRidge`.

    Notes
    -----
    Cost: for each gamma the kernel and one eigendecomposition, about 9 n^3 flops, or up to
    5 inverses by Cholesky, n^3 each, where there are so few penalties; then n^2 m flops a
    penalty for groups of m rows. Memory: 2 n^2 float64 values where penalties are
    few, 6 n^2 where many, one n^2 more with weights or several gammas. Agrees with explicit
    refits to 1e-10. "scale" is taken once, from all rows; `sample_weight` weights both the
    fit and the score.

    References
    ----------
    .. [1] Saunders, C., Gammerman, A., & Vovk, V. (1998). Ridge regression learning
       algorithm in dual variables. ICML, 515-521.
    .. [2] Cawley, G. C., & Talbot, N. L. C. (2003). Efficient leave-one-out
       cross-validation of kernel Fisher discriminant classifiers. Pattern Recognition,
       36(11), 2585-2592. https://doi.org/10.1016/S0031-3203(03)00136-5

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import KernelRidgeCV
    >>> X = np.linspace(0, 3, 24)[:, None]
    >>> model = KernelRidgeCV((1e-3, 1e3), kernel="rbf", gamma=(0.01, 1.0), fit_intercept=True)
    >>> model = model.fit(X, np.sin(3 * X[:, 0]), groups=np.arange(24) // 3)
    >>> model.alpha_, model.gamma_
    (0.001, 1.0)
    """

    def __init__(
        self,
        alphas: Sequence[float] = (0.1, 1.0, 10.0),
        *,
        kernel: Any = "linear",
        gamma: Any = None,
        degree: int = 3,
        coef0: float = 1.0,
        kernel_params: dict[str, Any] | None = None,
        fit_intercept: bool = False,
        scoring: str | None = None,
        alpha_per_target: bool = False,
        cv: Any = None,
        solver: str = "auto",
        n_components: int | None = None,
        seed: int = 0,
        memory_limit: int | str | None = None,
    ) -> None:
        self.alphas = alphas
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.alpha_per_target = alpha_per_target
        self.cv = cv
        self.solver = solver
        self.n_components = n_components
        self.seed = seed
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> KernelRidgeCV:
        """Choose the penalty and fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d), or (n, n) kernel values if `kernel` is "precomputed"
            Training rows; or a dask array, and with `memory_limit` anything that is sliced.
        y : array of shape (n,) or (n, targets)
            Targets, on the same device.
        sample_weight : array of shape (n,), optional
            Weights, not negative, of fit and score. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row, of any dtype. Default: every row its own.

        Returns
        -------
        KernelRidgeCV
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, a parameter is out of its range,
            the rows cannot be split as asked, or the memory does not do.
        TypeError
            If the arrays live on different devices.
        DeviceMemoryError
            If the device has not the memory.
        """
        alphas = grid(self.alphas, "alphas", minimum=0)
        name = one_of(self.scoring or REGRESSION_SCORINGS[0], "scoring", REGRESSION_SCORINGS)
        given = as_rows(self, X, fit=True)
        data = take_training(self, given, y, sample_weight, chunks=True)
        n, flat = data.X.shape[0], data.y.ndim == 1
        many = isinstance(self.gamma, Iterable) and not isinstance(self.gamma, str)
        gammas = list(self.gamma) if many else [self.gamma]
        if not gammas:
            raise ValueError("`gamma` must hold at least one value, got none.")
        labels, weight = data.space.to_host(data.y), data.host_weight()
        score = Score(name, make_folds(n, groups, self.cv, labels, weight), labels.reshape(n, -1),
                      weight, bool(self.fit_intercept))  # fmt: skip
        exact = settle(self, data, self._needs(score, alphas, weight is not None, len(gammas)))
        self.solver_, data = exact.solver, exact.data
        if exact.solver == "nystrom" and min(alphas) == 0:
            raise ValueError('`alphas` must be greater than 0 for `solver="nystrom"`, got 0.')
        functions = [self._function(gamma, data) for gamma in gammas]
        rows, origin = (data.X, None) if exact.solver == "nystrom" else self._rows(data)
        with telling_of_memory(data.space):
            best, scores = self._search(exact, functions, rows, alphas, score)
        warn(best.fault)
        self.cv_scores_ = np.stack(scores) if many else scores[0]
        single = np.ndim(best.place) == 0
        self.alpha_: Any = alphas[best.place] if single else np.array(alphas)[best.place]
        self.best_score_: Any = float(best.score) if single else best.score
        self.cv_predictions_ = best.held_out[:, 0] if flat else best.held_out
        self.component_indices_ = None
        if best.centres is not None:
            rows = best.centres.rows
            self.component_indices_ = best.centres.numbers
        own = data.own or best.centres is not None
        self._keep(best.function, rows, origin, best.dual, best.intercept, flat, own=own)
        return self

    def _needs(self, score: Score, alphas: list[float], weighted: bool, widths: int) -> Needs:
        """Return what the exact search holds; measured, see the tests."""
        n, targets = score.y.shape
        largest = max(rows.shape[1] for rows in score.folds.batches)
        blocks = 4.0 * n * largest + 4.0 * n * targets * len(alphas)
        return Needs(2.2 + weighted + (widths > 1), blocks, 1, min(alphas) == 0)

    def _search(
        self,
        exact: Exact,
        functions: list[KernelFunction],
        rows: Any,
        alphas: list[float],
        score: Score,
    ) -> tuple[Best, list[Any]]:
        """Return the best fit, and the scores of each kernel."""
        best: Best | None = None  # of the widths before, only the best is kept
        scores: list[Any] = []
        for function, system in self._systems(exact, functions, rows):
            best, found = best_at(system, function, score, alphas, self.alpha_per_target, best)
            scores.append(found)
            del system  # before the next is made
        if best is None:
            raise RuntimeError("no kernel")
        return best, scores

    def _systems(
        self, exact: Exact, functions: list[KernelFunction], rows: Any
    ) -> Iterator[tuple[KernelFunction, Any]]:
        data, space = exact.data, exact.data.space
        y = data.y.reshape(rows.shape[0], -1).astype(np.float64)
        if exact.solver == "nystrom":
            m, seed = count_of(self.n_components, len(y)), integer(self.seed, "seed", minimum=0)
            for function in functions:
                yield (
                    function,
                    CentreSystem(
                        rows, function, m, seed, y, data.weight, bool(self.fit_intercept), space
                    ),
                )
            return
        may = exact.may_diagonalise
        grams = kernel_grams(functions, rows, space, exact.room)
        for function, gram in zip(functions, grams, strict=True):
            yield (
                function,
                KernelSystem(gram, y, data.weight, self.fit_intercept, space, may_diagonalise=may),
            )
            del gram
