"""Ridge classifiers: one penalty, or an exact grouped search of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastmm._check import number, one_of
from fastmm.solve._inputs import grid, rank_warning
from fastmm.solve.ridge.accuracy import digits_warning
from fastmm.solve.ridge.linear_classifier import LinearClassifier
from fastmm.solve.ridge.solution import solve_ridge
from fastmm.solve.scoring import CLASS_SCORINGS

__all__ = ["RidgeClassifier", "RidgeClassifierCV"]


class RidgeClassifier(LinearClassifier):
    r"""Classify by ridge regression on labels of -1 and 1.

    .. math:: \min_{\beta, b} \sum_i w_i (y_i - x_i^\top \beta - b)^2 + \alpha \|\beta\|^2,
        \quad y_i \in \{-1, 1\}

    Parameters
    ----------
    alpha : float, default 1.0
        Penalty, not negative. 0 gives the minimum-norm least-squares solution, with a
        warning where the design has not full column rank.
    fit_intercept : bool, default True
        Whether to fit an intercept, which is not penalised.
    class_weight : {None, "balanced"} or dict, default None
        Factor of the weights of each class; "balanced" is n / (classes * rows of the class).
    memory_limit : int, str or None, default None
        As in :class:`Ridge`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, in the dtype of y, on the host.
    coef_ : array of shape (1, d), or (n_classes, d) for more than two, float64
        Coefficients, where the training data live.
    intercept_ : array of shape (1,) or (n_classes,), float64
        Intercepts; 0.0 if `fit_intercept` is False.
    solver_ : {"primal", "dual", "svd"}
        What was factorised, as in :class:`Ridge`.
    cv_decision_ : array of shape (n,) or (n, n_classes), float64
        Out-of-fold scores in the row order of X, exact; only if `groups` were given.
    cv_predictions_ : ndarray of shape (n,)
        Out-of-fold labels, on the host; only if `groups` were given.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    More than two classes are solved at once, each against the rest, from one
    factorisation. Equals scikit-learn's RidgeClassifier to 1e-9. For two classes the
    coefficients are, but for their length, those of Fisher's linear discriminant with a
    shrunken covariance.

    Examples
    --------
    >>> from fastmm import RidgeClassifier
    >>> model = RidgeClassifier().fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> model.predict([[0.5], [2.5]])
    array(['a', 'b'], dtype='<U1')
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        class_weight: Any = None,
        memory_limit: int | str | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> RidgeClassifier:
        """Fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d), or dask array
            Rows of features; with `memory_limit` anything that is sliced.
        y : array of shape (n,)
            Labels of any dtype, on the host or where `X` lives.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. If given, `cv_decision_` is set.

        Returns
        -------
        RidgeClassifier
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, `y` has one class or a parameter
            is out of its range.
        TypeError
            If the arrays live on different devices.
        """
        alpha = number(self.alpha, "alpha", minimum=0)
        data, _ = self._take(X, y, sample_weight)
        if groups is not None:
            self._leave_out(data, groups, alpha)
            self._name_held_out(data)
            return self
        found = solve_ridge(
            data.X, data.y, alpha, fit_intercept=self.fit_intercept, sample_weight=data.weight
        )
        self.coef_, self.intercept_, self.solver_ = found.coef, found.intercept, found.solver
        if alpha == 0 and found.rank < data.X.shape[1]:
            rank_warning(found.rank, data.X.shape[1])
        digits_warning(found.error)
        return self


class RidgeClassifierCV(LinearClassifier):
    r"""Classify by ridge regression, its penalty chosen by exact grouped cross-validation.

    One eigendecomposition serves all penalties, folds and classes: with H the smoother and
    y the labels as -1 and 1, the scores of group g by the model fitted without it are

    .. math:: f_g = y_g - (I - H_{gg})^{-1} (y - H y)_g, \quad H = H(\alpha)

    Parameters
    ----------
    alphas : sequence of float, default (0.1, 1.0, 10.0)
        Penalties to try, not negative.
    fit_intercept : bool, default True
        Whether to fit an intercept, anew without each fold.
    scoring : {"roc_auc", "accuracy", "balanced_accuracy"}, default "roc_auc"
        What to maximise, as in :class:`LSSVCCV`. Areas change with every pair of rows that
        changes places, and tell penalties apart where on a small cohort the accuracies of
        many are equal. Ties (to 1e-12) go to the first.
    cv : None, int, splitter or iterable of (train, test), default None
        As in :class:`RidgeCV`.
    class_weight : {None, "balanced"} or dict, default None
        As in :class:`RidgeClassifier`. "balanced" counts the rows of all folds, once.
    memory_limit : int, str or None, default None
        As in :class:`Ridge`.

    Attributes
    ----------
    alpha_ : float
        The chosen penalty.
    best_score_ : float
        Its cross-validated score.
    cv_scores_ : ndarray of shape (n_alphas,), float64
        Score of each penalty.
    cv_decision_ : array of shape (n,) or (n, n_classes), float64
        Out-of-fold scores at `alpha_`, in the row order of X.
    cv_predictions_ : ndarray of shape (n,)
        Out-of-fold labels at `alpha_`, on the host.
    classes_, coef_, intercept_, solver_, n_features_in_
        As in :class:`RidgeClassifier`.

    Notes
    -----
    Cost and accuracy are those of :class:`RidgeCV` with one target for each class.
    `sample_weight` and `class_weight` weight both the fit and the score; a factor common
    to a class changes no area of two classes and no balanced accuracy. scikit-learn's
    RidgeClassifierCV ranks penalties by squared errors if it leaves one row out, and by
    accuracy otherwise.

    References
    ----------
    .. [1] Cook, R. D., & Weisberg, S. (1982). Residuals and Influence in Regression.
       Chapman and Hall.

    Examples
    --------
    >>> from fastmm import RidgeClassifierCV
    >>> X = [[0.0], [0.2], [1.0], [2.0], [2.8], [3.0]]
    >>> model = RidgeClassifierCV().fit(X, [0, 0, 0, 1, 1, 1], groups=[1, 1, 2, 3, 4, 4])
    >>> model.best_score_
    1.0
    """

    def __init__(
        self,
        alphas: Sequence[float] = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        scoring: str = "roc_auc",
        cv: Any = None,
        class_weight: Any = None,
        memory_limit: int | str | None = None,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.class_weight = class_weight
        self.memory_limit = memory_limit

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> RidgeClassifierCV:
        """Choose the penalty and fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d), or dask array
            Rows of features; with `memory_limit` anything that is sliced.
        y : array of shape (n,)
            Labels of any dtype, on the host or where `X` lives.
        sample_weight : array of shape (n,), optional
            Weights, not negative, of fit and score. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row, of any dtype. Default: every row its own.

        Returns
        -------
        RidgeClassifierCV
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, `y` has one class, a parameter is
            out of its range, or the rows cannot be split as asked.
        TypeError
            If the arrays live on different devices.
        """
        alphas = grid(self.alphas, "alphas", minimum=0)
        scoring = one_of(self.scoring, "scoring", CLASS_SCORINGS)
        data, codes = self._take(X, y, sample_weight)
        best, self.cv_scores_ = self._search(data, groups, self.cv, alphas, scoring, codes=codes)
        self.alpha_, self.best_score_ = alphas[best], float(self.cv_scores_[best])
        self._name_held_out(data)
        return self
