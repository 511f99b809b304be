"""A least-squares support vector machine that searches C by exact grouped cross-validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import one_of
from fastmm.solve._inputs import grid, take_training
from fastmm.solve.fold_order import order_by_fold
from fastmm.solve.grouped import Folds, less_training_means, make_folds, training_means
from fastmm.solve.kernel.accuracy import fault_of_residual, warn
from fastmm.solve.kernel.bandwidths import kernel_grams
from fastmm.solve.kernel.bordered import BorderedSystem
from fastmm.solve.kernel.centre_system import CentreSystem
from fastmm.solve.kernel.cross_validated import Candidate, cross_validated
from fastmm.solve.kernel.exact import Exact, needs_of, settle
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.machine import KernelMachine, flat
from fastmm.solve.kernel.options import as_rows
from fastmm.solve.scoring import (
    CLASS_SCORINGS,
    best_of,
    refuse_overflow,
    score_classes,
    winning_classes,
)

__all__ = ["LSSVCCV"]


class LSSVCCV(KernelMachine):
    r"""Least-squares support vector classifier that chooses C by exact grouped validation.

    With M the data block of the inverse of the bordered system, the scores of group g by
    the machine fitted without it are

    .. math:: f_g = y_g - (M_{gg})^{-1} a_g

    Parameters
    ----------
    Cs : sequence of float, default (0.1, 1, 10, 100)
        Values of C to try, positive.
    kernel, degree, coef0, kernel_params, class_weight
        As in :class:`LSSVC`.
    gamma : "scale", "auto", float or a sequence of them, default "scale"
        As in :class:`LSSVC`. Of a sequence the best is chosen, together with C; their
        distances are computed once.
    scoring : {"roc_auc", "accuracy", "balanced_accuracy"}, default "roc_auc"
        What to maximise. "accuracy" is the mean over folds of the fold's accuracy, as in
        scikit-learn's GridSearchCV; the others are taken once over all out-of-fold
        scores, since a fold of one patient has neither. "roc_auc" ranks the scores less
        the mean label that the fold's machine was trained on, which leans against the fold;
        with more than two classes it is the mean over classes (those with weight) of each
        against the rest. Ties (to 1e-12) go to the first, of the first gamma.
    cv : None, int, splitter or iterable of (train, test), default None
        As in :class:`RidgeCV`.
    solver, n_components, seed, memory_limit
        As in :class:`LSSVC`.

    Attributes
    ----------
    C_ : float
        The chosen C.
    gamma_ : float or None
        The chosen gamma, of the kernels that have one.
    best_score_ : float
        Its cross-validated score.
    cv_scores_ : ndarray of shape (n_Cs,), float64
        Score of each C; (n_gammas, n_Cs) if `gamma` is a sequence.
    cv_decision_ : array of shape (n,) or (n, n_classes), float64
        Out-of-fold scores at `C_`, in the row order of X.
    cv_predictions_ : ndarray of shape (n,)
        Out-of-fold labels at `C_`, on the host.
    classes_, dual_coef_, intercept_, X_fit_, residual_, n_features_in_, solver_
        As in :class:`LSSVC`.
    component_indices_
        As in :class:`LSSVC`.

    Notes
    -----
    Few values of C cost one Cholesky factorisation and triangular inverse each, 2/3 n^3
    flops; many share one eigendecomposition, about 9 n^3. Either way folds of m rows cost
    n^2 m flops more for each C. On the CPU factors are in float32 where there are few folds
    and at least 1,000 rows; corrections, of about 20 n^2 flops for each fold, make up for
    it, or float64 takes over where they do not converge. Memory: 3 n^2 float64 values, one
    more for several gammas.
    Both ways are exact and agree with refits to 1e-10. The width "scale" and the class
    weights are taken once, from all rows. `sample_weight` weights both the fit and the
    score, `class_weight` the fit alone.

    References
    ----------
    .. [1] Cawley, G. C. (2006). Leave-one-out cross-validation based model selection
       criteria for weighted LS-SVMs. IJCNN, 1661-1668.
       https://doi.org/10.1109/IJCNN.2006.246634

    Examples
    --------
    >>> from fastmm import LSSVCCV
    >>> X = [[0.0], [0.2], [1.0], [2.0], [2.8], [3.0]]
    >>> model = LSSVCCV(Cs=(0.1, 10.0)).fit(X, [0, 0, 0, 1, 1, 1], groups=[1, 1, 2, 3, 4, 4])
    >>> model.best_score_
    1.0
    """

    def __init__(
        self,
        Cs: Sequence[float] = (0.1, 1.0, 10.0, 100.0),
        *,
        kernel: Any = "rbf",
        gamma: Any = "scale",
        degree: int = 3,
        coef0: float = 1.0,
        kernel_params: dict[str, Any] | None = None,
        class_weight: Any = None,
        scoring: str = "roc_auc",
        cv: Any = None,
        solver: str = "auto",
        n_components: int | None = None,
        seed: int = 0,
        memory_limit: int | str | None = None,
    ) -> None:
        self.Cs = Cs
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.class_weight = class_weight
        self.scoring = scoring
        self.cv = cv
        self.solver = solver
        self.n_components = n_components
        self.seed = seed
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> LSSVCCV:
        """Choose C and fit the machine.

        Parameters
        ----------
        X : array of shape (n, d), or (n, n) kernel values if `kernel` is "precomputed"
            Training rows; or a dask array, and with `memory_limit` anything that is sliced.
        y : array of shape (n,)
            Labels of any dtype, on the host or where `X` lives.
        sample_weight : array of shape (n,), optional
            Weights, not negative, of fit and score. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row, of any dtype. Default: every row its own.

        Returns
        -------
        LSSVCCV
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, `y` has one class, a C is not
            positive, the rows cannot be split as asked, or the memory does not do.
        TypeError
            If the arrays live on different devices.
        """
        Cs = grid(self.Cs, "Cs", above=0)
        one_of(self.scoring, "scoring", CLASS_SCORINGS)
        rows = as_rows(self, X, fit=True)
        data = take_training(self, rows, y, sample_weight, labels=True, chunks=True)
        many = isinstance(self.gamma, Iterable) and not isinstance(self.gamma, str)
        gammas = list(self.gamma) if many else [self.gamma]
        if not gammas:
            raise ValueError("`gamma` must hold at least one value, got none.")
        codes, weight = self._encode(data)
        folds = make_folds(len(codes), groups, self.cv, data.y, weight)
        exact = settle(self, data, needs_of(folds, weight is not None, len(gammas)))
        self.solver_, data = exact.solver, exact.data
        functions = [self._function(gamma, data) for gamma in gammas]
        search = self._search if exact.solver == "direct" else self._search_on_centres
        found = search(exact, functions, Cs, codes, weight, folds)
        decisions = np.stack([data.space.to_host(one.held_out) for one in found])
        refuse_overflow(decisions)
        scored = decisions
        if self.scoring == "roc_auc":
            signs = self._signs(codes)
            scored = less_training_means(decisions, training_means(folds, signs, weight), signs)
        scores = score_classes(self.scoring, codes, scored, folds, data.host_weight())
        place = best_of(scores)
        best, self.C_ = found[place], Cs[place % len(Cs)]
        self.cv_scores_ = scores.reshape(-1, len(Cs)) if many else scores
        self.best_score_, self.residual_ = float(scores[place]), best.residual
        self.cv_decision_ = flat(best.held_out)
        self.cv_predictions_ = self.classes_[winning_classes(decisions[place])]
        function = functions[place // len(Cs)]
        if exact.solver == "nystrom":
            self._keep_centres(best.system, function.gamma, best.weighted)
        else:
            warn(fault_of_residual(max(best.residual, best.rounding), "lower `Cs`"))
            self.component_indices_: Any = None
            self._keep(function, best.dual, best.intercept, data.X, data.own)
        return self

    def _search(
        self,
        exact: Exact,
        functions: list[KernelFunction],
        Cs: list[float],
        codes: Any,
        weight: Any,
        folds: Folds,
    ) -> list[Any]:
        """Return every candidate, those of the first gamma first."""
        data, may = exact.data, exact.may_diagonalise
        order, runs = order_by_fold(folds)
        found: list[Candidate] = []
        signs = self._signs(codes)
        for gram in kernel_grams(functions, self._rows(data, order), data.space, exact.room):
            system = BorderedSystem.of(gram, signs, weight, order, data.space, may_diagonalise=may)
            found += cross_validated(system, Cs, runs)
            del gram, system  # before the next is made
        return found

    def _search_on_centres(
        self,
        exact: Exact,
        functions: list[KernelFunction],
        Cs: list[float],
        codes: Any,
        weight: Any,
        folds: Folds,
    ) -> list[Any]:
        """Return every candidate on centres, those of the first gamma first."""
        found, alphas = [], [1 / C for C in Cs]
        for function in functions:
            system = self._centre_system(function, exact.data, codes, weight)
            for some, part in system.candidates(folds, alphas):
                for alpha, weighted, held_out in zip(
                    alphas[some], part.weighted, part.held_out, strict=True
                ):
                    residual = system.residual(weighted, alpha)
                    found.append(_OnCentres(held_out, residual, system, weighted))
        return found


class _OnCentres(NamedTuple):
    held_out: Any
    residual: float
    system: CentreSystem
    weighted: Any
