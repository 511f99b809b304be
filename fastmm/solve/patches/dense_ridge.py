"""Ridge regression on all patches of all images, which are never made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from fastmm._check import number, one_of
from fastmm._space import Space, telling_of_memory
from fastmm.solve._inputs import grid
from fastmm.solve.grouped import Folds, less_training_means, make_folds, training_means
from fastmm.solve.patches.inputs import Images, Kind, Targets
from fastmm.solve.patches.left_out import LeftOut
from fastmm.solve.patches.stream import PatchStream
from fastmm.solve.patches.sums import patch_sums
from fastmm.solve.ridge.solution import SCORINGS
from fastmm.solve.scoring import best_of, refuse_overflow, score_regression
from fastmm.streams.lazy_rows import LazyRows

__all__ = ["DensePatchRidge"]

_FITTED = ("statistics_", "cv_predictions_", "cv_scores_", "best_score_", "alpha_")


class DensePatchRidge(PatchStream):
    r"""Ridge regression on all patches of all images, fitted without making a patch.

    .. math:: \min_{\beta, b} \sum_n w_n \sum_{\mathrm{pos}}
        \bigl(y_{n,\mathrm{pos}} - \textstyle\sum_i x_n(\mathrm{pos} + i)\, \beta_i - b\bigr)^2
        + \alpha \|\beta\|^2

    Each patch is a row, its pixels (of all modalities) the features. Targets belong to
    positions (label maps), or to images: then all patches of an image carry its target, and
    the mean of its map is the prediction.

    Parameters
    ----------
    patch_size : sequence of 1 to 3 ints
        Size of a patch in pixels, (height, width) for images. Its length is the number of
        spatial axes.
    step : int or sequence of ints, default 1
        Distance between neighbouring patches in pixels, for all axes or for each.
    alpha : float, default 1.0
        Penalty, not negative. 0 gives the solution of least norm, with a warning where the
        patches have not full column rank.
    alphas : sequence of float, optional
        Penalties to choose from, by leaving out patients; `alpha` is then not used.
    fit_intercept : bool, default True
        Whether to fit an intercept, which is not penalised.
    scoring : str, optional
        What to maximise over `alphas`: "neg_mean_squared_error" (default), "r2", "roc_auc",
        "accuracy" or "balanced_accuracy", as in :class:`fastmm.RidgeCV`.
    cv : None, int, splitter or iterable of (train, test), optional
        What `alphas` leave out: None one group of images at a time, or one image where
        `fit` got no `groups`; an int so many folds of whole groups.
    memory_limit : int, str or None, default None
        Bytes that a call may take on the host beside what is in memory already, such as "2GB":
        images (and maps of targets) that are memory-mapped, zarr's, or anything of h5py's
        kind are then read some at a time, the next ones meanwhile. d x d sums for d pixels
        of a patch have to fit.

    Attributes
    ----------
    coef_ : array of shape patch_size or (targets, \*patch_size), float64
        Filters, where the training images live; a dict of them for several modalities.
    intercept_ : float or array of shape (targets,)
        Prediction of a patch of zeros; 0.0 if `fit_intercept` is False.
    by_position_ : bool
        Whether targets belonged to positions.
    residual_ : float
        Backward error of the normal equations, relative.
    cv_predictions_ : array of the shape of y, float64
        Predictions by models that have not seen the image's group; only if `fit` got
        `groups`, or with `alphas`.
    alpha_, best_score_ : float
        The chosen penalty and its score; only with `alphas`.
    cv_scores_ : ndarray of shape (alphas,), float64
        Score of each penalty; only with `alphas`.
    statistics_ : dict
        Sums over the patches seen so far; only after `partial_fit`.

    Notes
    -----
    With d features, g positions along an axis and m modalities, n images of h x w pixels
    and patches of p x p: G = X'X is summed from blocks of the pixel Gram matrix, n h p (m w)^2
    multiplications where the patches take n g^2 d^2 / 2, and box sums along its diagonals;
    long axes are cut into tiles. All in float64, about a value near the mean of each
    modality, so that a large mean costs no digits. Then d^3 / 3 for one Cholesky factor of
    each penalty. Memory: 2 to 3 times d^2 values, and 1 GB of work space, or what
    `memory_limit` leaves; the patches would take n g^2 d.

    Equals :class:`sklearn.linear_model.Ridge` on the explicit patches, in float64, to 1e-9
    relative where the condition number allows (a warning says where not).

    A group is left out exactly: its system is solved by conjugate gradients with the factor
    of the whole one, to 1e-12 in the energy norm, all groups together: about 4 d^2
    multiplications for each group and iteration, 5 to 20 of them, and 2 m + 2 Fourier
    transforms for each image. Where that does not converge, and for a penalty of 0, the
    group's own sums are taken away and d^3 / 3 more multiplications solve the rest.

    `partial_fit` adds the sums over more images, of any size that holds a patch, to those
    of before; `merge` those of another model. Box sums cost the same for 1 image and for
    1,000: give some hundreds at a time.

    References
    ----------
    .. [1] Hoerl, A. E., & Kennard, R. W. (1970). Ridge regression: biased estimation for
       nonorthogonal problems. Technometrics, 12(1), 55-67.
       https://doi.org/10.1080/00401706.1970.10488634
    .. [2] Crow, F. C. (1984). Summed-area tables for texture mapping. ACM SIGGRAPH Computer
       Graphics, 18(3), 207-212. https://doi.org/10.1145/964965.808600
    .. [3] Hestenes, M. R., & Stiefel, E. (1952). Methods of conjugate gradients for solving
       linear systems. Journal of Research of the National Bureau of Standards, 49, 409-436.
       https://doi.org/10.6028/jres.049.044

    Examples
    --------
    A horizontal edge, learned from a map of them:

    >>> import numpy as np
    >>> from fastmm import DensePatchRidge
    >>> images = np.random.default_rng(0).normal(size=(4, 9, 9))
    >>> edges = images[:, 1:, :] - images[:, :-1, :]
    >>> DensePatchRidge((2, 1), alpha=1e-9).fit(images, edges).coef_.ravel().round(6)
    array([-1.,  1.])
    """

    def __init__(
        self,
        patch_size: Sequence[int],
        step: int | Sequence[int] = 1,
        alpha: float = 1.0,
        *,
        alphas: Sequence[float] | None = None,
        fit_intercept: bool = True,
        scoring: str | None = None,
        cv: Any = None,
        memory_limit: int | str | None = None,
    ) -> None:
        self.patch_size = patch_size
        self.step = step
        self.alpha = alpha
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.memory_limit = memory_limit

    def fit(self, images: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        r"""Fit the filters.

        Parameters
        ----------
        images : array of shape (n, \*spatial), or dict of name to such arrays
            Images of one modality, or of several, all of one shape.
        y : array of shape (n,), (n, targets), (n, \*grid) or (n, \*grid, targets)
            Targets of images, or of the positions of a patch, on the same device. For
            signals, of one spatial axis, (n, targets) is not taken: it could be either.
        sample_weight : array of shape (n,), optional
            Weights of images, not negative. Default: 1.
        groups : array of shape (n,), optional
            Group (patient) of each image. If given, `cv_predictions_` is set.

        Returns
        -------
        DensePatchRidge
            The fitted model.

        Raises
        ------
        ValueError
            If a value is not finite, shapes do not fit, a parameter is out of its range, or
            the sums do not fit into half of the memory.
        TypeError
            If the arrays live on different devices.
        DeviceMemoryError
            If the GPU is out of memory.
        """
        searched = self.alphas is not None
        alphas = (
            grid(self.alphas, "alphas", minimum=0)
            if searched
            else [number(self.alpha, "alpha", minimum=0)]
        )
        scoring = one_of(self.scoring or SCORINGS[0], "scoring", SCORINGS)
        leaves_out = searched or groups is not None
        matrices = max(self._matrices(alpha) for alpha in alphas) + 4 * leaves_out
        data = self._take(images, y, sample_weight, matrices, len(alphas) * leaves_out)
        folds = self._folds(data, groups) if leaves_out else None
        sums, kind, space = patch_sums(*data), Kind.of(*data[:2]), data[0].space
        for name in _FITTED:
            if hasattr(self, name):
                delattr(self, name)
        if folds is None:
            self._settle(sums, self._solve(sums, alphas[0], space), kind)
            return self
        found, held_out = [], []
        with telling_of_memory(space):
            left_out = LeftOut(data, sums, folds, self.fit_intercept)
            for alpha in alphas:
                solution = self._solve(sums, alpha, space)
                held_out.append(left_out.predict(solution, alpha))
                found.append(solution._replace(solve=None))  # a factor takes d^2 values
                del solution
        if not all(bool(space.xp.isfinite(v).all()) for v in held_out):
            refuse_overflow(np.inf)
        best = self._choose(scoring, held_out, data, folds) if searched else 0
        if searched:
            self.alpha_ = alphas[best]
        self._settle(sums, found[best], kind)
        self.cv_predictions_ = held_out[best][:, 0] if kind.flat else _last(held_out[best], space)
        return self

    def _folds(self, data: tuple[Images, Targets, Any], groups: Any) -> Folds:
        images, targets, weight = data
        labels = None if targets.by_position else images.space.to_host(targets.values)
        if labels is not None and targets.flat:
            labels = labels[:, 0]
        weight = None if weight is None else images.space.to_host(weight)
        cv = None if self.alphas is None else self.cv
        return make_folds(len(images), groups, cv, labels, weight)

    def _choose(
        self,
        scoring: str,
        held_out: list[Any],
        data: tuple[Images, Targets, Any],
        folds: Folds,
    ) -> int:
        """Score held-out predictions of each penalty; return the place of the best."""
        images, targets, weight = data
        host = images.space.to_host
        truth = targets.values
        truth = truth[:] if isinstance(truth, LazyRows) else truth
        y, *rest = (_rows(host(v)) for v in (truth, *held_out))
        copies = len(y) // len(images)
        weights = None if weight is None else np.repeat(host(weight), copies)
        folds = Folds(np.repeat(folds.codes, copies), folds.n_folds, ())
        predicted = np.stack(rest)
        if scoring == "roc_auc":
            predicted = less_training_means(predicted, training_means(folds, y, weights), y)
        self.cv_scores_ = score_regression(scoring, y, predicted, folds, weights)
        best = best_of(self.cv_scores_)
        self.best_score_ = float(self.cv_scores_[best])
        return int(best)


def _last(values: Any, space: Space) -> Any:
    return space.xp.ascontiguousarray(space.xp.moveaxis(values, 1, -1))


def _rows(values: Any) -> Any:
    """Return targets or predictions as (rows, targets)."""
    return np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
