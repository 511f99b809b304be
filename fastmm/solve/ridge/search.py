"""Ridge regression that searches its penalty by exact grouped cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmm._check import integer, one_of
from fastmm.solve._inputs import grid, take_training
from fastmm.solve.ridge.bands import Bands
from fastmm.solve.ridge.model import RidgeModel
from fastmm.solve.ridge.solution import SCORINGS

__all__ = ["RidgeCV"]


class RidgeCV(RidgeModel):
    r"""Ridge regression that chooses its penalty by exact grouped cross-validation.

    One eigendecomposition serves all penalties, folds and targets: the residuals of group
    g, had it been left out, are

    .. math:: e_g = (I - H_{gg})^{-1} (y - H y)_g, \quad H = H(\alpha)

    Parameters
    ----------
    alphas : sequence of float, default (0.1, 1.0, 10.0)
        Penalties to try, not negative.
    fit_intercept : bool, default True
        Whether to fit an intercept, anew without each fold.
    scoring : str, default None
        What to maximise: "neg_mean_squared_error" (None), "r2", or for a y of two values,
        the larger one positive, "roc_auc", "accuracy" or "balanced_accuracy", which cut
        predictions in the middle of the two. Errors and accuracies are means over folds
        of the fold's mean, as in scikit-learn's GridSearchCV; the others are taken once
        over all out-of-fold predictions, since a fold of one patient has neither. For
        "roc_auc" each prediction is taken less the mean of the targets its model saw (see
        Notes). Ties (to 1e-12) go to the first candidate.
    cv : None, int, splitter or iterable of (train, test), default None
        None leaves one group out at a time, or one row where `fit` got no `groups`. An
        int makes so many folds of whole groups, balanced by rows: the largest group
        first, each to the smallest fold. A splitter must test each row once and never
        split a group.
    alpha_per_target : bool, default False
        Whether each target chooses its own penalty; else the mean of their scores
        decides.
    blocks : mapping of name to columns, or sequence of columns, default None
        Columns of each block (modality), as slices or indices, such as the `slices` of
        :func:`stack_features`; each column in one block. Each block then gets its own
        penalty: every one of `alphas`, positive, times each of `n_candidates` ratios of
        the blocks' penalties is tried.
    n_candidates : int, default 32
        Ratios to try: all the same; each block nearly alone; then, relative to a mean of
        the inverse penalties of 1, shares drawn from Dirichlet distributions.
    seed : int, default 0
        Seed of those draws.
    memory_limit : int, str or None, default None
        As in :class:`Ridge`.

    Attributes
    ----------
    alpha_ : float, ndarray of shape (targets,), or a dict or list of them
        The chosen penalty; one for each target with `alpha_per_target`, of each block by
        its name (or in the order of `blocks`) with `blocks`.
    best_score_ : float or ndarray of shape (targets,)
        Its cross-validated score.
    cv_scores_ : ndarray, float64
        Score of each penalty, (alphas,); with `blocks` (candidates, alphas); with
        `alpha_per_target` one more axis, (targets,).
    ratios_ : ndarray of shape (candidates, blocks), float64
        Penalties of the blocks in each candidate relative to alpha; only with `blocks`.
    cv_predictions_ : array of shape (n,) or (n, targets), float64
        Out-of-fold predictions at `alpha_`, in the row order of X.
    coef_, intercept_, solver_, n_features_in_
        As in :class:`Ridge`.

    Notes
    -----
    Cost: one eigendecomposition of min(n, d) rows, then per penalty about n m min(n, d)
    flops for groups of m rows, and 2 n min(n, d) for each target; with `blocks`, that for
    each candidate ratio, on Gram matrices of the blocks made once (d x d is never formed
    where d > n). Memory: X in float64, the Gram matrices, and work space of about 128 MB,
    however many targets and penalties. Agrees with explicit refits to 1e-10. A fold
    without which a penalty near 0 leaves the problem singular is refitted.
    `sample_weight` weights both the fit and the score.

    A model of features that tell nothing predicts the mean of its training targets, which
    is lower where a positive row was left out: pooled leave-one-out predictions of noise
    have an AUC far below 0.5, down to 0 for large penalties. Less that mean, they have 0.5
    (measured, see the tests). `cv_predictions_` are the plain predictions.

    References
    ----------
    .. [1] Cook, R. D., & Weisberg, S. (1982). Residuals and Influence in Regression.
       Chapman and Hall.
    .. [2] Golub, G. H., Heath, M., & Wahba, G. (1979). Generalized cross-validation as a
       method for choosing a good ridge parameter. Technometrics, 21(2), 215-223.
       https://doi.org/10.1080/00401706.1979.10489751
    .. [3] Dupre la Tour, T., Eickenberg, M., Nunez-Elizalde, A. O., & Gallant, J. L. (2022).
       Feature-space selection with banded ridge regression. NeuroImage, 264, 119728.
       https://doi.org/10.1016/j.neuroimage.2022.119728
    .. [4] Airola, A., Pahikkala, T., Waegeman, W., De Baets, B., & Salakoski, T. (2011). An
       experimental comparison of cross-validation techniques for estimating the area under
       the ROC curve. Computational Statistics & Data Analysis, 55(4), 1828-1844.
       https://doi.org/10.1016/j.csda.2010.11.018

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
        alpha_per_target: bool = False,
        blocks: Any = None,
        n_candidates: int = 32,
        seed: int = 0,
        memory_limit: int | str | None = None,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.alpha_per_target = alpha_per_target
        self.blocks = blocks
        self.n_candidates = n_candidates
        self.seed = seed
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> RidgeCV:
        """Choose the penalty and fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d), or dask array
            Rows of features; with `memory_limit` anything that is sliced.
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
            If a value is not finite, shapes do not fit, a penalty is negative, `blocks` do
            not hold each column once, or the rows cannot be split as asked.
        TypeError
            If the arrays live on different devices.
        """
        above = -np.inf if self.blocks is None else 0.0
        alphas = grid(self.alphas, "alphas", minimum=0, above=above)
        scoring = one_of(self.scoring or SCORINGS[0], "scoring", SCORINGS)
        data = take_training(self, X, y, sample_weight, chunks=True)
        bands, ratios = None, None
        if self.blocks is not None:
            bands = Bands(self.blocks, data.X.shape[1])
            count, seed = integer(self.n_candidates, "n_candidates"), self.seed
            ratios = bands.candidates(count, integer(seed, "seed", minimum=0))
            self.ratios_ = ratios
        best, self.cv_scores_ = self._search(
            data,
            groups,
            self.cv,
            alphas,
            scoring,
            per_target=self.alpha_per_target,
            bands=bands,
            ratios=ratios,
        )
        chosen: Any = np.array(alphas)[best % len(alphas)]
        if bands is not None and ratios is not None:
            self.alpha_ = bands.named((ratios[best // len(alphas)].T) * chosen)
        else:
            self.alpha_ = float(chosen) if np.ndim(chosen) == 0 else chosen
        self.best_score_ = self._best_score(best)
        return self

    def _best_score(self, best: Any) -> Any:
        if np.ndim(best) == 0:
            return float(self.cv_scores_.ravel()[best])
        flat = self.cv_scores_.reshape(-1, best.size)
        return flat[best, np.arange(best.size)]
