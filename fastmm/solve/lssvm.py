"""Least-squares support vector machines: kernel classifiers in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from fastmm._check import dtype_of_result, finite, number, one_of, real
from fastmm._space import Space, enter
from fastmm.solve._inputs import Training, grid, take_new, take_training
from fastmm.solve.grouped import (
    Folds,
    check_weight,
    fold_shares,
    held_out_residuals,
    make_folds,
    predict_unweighted,
)
from fastmm.solve.linear import cholesky, dual_spectrum, inverse_spd, weighted_products

__all__ = ["LSSVC", "LSSVCCV", "solve_lssvm"]

_KERNELS = ("linear", "rbf", "precomputed")
_SCORINGS = ("roc_auc", "accuracy", "balanced_accuracy")
_BLOCK = 1 << 24  # elements of a kernel block while predicting: 128 MB


def solve_lssvm(K: Any, y: Any, C: float, *, sample_weight: Any = None) -> tuple[Any, Any]:
    r"""Solve the LS-SVM system for one or several targets, in float64.

    .. math::

        \begin{pmatrix} 0 & 1^\top \\ 1 & K + (C W)^{-1} \end{pmatrix}
        \begin{pmatrix} b \\ a \end{pmatrix} = \begin{pmatrix} 0 \\ y \end{pmatrix}

    Parameters
    ----------
    K : array of shape (n, n), NumPy or CuPy
        Symmetric kernel matrix.
    y : array of shape (n,) or (n, targets)
        Targets, -1 and 1 for classes, where `K` lives.
    C : float
        Weight of the squared errors, positive.
    sample_weight : array of shape (n,), optional
        Diagonal of W, not negative. Default: 1.

    Returns
    -------
    dual_coef : array of shape (n,) or (n, targets), float64
        Coefficients a, where `K` lives.
    intercept : array of shape (targets,)
        Intercepts b.

    Raises
    ------
    ValueError
        If `C` is not positive or the system is singular.

    Notes
    -----
    One Cholesky factorisation of the centred kernel, n^3 / 3 flops, and an
    eigendecomposition where the kernel is not positive definite.

    References
    ----------
    .. [1] Suykens, J. A. K., & Vandewalle, J. (1999). Least squares support vector machine
       classifiers. Neural Processing Letters, 9, 293-300.
       https://doi.org/10.1023/A:1018628609742

    Examples
    --------
    >>> a, b = solve_lssvm(np.eye(2), np.array([1.0, -1.0]), 1.0)
    >>> a
    array([ 0.5, -0.5])
    """
    C = number(C, "C", above=0)
    space, (K, y, weight), _ = enter(K=K, y=y, sample_weight=sample_weight)
    system = _System(K, y.reshape(y.shape[0], -1), weight, space)
    dual, intercept = system.original(system.solve(1 / C))
    return (dual[:, 0] if y.ndim == 1 else dual), intercept


class _System:
    """The bordered system with its border taken out, by weighted double centring.

    With s = sqrt(w) and the kernel centred, s spans the direction of the intercept: what
    is left is (s K s + I / C) a = s (y - mean) on the complement of s.
    """

    def __init__(self, K: Any, y: Any, weight: Any, space: Space) -> None:
        xp, n = space.xp, K.shape[0]
        self.space, self.weight, self.targets = space, weight, y.astype(np.float64)
        share = xp.full(n, 1 / n) if weight is None else weight / weight.sum()
        self.root = xp.ones(n) if weight is None else xp.sqrt(weight)
        self.unit = xp.sqrt(share)
        self.kernel = K.astype(np.float64)
        self.row_mean = share @ self.kernel
        self.kernel -= self.row_mean
        self.kernel -= (self.row_mean - share @ self.row_mean)[:, None]
        self.y_mean = share @ self.targets
        self.y = self.root[:, None] * (self.targets - self.y_mean)

    def solve(self, alpha: float) -> Any:
        """Return the weighted coefficients (n, targets) for one alpha = 1 / C."""
        solve = cholesky(self._shifted(alpha)[0], self.space)
        return self.spectral()(alpha).times(self.y) if solve is None else solve(self.y)

    def original(self, weighted: Any) -> tuple[Any, Any]:
        """Return coefficients and intercept in terms of the kernel as it was given."""
        dual = self.root[:, None] * weighted
        return dual, self.y_mean - self.row_mean @ dual

    def inverses(self, count: int) -> Callable[[float], _Inverse]:
        """Return a function of alpha that inverts; the cheaper one for `count` of them."""
        # Measured on 2 cores: one eigendecomposition, with all that a search does besides,
        # costs as much as 3 to 4 inverses by Cholesky at n = 1,000, and 5 to 6 from 2,000.
        if count > (3 if self.unit.size < 1500 else 5):
            return self.spectral()
        return self._direct

    def spectral(self) -> Callable[[float], _Inverse]:
        """Return a function of alpha that inverts, from one eigendecomposition."""
        xp = self.space.xp
        values, basis = dual_spectrum(self._weighted(), self.unit, xp)
        noise = float(abs(values).max()) * values.size * 1e-15
        values = xp.where(abs(values) <= noise, 0.0, values)

        def inverse(alpha: float) -> _Inverse:
            if float(abs(values + alpha).min()) <= min(noise, alpha / 2):
                raise ValueError(
                    "The kernel is not positive semidefinite, and the system is singular for "
                    f"C = {1 / alpha:g}; change `C` or the kernel."
                )
            return _Factored(basis, 1.0 / (values + alpha))

        return inverse

    def held_out(self, inverse: _Inverse, folds: Folds) -> Any:
        """Return decisions (n, targets), each by the machine without its fold."""
        xp = self.space.xp
        residual = held_out_residuals(folds, inverse.blocks, inverse.times(self.y), xp)
        if self.weight is None:
            return self.targets - residual
        idle = np.flatnonzero(self.space.to_host(self.weight) == 0)
        decision = self.targets - residual / xp.where(self.root > 0, self.root, 1.0)[:, None]
        if idle.size:
            there = xp.asarray(idle)
            smoother = inverse.after(self.kernel[there] * self.root)
            smoother = smoother + self.root / self.weight.sum()
            weighted = self.targets * self.root[:, None]
            decision[there] = predict_unweighted(folds, idle, smoother, weighted, residual, xp)
        return decision

    def _direct(self, alpha: float) -> _Inverse:
        shifted, shift = self._shifted(alpha)
        matrix = inverse_spd(shifted, self.space)
        if matrix is None:
            return self.spectral()(alpha)
        matrix -= self.unit[:, None] * (self.unit / (alpha + shift))
        return _Dense(matrix)

    def _weighted(self) -> Any:
        return self.root[:, None] * self.kernel * self.root

    def _shifted(self, alpha: float) -> tuple[Any, float]:
        # The direction of the intercept is a null vector that alone would spoil the
        # condition; no right side reaches into it.
        matrix = self._weighted()
        shift = float(abs(matrix.diagonal()).mean())
        matrix += self.unit[:, None] * (shift * self.unit)
        matrix.ravel()[:: matrix.shape[0] + 1] += alpha
        return matrix, shift


class _Dense(NamedTuple):
    matrix: Any

    def times(self, right: Any) -> Any:
        return self.matrix @ right

    def after(self, left: Any) -> Any:
        return left @ self.matrix

    def blocks(self, rows: Any) -> Any:
        return self.matrix[rows[:, :, None], rows[:, None, :]]


class _Factored(NamedTuple):
    basis: Any
    values: Any

    def times(self, right: Any) -> Any:
        return self.basis @ (self.values[:, None] * (self.basis.T @ right))

    def after(self, left: Any) -> Any:
        return ((left @ self.basis) * self.values) @ self.basis.T

    def blocks(self, rows: Any) -> Any:
        return weighted_products(self.basis[rows], self.values)


_Inverse = _Dense | _Factored


class _LSSVMBase(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    def decision_function(self, X: Any) -> Any:
        r"""Compute the signed scores of new rows.

        .. math:: f(x) = \sum_i a_i k(x, x_i) + b

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features, on the device the model was fitted on; kernel values
            (n, training rows) if `kernel` is "precomputed".

        Returns
        -------
        array of shape (n,) or (n, classes)
            Scores, above 0 for ``classes_[1]``; with more than two classes one column
            per class against the rest. float32 for float32 `X`; as what `X` came as.

        Raises
        ------
        ValueError
            If `X` has another number of features or is not finite.
        TypeError
            If `X` lives on another device.
        """
        space, X, leave = take_new(self, X, dual_coef_=getattr(self, "dual_coef_", None))
        return leave(self._decide(X, space.xp).astype(dtype_of_result(X.dtype)))

    def predict(self, X: Any) -> Any:
        """Predict the class labels of new rows.

        Parameters
        ----------
        X : array of shape (n, d)
            As for `decision_function`.

        Returns
        -------
        array of shape (n,)
            Labels in the dtype of the training labels. Numbers and booleans leave as what
            `X` came as, texts as NumPy arrays.

        Raises
        ------
        ValueError
            If `X` has another number of features or is not finite.
        TypeError
            If `X` lives on another device.
        """
        space, X, leave = take_new(self, X, dual_coef_=getattr(self, "dual_coef_", None))
        labels = self._labels(space.to_host(self._decide(X, space.xp)))
        return leave(space.asarray(labels)) if labels.dtype.kind in "biuf" else labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags

    def _system(self, data: Training) -> _System:
        """Encode the labels, compute the kernel and set up the system."""
        weight = None if data.weight is None else data.space.to_host(data.weight)
        self.classes_, codes = np.unique(data.y, return_inverse=True)
        present = np.unique(codes if weight is None else codes[weight > 0])
        if present.size < 2:
            raise ValueError(
                "`y` must hold at least 2 classes, got only one class, "
                f"{self.classes_[present[0]]!s}."
            )
        if not callable(self.kernel):
            one_of(self.kernel, "kernel", _KERNELS)
        self.gamma_ = self._gamma(data.X, data.weight, data.space.xp)
        self.X_fit_: Any = None if self.kernel == "precomputed" else data.X.copy()
        columns = np.arange(self.classes_.size) if self.classes_.size > 2 else np.array([1])
        signs = np.where(codes[:, None] == columns, 1.0, -1.0)
        kernel = self._training_kernel(data.X, data.space.xp)
        return _System(kernel, data.space.asarray(signs), data.weight, data.space)

    def _keep(self, system: _System, weighted: Any, X: Any) -> None:
        dual, self.intercept_ = system.original(weighted)
        self.dual_coef_ = dual[:, 0] if dual.shape[1] == 1 else dual
        if self.kernel == "linear":
            # The kernel was one of centred rows, which only the intercept tells.
            self.intercept_ = self.intercept_ - _centre(X) @ self._normal()

    def _training_kernel(self, X: Any, xp: Any) -> Any:
        if self.kernel == "linear":
            from fastmm.pairwise import linear_kernel

            return linear_kernel(X - _centre(X))
        if self.kernel == "rbf":
            return self._rbf(X, None)
        K = X if self.kernel == "precomputed" else self.kernel(X, X)
        _check_kernel(K, (X.shape[0], X.shape[0]), xp)
        scale, skew = float(abs(K).max()), float(abs(K - K.T).max())
        if skew > 1e-5 * scale:
            raise ValueError(
                "The kernel matrix of the training samples must be symmetric, got differences "
                f"of up to {skew:g} between K and its transpose."
            )
        return (K + K.T) / 2

    def _decide(self, X: Any, xp: Any) -> Any:
        """Return the scores of checked rows, float64."""
        if self.kernel == "linear":
            normal = self._normal()
            step = max(1, _BLOCK // X.shape[1])
        else:
            step = max(1, _BLOCK // self.dual_coef_.shape[0])
        parts = []
        for start in range(0, X.shape[0], step):
            rows = X[start : start + step]
            if self.kernel == "linear":
                parts.append(rows.astype(np.float64) @ normal)
            else:
                parts.append(self._kernel_to_training(rows, xp) @ self.dual_coef_)
        scores = xp.concatenate(parts)
        return scores + (self.intercept_[0] if scores.ndim == 1 else self.intercept_)

    def _kernel_to_training(self, X: Any, xp: Any) -> Any:
        if self.kernel == "rbf":
            return self._rbf(X, self.X_fit_)
        if self.kernel == "precomputed":
            return X.astype(np.float64)
        K = self.kernel(X, self.X_fit_)
        _check_kernel(K, (X.shape[0], self.X_fit_.shape[0]), xp)
        return K.astype(np.float64)

    def _rbf(self, X: Any, Y: Any) -> Any:
        from fastmm.pairwise import rbf_kernel

        # float64, since the solution magnifies errors of the kernel by up to n C.
        Y = None if Y is None else Y.astype(np.float64)
        return rbf_kernel(X.astype(np.float64), Y, gamma=self.gamma_)

    def _normal(self) -> Any:
        """Return the weights of the features, sum_i a_i x_i; the a_i sum to 0."""
        return (self.X_fit_ - _centre(self.X_fit_)).T @ self.dual_coef_

    def _gamma(self, X: Any, weight: Any, xp: Any) -> Any:
        if self.kernel != "rbf":
            return None
        if not isinstance(self.gamma, str):
            return number(self.gamma, "gamma", above=0)
        if one_of(self.gamma, "gamma", ("scale", "auto")) == "auto":
            return 1.0 / X.shape[1]
        # Weighted, so that a weight of 2 is a row that came twice.
        per_row = (X - xp.average(_row_means(X), weights=weight)) ** 2
        variance = float(xp.average(_row_means(per_row), weights=weight))
        return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0

    def _labels(self, scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        best = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.intp)
        labels: np.ndarray[Any, Any] = self.classes_[best]
        return labels


class LSSVC(_LSSVMBase):
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
            folds = make_folds(data.X.shape[0], groups)
            check_weight(folds, None if data.weight is None else data.space.to_host(data.weight))
        system = self._system(data)
        if folds is None:
            self._keep(system, system.solve(1 / C), data.X)
            return self
        inverse = system.inverses(1)(1 / C)
        decision = system.held_out(inverse, folds)
        self.cv_decision_ = decision[:, 0] if decision.shape[1] == 1 else decision
        self._keep(system, inverse.times(system.y), data.X)
        return self


class LSSVCCV(_LSSVMBase):
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
        "roc_auc" is the mean over classes of each against the rest. Ties go to the first.
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
        folds = make_folds(data.X.shape[0], groups, self.cv, data.y)
        system = self._system(data)
        weight = None if data.weight is None else data.space.to_host(data.weight)
        check_weight(folds, weight)
        inverse_at, scores = system.inverses(len(Cs)), []
        for C in Cs:
            inverse = inverse_at(1 / C)
            decision = system.held_out(inverse, folds)
            decision = decision[:, 0] if decision.shape[1] == 1 else decision
            on_host = data.space.to_host(decision)
            scores.append(self._score(data.y, on_host, folds, weight))
            if len(scores) == 1 or scores[-1] > max(scores[:-1]):
                best = (C, decision, self._labels(on_host), inverse.times(system.y))
        self.C_, self.cv_decision_, self.cv_predictions_, weighted = best
        self.cv_scores_, self.best_score_ = np.array(scores), float(max(scores))
        self._keep(system, weighted, data.X)
        return self

    def _score(self, y: Any, decision: Any, folds: Folds, weight: Any) -> float:
        if self.scoring == "accuracy":
            return float(fold_shares(folds, weight) @ (self._labels(decision) == y))
        from sklearn.metrics import balanced_accuracy_score, roc_auc_score

        if self.scoring == "balanced_accuracy":
            found = self._labels(decision)
            return float(balanced_accuracy_score(y, found, sample_weight=weight))
        columns = decision[:, None] if decision.ndim == 1 else decision
        positive = self.classes_[1:] if decision.ndim == 1 else self.classes_
        each = [
            roc_auc_score(y == label, column, sample_weight=weight)
            for label, column in zip(positive, columns.T, strict=True)
        ]
        return float(np.mean(each))


def _centre(X: Any) -> Any:
    return X.mean(axis=0, dtype=np.float64)


def _row_means(X: Any) -> Any:
    return X.mean(axis=1, dtype=np.float64)


def _check_kernel(K: Any, shape: tuple[int, int], xp: Any) -> None:
    real(K, "K")
    if K.shape != shape:
        raise ValueError(
            f"The kernel of {shape[0]} with {shape[1]} samples must have shape {shape}, "
            f"got {tuple(K.shape)}."
        )
    finite(K, "K", xp)
