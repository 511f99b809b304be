"""Ridge regression estimators: one fit, or an exact grouped search of the penalty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from fastmm._check import dtype_of_result, number, one_of
from fastmm.solve._inputs import Training, grid, rank_warning, take_new, take_training
from fastmm.solve.design import pieces
from fastmm.solve.grouped import make_folds
from fastmm.solve.ridge import SCORINGS, RidgeProblem, solve_ridge
from fastmm.solve.scoring import best_of
from fastmm.solve.spectral import factorise

__all__ = ["Ridge", "RidgeCV"]


class _RidgeBase(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    def predict(self, X: Any) -> Any:
        r"""Predict the targets of new rows.

        .. math:: \hat y = X \beta + b

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features, on the device the model was fitted on.

        Returns
        -------
        array of shape (n,) or (n, targets)
            Predictions, float32 for float32 `X`; they leave as what `X` came as.

        Raises
        ------
        ValueError
            If `X` has another number of features or is not finite.
        TypeError
            If `X` lives on another device.
        """
        space, X, leave = take_new(self, X, coef_=getattr(self, "coef_", None))
        # Products in float64: at a mean of 1e4, float32 sums lose what the fit found.
        parts = [
            X[rows].astype(np.float64, order="C") @ self.coef_.T + self.intercept_
            for rows in pieces(*X.shape)
        ]
        return leave(space.xp.concatenate(parts).astype(dtype_of_result(X.dtype)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _search(
        self, data: Training, groups: Any, cv: Any, alphas: Sequence[float], scoring: str
    ) -> tuple[int, np.ndarray[Any, Any]]:
        """Fit the best alpha of those given; return its place and the scores."""
        labels = data.space.to_host(data.y)
        folds = make_folds(data.X.shape[0], groups, cv, labels, data.host_weight())
        problem = RidgeProblem(data.X, data.y, data.weight, self.fit_intercept, data.space)
        spectrum = factorise(problem.design, min(alphas))
        held_out = problem.held_out(spectrum, folds, alphas)
        scores = problem.scores(held_out, folds, scoring)
        best = best_of(scores)
        self.coef_, self.intercept_ = problem.original(
            spectrum.coefficients(problem.y, alphas[best])
        )
        self.solver_ = spectrum.kind
        self.cv_predictions_ = held_out[best, :, 0] if problem.flat else held_out[best]
        if min(alphas) == 0 and spectrum.rank() < problem.design.shape[1]:
            rank_warning(spectrum.rank(), problem.design.shape[1], stacklevel=4)
        return best, scores


class Ridge(_RidgeBase):
    r"""Ridge regression with exact leave-one-group-out predictions.

    .. math:: \min_{\beta, b} \sum_i w_i (y_i - x_i^\top \beta - b)^2 + \alpha \|\beta\|^2

    Parameters
    ----------
    alpha : float, default 1.0
        Penalty, not negative. 0 gives the minimum-norm least-squares solution, with a
        warning where the design has not full column rank.
    fit_intercept : bool, default True
        Whether to fit an intercept, which is not penalised.

    Attributes
    ----------
    coef_ : array of shape (d,) or (targets, d), float64
        Coefficients, where the training data live.
    intercept_ : float or array of shape (targets,)
        Intercept; 0.0 if `fit_intercept` is False.
    solver_ : {"primal", "dual", "svd"}
        What was factorised: X'X (d <= n), XX' (d > n), or X itself where the Gram matrix
        would lose more than 7 digits, and for `alpha` 0.
    cv_predictions_ : array of shape (n,) or (n, targets), float64
        Out-of-fold predictions in the row order of X; only if `groups` were given.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    Solved in float64 whatever the dtype of the data; the data are centred before any
    product, so that a large mean costs no digits.

    Examples
    --------
    >>> from fastmm import Ridge
    >>> model = Ridge(alpha=0.5).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> model.coef_
    array([0.8])
    """

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Ridge:
        """Fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features.
        y : array of shape (n,) or (n, targets)
            Targets, on the same device.
        sample_weight : array of shape (n,), optional
            Weights, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. If given, `cv_predictions_` is set.

        Returns
        -------
        Ridge
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit or `alpha` is negative.
        TypeError
            If the arrays live on different devices.
        """
        alpha = number(self.alpha, "alpha", minimum=0)
        data = take_training(self, X, y, sample_weight)
        if groups is not None:
            self._search(data, groups, None, [alpha], SCORINGS[0])
            return self
        self.coef_, self.intercept_, self.solver_, rank = solve_ridge(
            data.X, data.y, alpha, fit_intercept=self.fit_intercept, sample_weight=data.weight
        )
        if alpha == 0 and rank < data.X.shape[1]:
            rank_warning(rank, data.X.shape[1])
        return self


class RidgeCV(_RidgeBase):
    r"""Ridge regression that chooses its penalty by exact grouped cross-validation.

    One eigendecomposition serves all penalties and folds: the residuals of group g, had
    it been left out, are

    .. math:: e_g = (I - H_{gg})^{-1} (y - H y)_g, \quad H = H(\alpha)

    Parameters
    ----------
    alphas : sequence of float, default (0.1, 1.0, 10.0)
        Penalties to try, not negative.
    fit_intercept : bool, default True
        Whether to fit an intercept, anew without each fold.
    scoring : {None, "neg_mean_squared_error", "r2", "roc_auc"}, default None
        What to maximise; None is "neg_mean_squared_error". That is the mean over folds of
        the fold's mean, as in scikit-learn's GridSearchCV. "r2" and "roc_auc" (two
        values of y) are taken once over all out-of-fold predictions, since a fold of one
        patient has neither. Several targets are averaged. Ties (to 1e-12) go to
        the first.
    cv : None, int, splitter or iterable of (train, test), default None
        None leaves one group out at a time, or one row where `fit` got no `groups`. An
        int makes so many folds of whole groups, balanced by rows: the largest group
        first, each to the smallest fold. A splitter must test each row once and never
        split a group.

    Attributes
    ----------
    alpha_ : float
        The chosen penalty.
    best_score_ : float
        Its cross-validated score.
    cv_scores_ : ndarray of shape (n_alphas,), float64
        Score of each penalty.
    cv_predictions_ : array of shape (n,) or (n, targets), float64
        Out-of-fold predictions at `alpha_`, in the row order of X.
    coef_, intercept_, solver_, n_features_in_
        As in :class:`Ridge`.

    Notes
    -----
    Cost: one eigendecomposition of min(n, d) rows, then per penalty about n m d flops for
    groups of m rows. Memory: a copy of X in float64, and n values per penalty. Agrees
    with explicit refits to 1e-10. A fold without which a penalty near 0 leaves the
    problem singular is refitted. `sample_weight` weights both the fit and the score.

    References
    ----------
    .. [1] Cook, R. D., & Weisberg, S. (1982). Residuals and Influence in Regression.
       Chapman and Hall.
    .. [2] Golub, G. H., Heath, M., & Wahba, G. (1979). Generalized cross-validation as a
       method for choosing a good ridge parameter. Technometrics, 21(2), 215-223.
       https://doi.org/10.1080/00401706.1979.10489751

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import RidgeCV
    >>> X = np.arange(12.0).reshape(6, 2) ** 2
    >>> model = RidgeCV(alphas=(0.1, 10.0)).fit(X, X @ [1.0, -1.0], groups=[1, 1, 2, 2, 3, 3])
    >>> model.alpha_
    0.1
    """

    def __init__(
        self,
        alphas: Sequence[float] = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        scoring: str | None = None,
        cv: Any = None,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> RidgeCV:
        """Choose the penalty and fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features.
        y : array of shape (n,) or (n, targets)
            Targets, on the same device.
        sample_weight : array of shape (n,), optional
            Weights, not negative, of fit and score. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row, of any dtype. Default: every row its own.

        Returns
        -------
        RidgeCV
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, a penalty is negative, or the
            rows cannot be split as asked.
        TypeError
            If the arrays live on different devices.
        """
        alphas = grid(self.alphas, "alphas", minimum=0)
        scoring = one_of(self.scoring or SCORINGS[0], "scoring", SCORINGS)
        data = take_training(self, X, y, sample_weight)
        best, self.cv_scores_ = self._search(data, groups, self.cv, alphas, scoring)
        self.alpha_, self.best_score_ = alphas[best], float(self.cv_scores_[best])
        return self
