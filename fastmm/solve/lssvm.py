"""Least-squares support vector machines: kernel classifiers in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmm._check import number, one_of
from fastmm.solve._inputs import grid, take_training
from fastmm.solve.grouped import Folds, fold_shares, make_folds
from fastmm.solve.kernel_machine import KernelMachine, flat
from fastmm.solve.scoring import balanced_accuracy, best_of, refuse_overflow, roc_auc

__all__ = ["LSSVC", "LSSVCCV"]

_SCORINGS = ("roc_auc", "accuracy", "balanced_accuracy")


class LSSVC(KernelMachine):
    r"""Least-squares support vector classifier.

    .. math::

        \begin{pmatrix} 0 & 1^\top \\ 1 & K + (C W)^{-1} \end{pmatrix}
        \begin{pmatrix} b \\ a \end{pmatrix} = \begin{pmatrix} 0 \\ y \end{pmatrix},
        \quad y_i \in \{-1, 1\}

    Parameters
    ----------
    C : float, default 1.0
        Weight of the squared errors, positive: large values fit closely.
    kernel : {"linear", "rbf", "precomputed"} or callable, default "rbf"
        Kernel. "precomputed" takes kernel matrices for X; a callable maps rows (n, d) and
        (m, d) to a matrix (n, m), where the rows live.
    gamma : "scale", "auto" or float, default "scale"
        Inverse squared width of the RBF kernel. "scale" is ``1 / (d * X.var())`` (the
        variance weighted by `sample_weight`; 1 where X is constant), "auto" ``1 / d``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, in the dtype of y, on the host.
    dual_coef_ : array of shape (n,), or (n, n_classes) for more than two, float64
        Coefficients a, where the training data live.
    intercept_ : array of shape (1,) or (n_classes,), float64
        Intercepts b.
    X_fit_ : array of shape (n, d), or None
        Copy of the training rows; None if `kernel` is "precomputed".
    gamma_ : float or None
        Width used by the RBF kernel.
    cv_decision_ : array of shape (n,) or (n, n_classes), float64
        Out-of-fold scores in the row order of X, exact; only if `groups` were given.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    More than two classes are solved at once, each against the rest. The kernel is computed
    and solved in float64. Memory: about 4 n^2 float64 values; cost: the kernel and n^3 / 3
    flops, three times that with `groups`. For the held-out scores, the width "scale" is
    taken once, from all rows.

    References
    ----------
    .. [1] Suykens, J. A. K., & Vandewalle, J. (1999). Least squares support vector machine
       classifiers. Neural Processing Letters, 9, 293-300.
       https://doi.org/10.1023/A:1018628609742
    .. [2] Cawley, G. C. (2006). Leave-one-out cross-validation based model selection
       criteria for weighted LS-SVMs. IJCNN, 1661-1668.
       https://doi.org/10.1109/IJCNN.2006.246634

    Examples
    --------
    >>> from fastmm import LSSVC
    >>> model = LSSVC(C=10.0).fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> model.predict([[0.5], [2.5]])
    array(['a', 'b'], dtype='<U1')
    """

    def __init__(
        self, C: float = 1.0, *, kernel: Any = "rbf", gamma: float | str = "scale"
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.gamma = gamma

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> LSSVC:
        """Fit the machine.

        Parameters
        ----------
        X : array of shape (n, d), or (n, n) kernel values if `kernel` is "precomputed"
            Training rows.
        y : array of shape (n,)
            Labels of any dtype, on the host or where `X` lives.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. If given, `cv_decision_` is set.

        Returns
        -------
        LSSVC
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, `y` has one class or `C` is not
            positive.
        TypeError
            If the arrays live on different devices.
        """
        C = number(self.C, "C", above=0)
        data = take_training(self, X, y, sample_weight, labels=True)
        folds = None
        if groups is not None:
            folds = make_folds(data.X.shape[0], groups, weight=data.host_weight())
        system = self._system(data, self._encode(data))
        if folds is None:
            self._keep(system, system.solve(1 / C), data.X)
            return self
        inverse = system.inverses(1)(1 / C)
        weighted = inverse.times(system.y)
        self.cv_decision_ = flat(system.held_out(inverse, weighted, folds))
        self._keep(system, weighted, data.X)
        return self


class LSSVCCV(KernelMachine):
    r"""Least-squares support vector classifier that chooses C by exact grouped validation.

    With M the data block of the inverse of the bordered system, the scores of group g by
    the machine fitted without it are

    .. math:: f_g = y_g - (M_{gg})^{-1} a_g

    Parameters
    ----------
    Cs : sequence of float, default (0.1, 1, 10, 100)
        Values of C to try, positive.
    kernel, gamma
        As in :class:`LSSVC`.
    scoring : {"roc_auc", "accuracy", "balanced_accuracy"}, default "roc_auc"
        What to maximise. "accuracy" is the mean over folds of the fold's accuracy, as in
        scikit-learn's GridSearchCV; the others are taken once over all out-of-fold
        scores, since a fold of one patient has neither. With more than two classes
        "roc_auc" is the mean over classes (those with weight) of each against the rest. Ties
        (to 1e-12) go to the first.
    cv : None, int, splitter or iterable of (train, test), default None
        As in :class:`RidgeCV`.

    Attributes
    ----------
    C_ : float
        The chosen C.
    best_score_ : float
        Its cross-validated score.
    cv_scores_ : ndarray of shape (n_Cs,), float64
        Score of each C.
    cv_decision_ : array of shape (n,) or (n, n_classes), float64
        Out-of-fold scores at `C_`, in the row order of X.
    cv_predictions_ : ndarray of shape (n,)
        Out-of-fold labels at `C_`, on the host.
    classes_, dual_coef_, intercept_, X_fit_, gamma_, n_features_in_
        As in :class:`LSSVC`.

    Notes
    -----
    Few values of C cost one Cholesky factorisation and inverse each, many share one
    eigendecomposition; both are exact and agree with refits to 1e-10. The width "scale"
    is taken once, from all rows. `sample_weight` weights both the fit and the score.

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
        gamma: float | str = "scale",
        scoring: str = "roc_auc",
        cv: Any = None,
    ) -> None:
        self.Cs = Cs
        self.kernel = kernel
        self.gamma = gamma
        self.scoring = scoring
        self.cv = cv

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> LSSVCCV:
        """Choose C and fit the machine.

        Parameters
        ----------
        X : array of shape (n, d), or (n, n) kernel values if `kernel` is "precomputed"
            Training rows.
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
            positive, or the rows cannot be split as asked.
        TypeError
            If the arrays live on different devices.
        """
        Cs = grid(self.Cs, "Cs", above=0)
        one_of(self.scoring, "scoring", _SCORINGS)
        data = take_training(self, X, y, sample_weight, labels=True)
        weight = data.host_weight()
        folds = make_folds(data.X.shape[0], groups, self.cv, data.y, weight)
        codes = self._encode(data)
        system = self._system(data, codes)
        inverse_at, weighted, held_out = system.inverses(len(Cs)), [], []
        for C in Cs:
            inverse = inverse_at(1 / C)
            weighted.append(inverse.times(system.y))
            held_out.append(system.held_out(inverse, weighted[-1], folds))
        decisions = np.stack([data.space.to_host(decision) for decision in held_out])
        refuse_overflow(decisions)
        self.cv_scores_ = self._scores(codes, decisions, folds, weight)
        best = best_of(self.cv_scores_)
        self.C_, self.best_score_ = Cs[best], float(self.cv_scores_[best])
        self.cv_decision_ = flat(held_out[best])
        self.cv_predictions_ = self.classes_[self._winners(flat(decisions[best]))]
        self._keep(system, weighted[best], data.X)
        return self

    def _scores(
        self, codes: Any, decisions: np.ndarray[Any, Any], folds: Folds, weight: Any
    ) -> Any:
        """Return the score of each C from its decisions (Cs, n, decisions)."""
        if self.scoring == "roc_auc":
            areas = roc_auc(self._positive(codes)[None], decisions.swapaxes(1, 2), weight)
            # Classes without weight have no area, whatever the decisions.
            return areas[:, ~np.isnan(areas).all(axis=0)].mean(axis=1)
        found = [self._winners(flat(decision)) for decision in decisions]
        if self.scoring == "accuracy":
            return np.where(np.stack(found) == codes, fold_shares(folds, weight), 0.0).sum(axis=1)
        return np.array([balanced_accuracy(codes, winners, weight) for winners in found])
