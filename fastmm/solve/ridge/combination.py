"""Weights of modality scores: late fusion by least squares."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastmm.solve._inputs import Training, take_training
from fastmm.solve.chunked.base import Rows
from fastmm.solve.chunked.rows import read_whole
from fastmm.solve.grouped import make_folds
from fastmm.solve.ridge.model import RidgeModel
from fastmm.solve.triangular import TriangularProblem
from fastmm.streams.limits import check_limit, refuse_below

__all__ = ["LinearCombination"]


class LinearCombination(RidgeModel):
    r"""Combine the scores of several models by least squares, or with weights not negative.

    .. math:: \min_{\beta, b} \sum_i w_i (y_i - x_i^\top \beta - b)^2,
        \quad \beta \ge 0 \text{ if } \texttt{positive}

    Parameters
    ----------
    positive : bool, default False
        Whether weights must not be negative, so that a score that is worse than none gets
        the weight 0, never a negative one.
    fit_intercept : bool, default True
        Whether to fit an intercept, which may be negative.
    memory_limit : int, str or None, default None
        Bytes that a fit may take, such as "2GB". Scores are combined as a whole: a limit
        that is too low is an error, which says how much they need. Those on disk are read
        only where they have room.

    Attributes
    ----------
    coef_ : array of shape (m,) or (targets, m), float64
        Weights of the scores, where the training data live.
    intercept_ : float or array of shape (targets,)
        Intercept; 0.0 if `fit_intercept` is False.
    residual_ : float or array of shape (targets,)
        What the fit leaves: the root of the weighted sum of squared errors.
    rank_ : int
        Rank of the scores.
    cv_predictions_ : array of shape (n,) or (n, targets), float64
        Out-of-fold predictions in the row order of X; only if `groups` were given.
    n_features_in_ : int
        Number of scores, m.

    Notes
    -----
    The scores must be out of fold: each row's by a model that has not seen its patient,
    such as `cv_predictions_` or `cv_decision_` of the models combined. Scores of training
    rows are too good, and the weights would follow the model that overfits most.

    To classify, give labels of 0 and 1: predictions then estimate the probability of
    class 1 (they may leave [0, 1]), cut at 0.5 or ranked by :func:`fastmm.metrics.roc_auc_score`.

    Where the scores have not full rank, the weights of least norm are returned, with a
    warning. Cost: n m^2 flops, and m^3 for each
    group: a fit without it starts from triangular factors of the rows before and after
    it, and equals a refit to 1e-10. Scores are few: they are combined on the host, also
    if they live on a GPU; n m values in hand, for which there is no `memory_limit`.

    References
    ----------
    .. [1] Wolpert, D. H. (1992). Stacked generalization. Neural Networks, 5(2), 241-259.
       https://doi.org/10.1016/S0893-6080(05)80023-1
    .. [2] Breiman, L. (1996). Stacked regressions. Machine Learning, 24, 49-64.
       https://doi.org/10.1007/BF00117832
    .. [3] Lawson, C. L., & Hanson, R. J. (1995). Solving Least Squares Problems. SIAM.
       https://doi.org/10.1137/1.9781611971217

    Examples
    --------
    >>> from fastmm import LinearCombination
    >>> scores = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]]
    >>> LinearCombination(positive=True).fit(scores, [0.0, 2.0, 4.0, 6.0]).coef_.round(6)
    array([2., 0.])
    """

    def __init__(
        self,
        *,
        positive: bool = False,
        fit_intercept: bool = True,
        memory_limit: int | str | None = None,
    ) -> None:
        self.positive = positive
        self.fit_intercept = fit_intercept
        self.memory_limit = memory_limit

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> LinearCombination:
        """Fit the weights.

        Parameters
        ----------
        X : array of shape (n, m)
            Scores, one column for each model.
        y : array of shape (n,) or (n, targets)
            Targets, on the same device.
        sample_weight : array of shape (n,), optional
            Weights of the rows, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each row. If given, `cv_predictions_` is set.

        Returns
        -------
        LinearCombination
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite or shapes do not fit.
        TypeError
            If the arrays live on different devices.
        """
        data = take_training(self, X, y, sample_weight, chunks=True)
        if hasattr(self, "cv_predictions_"):
            del self.cv_predictions_
        space, weight = data.space, data.host_weight()
        folds = None if groups is None else make_folds(len(data.y), groups, weight=weight)
        data = _read(self, data, 0 if folds is None else folds.n_folds)
        rows, targets = space.to_host(data.X), space.to_host(data.y).astype(np.float64)
        flat, targets = targets.ndim == 1, targets.reshape(len(targets), -1)
        problem = TriangularProblem(rows, targets, weight, self.fit_intercept, self.positive)
        found = problem.solve()
        self.coef_ = space.asarray(found.coef[:, 0] if flat else found.coef.T)
        self.intercept_ = 0.0
        if self.fit_intercept:
            self.intercept_ = float(found.intercept[0]) if flat else space.asarray(found.intercept)
        self.residual_ = float(found.residual[0]) if flat else space.asarray(found.residual)
        self.rank_ = found.rank
        if folds is not None:
            held_out = problem.held_out(folds)
            self.cv_predictions_ = space.asarray(held_out[:, 0] if flat else held_out)
        if found.rank < rows.shape[1]:
            _warn_of_rank(found.rank, rows.shape[1])
        return self


def _read(model: LinearCombination, data: Training, groups: int) -> Training:
    """Read scores that come in chunks, and refuse a limit without room for the fit."""
    rows = data.X
    n, m = rows.shape
    targets = 1 if data.y.ndim == 1 else data.y.shape[1]
    values = n * (4 * m + 3 * targets + 2) + 2 * groups * (m + targets + 1) ** 2
    refuse_below(
        8 * values, check_limit(model.memory_limit), f"{n} rows of {m} scores, and factors of them"
    )
    return data._replace(X=read_whole(rows), own=True) if isinstance(rows, Rows) else data


def _warn_of_rank(rank: int, scores: int) -> None:
    from scipy.linalg import LinAlgWarning

    warnings.warn(
        f"The scores have rank {rank} for {scores} columns: many weights fit equally well, and "
        "those of least norm are returned. Drop columns that repeat others or are constant.",
        LinAlgWarning,
        stacklevel=3,
    )
