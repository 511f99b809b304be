"""Predict numbers from several modalities, with closed-form models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from fastmm._check import finite, real
from fastmm.explain.similarity import training_cases
from fastmm.fusion.fused_solvers import REGRESSORS
from fastmm.fusion.multimodal_base import Multimodal, mean_by
from fastmm.solve.grouped import make_folds
from fastmm.validate.conformity import Conformity
from fastmm.validate.resampling import coverage

__all__ = ["MultimodalRegressor"]


class MultimodalRegressor(RegressorMixin, Multimodal):  # type: ignore[misc]
    r"""Fuse modalities and predict a number, such as a survival time or a score.

    All is as in `MultimodalClassifier`; "lssvm" is kernel ridge regression with a free
    intercept.

    Parameters
    ----------
    modalities, fusion, interactions, weights
        As in `MultimodalClassifier`.
    solver : {"ridge", "linear", "lssvm"}, default "ridge"
        Ridge regression, ordinary least squares, or the LS-SVM.
    alphas : sequence of float, optional
        Penalties to choose from. Default: seven values around the one that was tuned.
    memory_limit : int, str or None, default None
        As in `MultimodalClassifier`.

    Attributes
    ----------
    fusion_, solver_
        As in `MultimodalClassifier`.
    cv_predictions_ : array of shape (rows,)
        Predictions of each row by the model fitted without its group, at the chosen
        parameters.
    cases_ : dict or None
        As in `MultimodalClassifier`.

    Examples
    --------
    >>> from fastmm import MultimodalRegressor, TableModality
    >>> data = {"case": {"dose": [1, 2, 3, 4, 5, 6]}}
    >>> model = MultimodalRegressor({"case": TableModality()}, alphas=[1e-9])
    >>> model.fit(data, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]).predict({"case": {"dose": [7]}}).round(3)
    array([14.])
    """

    solvers = REGRESSORS

    def __init__(
        self,
        modalities: Mapping[str, Any],
        *,
        fusion: str = "stack",
        solver: str = "ridge",
        interactions: bool = False,
        weights: Any = "tuned",
        alphas: Sequence[float] | None = None,
        memory_limit: int | str | None = None,
    ) -> None:
        self.modalities = modalities
        self.fusion = fusion
        self.solver = solver
        self.interactions = interactions
        self.weights = weights
        self.alphas = alphas
        self.memory_limit = memory_limit

    def fit(
        self, X: Mapping[str, Any], y: Any, sample_weight: Any = None, groups: Any = None
    ) -> MultimodalRegressor:
        """Fit fusion and solver.

        Parameters
        ----------
        X : dict of str to raw data or Block
            One entry for each modality; see `extract`.
        y : array of shape (rows,)
            Numbers.
        sample_weight : array of shape (rows,), optional
            Weight of each row.
        groups : array of shape (rows,), optional
            Patient of each row: what the internal validation leaves out at once.

        Returns
        -------
        MultimodalRegressor
            Itself, fitted.
        """
        self.check_options()
        blocks, y = self.extract(X), np.asarray(y)
        real(y, "y")
        finite(y, "y", np)
        if y.ndim != 1 or len(y) != len(next(iter(blocks.values())).present):
            raise ValueError(f"`y` must hold one number for each row, got shape {y.shape}.")
        make_folds(len(y), groups)
        self.centre_, self.scale_ = float(y.mean()), float(y.std()) or 1.0
        targets = (y - self.centre_) / self.scale_
        rows = self._rows(blocks, targets, None, sample_weight, groups)
        held_out = mean_by(rows.owner, self.fit_rows(rows))
        self.cases_ = training_cases(self, rows, y)
        self.cv_predictions_ = held_out * self.scale_ + self.centre_
        residual = abs(y - self.cv_predictions_)
        self.conformity_ = Conformity().fit(residual, np.zeros(len(y), int), groups)
        return self

    def predict(self, X: Mapping[str, Any]) -> Any:
        """Return the predicted numbers, float64 of shape (rows,)."""
        return self._score(X) * self.scale_ + self.centre_

    def intervals(self, prediction: Any, confidence: float = 0.9) -> tuple[Any, Any]:
        """Return the ends of conformal intervals around predictions; see `Conformity`."""
        width = self.conformity_.width(coverage(confidence))
        return prediction - width, prediction + width

    def contributions(self, X: Mapping[str, Any]) -> dict[str, Any]:
        """Split predictions into what each modality adds; see `MultimodalClassifier`."""
        from fastmm.explanation import contributions

        return contributions(self, X)
