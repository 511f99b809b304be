"""Kernel ridge regression that searches penalty and width by exact grouped validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import one_of
from fastmm._space import telling_of_memory
from fastmm.solve._inputs import Training, grid, take_training
from fastmm.solve.grouped import Folds, make_folds, training_means
from fastmm.solve.kernel.bandwidths import kernel_grams
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.kernel_ridge_model import KernelRegressor
from fastmm.solve.kernel.options import as_rows
from fastmm.solve.kernel.system import KernelSystem
from fastmm.solve.scoring import REGRESSION_SCORINGS, best_of, refuse_overflow, score_regression

__all__ = ["KernelRidgeCV"]

_TIE = 12  # decimals, relative to the targets, beyond which predictions differ by rounding


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
    dual_coef_, intercept_, X_fit_, n_features_in_
        As in :class:`KernelRidge`.

    Notes
    -----
    Cost: for each gamma the kernel and one eigendecomposition, about 9 n^3 flops, or up to
    5 inverses by Cholesky, n^3 each, where there are so few penalties; then n^2 m flops a
    penalty for groups of m rows. Memory: up to 6 n^2 float64 values. Agrees with explicit
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

    component_indices_ = None

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

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> KernelRidgeCV:
        """Choose the penalty and fit the coefficients.

        Parameters
        ----------
        X : array of shape (n, d), or (n, n) kernel values if `kernel` is "precomputed"
            Training rows.
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
            If a value is not finite, shapes do not fit, a parameter is out of its range, or
            the rows cannot be split as asked.
        TypeError
            If the arrays live on different devices.
        DeviceMemoryError
            If the device has not the memory.
        """
        alphas = grid(self.alphas, "alphas", minimum=0)
        name = one_of(self.scoring or REGRESSION_SCORINGS[0], "scoring", REGRESSION_SCORINGS)
        data = take_training(self, as_rows(self, X, fit=True), y, sample_weight)
        n, flat = data.X.shape[0], data.y.ndim == 1
        many = isinstance(self.gamma, Iterable) and not isinstance(self.gamma, str)
        functions = [
            self._function(gamma, data) for gamma in (self.gamma if many else [self.gamma])
        ]
        if not functions:
            raise ValueError("`gamma` must hold at least one value, got none.")
        labels, weight = data.space.to_host(data.y), data.host_weight()
        score = _Score(name, make_folds(n, groups, self.cv, labels, weight), labels.reshape(n, -1),
                       weight, bool(self.fit_intercept))  # fmt: skip
        rows, origin = self._rows(data)
        with telling_of_memory(data.space):
            best, scores = self._search(data, functions, rows, alphas, score)
        self.cv_scores_ = np.stack(scores) if many else scores[0]
        single = np.ndim(best.place) == 0
        self.alpha_: Any = alphas[best.place] if single else np.array(alphas)[best.place]
        self.best_score_: Any = float(best.score) if single else best.score
        self.cv_predictions_ = best.held_out[:, 0] if flat else best.held_out
        self._keep(best.function, rows, origin, best.dual, best.intercept, flat)
        return self

    def _search(
        self,
        data: Training,
        functions: list[KernelFunction],
        rows: Any,
        alphas: list[float],
        score: _Score,
    ) -> tuple[_Best, list[Any]]:
        """Return the best fit, and the scores of each kernel."""
        kept: list[_Best] = []  # one at most: of the widths before, only the best
        scores: list[Any] = []
        y = data.y.reshape(rows.shape[0], -1)
        for function, gram in zip(
            functions, kernel_grams(functions, rows, data.space), strict=True
        ):
            system = KernelSystem(gram, y, data.weight, self.fit_intercept, data.space)
            scores.append(_scores(system, score, alphas, self.alpha_per_target))
            place = best_of(scores[-1])
            found = scores[-1].T[(*np.indices(np.shape(place)), place)]
            if not kept or _better(found, kept[0].score):
                kept = [_Best(function, place, found, *_fit(system, score.folds, alphas, place))]
            del gram, system  # before the next is made
        return kept[0], scores


class _Best(NamedTuple):
    function: KernelFunction
    place: Any
    score: np.ndarray[Any, Any]
    held_out: Any
    dual: Any
    intercept: Any


class _Score:
    """How well held-out predictions (candidates, n, targets) do, target by target."""

    def __init__(self, name: str, folds: Folds, y: Any, weight: Any, intercept: bool) -> None:
        self.name, self.folds, self.y, self.weight = name, folds, y, weight
        # A heavily penalised model predicts the mean of what it saw, which leans against the
        # rows left out: areas are to be free of it.
        self.means = None
        if name == "roc_auc" and intercept:
            self.means = training_means(folds, y, weight)

    def __call__(self, held_out: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        refuse_overflow(held_out)
        if self.means is not None:
            size = np.abs(self.y).max()
            held_out = np.round((held_out - self.means) / (size if size > 0 else 1.0), _TIE)
        return score_regression(
            self.name, self.y, held_out, self.folds, self.weight, per_target=True
        )


def _better(score: Any, other: Any) -> bool:
    return bool(score.mean() > other.mean() + 1e-12 * abs(other.mean()))


def _scores(system: KernelSystem, score: _Score, alphas: list[float], per_target: bool) -> Any:
    """Return the score of each alpha (alphas,), or of each alpha and target."""
    parts = [
        score(system.space.to_host(found.held_out))
        for _, found in system.candidates(score.folds, alphas)
    ]
    scores = np.concatenate(parts)
    return scores if per_target else scores.mean(axis=1)


def _fit(system: KernelSystem, folds: Folds, alphas: list[float], place: Any) -> Any:
    """Return held-out predictions, coefficients and intercepts for the chosen alphas."""
    xp = system.space.xp
    place = np.broadcast_to(place, system.y.shape[1])
    held_out, weighted = xp.empty_like(system.y), xp.empty_like(system.y)
    for one in np.unique(place):
        at = xp.asarray(np.flatnonzero(place == one))
        for _, found in system.candidates(folds, [alphas[one]], of=len(alphas)):
            held_out[:, at], weighted[:, at] = found.held_out[0][:, at], found.weighted[0][:, at]
    return held_out, *system.original(weighted)
