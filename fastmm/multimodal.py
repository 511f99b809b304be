"""Classify examinations from several modalities, with closed-form models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from fastmm._check import finite, one_of
from fastmm.block_fusion import BlockFusion
from fastmm.blocks import Block
from fastmm.solve.grouped import make_folds, training_means
from fastmm.solve.kernel.lssvm_search import LSSVCCV
from fastmm.solve.ridge.search import RidgeCV
from fastmm.validate.calibration import calibrated, fit_calibration

__all__ = ["MultimodalClassifier"]

_ALPHAS = tuple(10.0**e for e in np.arange(-3, 3.25, 0.5))
_CS = tuple(10.0**e for e in np.arange(-2, 3.5, 0.5))


class MultimodalClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Fuse modalities and classify with ridge regression or an LS-SVM.

    Modalities may be missing in some rows, in `fit` and in `predict`; see `BlockFusion`
    for the rule. The regularisation is chosen by exact leave-one-group-out, and the
    scores of that validation calibrate the probabilities.

    Parameters
    ----------
    modalities : dict of str to ImageModality or TableModality
        What each entry of the data is.
    fusion : {"stack", "kernel"}, default "stack"
        Features side by side, or the mean of one RBF kernel for each modality.
    model : {"ridge", "lssvm"}, default "ridge"
        Ridge regression on labels of -1 and 1, or the LS-SVM. On stacked features the
        LS-SVM uses an RBF kernel. ``fusion="kernel"`` needs "lssvm".
    alphas, Cs : sequence of float, optional
        Regularisations to choose from for "ridge" and "lssvm". Default: half decades
        from 1e-3 to 1e3 and from 1e-2 to 1e3.
    class_weight : {"balanced", None}, default "balanced"
        "balanced" gives each class the same total weight, so that a score of 0 is the
        border between classes however rare one is. It also keeps left-out validation
        honest: without it the intercept follows the mean of the labels, which falls when
        a positive row is left out, and rows without any signal get an AUC far below 0.5.

    Attributes
    ----------
    classes_ : array
        Labels, sorted.
    fusion_ : BlockFusion
        The fitted fusion.
    solver_ : RidgeCV or LSSVCCV
        The fitted model, with its chosen ``alpha_`` or ``C_``.
    cv_decision_ : array of shape (rows,) or (rows, classes)
        Decision values of each row by the model fitted without its group, at the chosen
        regularisation, less the mean label of the rows that model saw; means and scales of
        the features are those of all rows.
    calibration_ : tuple of (slope, offsets)
        How scores become probabilities; see `fastmm.validate.calibration`.

    Examples
    --------
    >>> from fastmm import MultimodalClassifier, TableModality
    >>> data = {"case": {"age": [40, 45, 50, 61, 65, 70]}}
    >>> model = MultimodalClassifier({"case": TableModality()})
    >>> model.fit(data, [0, 0, 0, 1, 1, 1]).predict({"case": {"age": [44, 66]}})
    array([0, 1])
    """

    def __init__(
        self,
        modalities: Mapping[str, Any],
        *,
        fusion: str = "stack",
        model: str = "ridge",
        alphas: Sequence[float] | None = None,
        Cs: Sequence[float] | None = None,
        class_weight: str | None = "balanced",
    ) -> None:
        self.modalities = modalities
        self.fusion = fusion
        self.model = model
        self.alphas = alphas
        self.Cs = Cs
        self.class_weight = class_weight

    def extract(self, X: Mapping[str, Any]) -> dict[str, Block]:
        """Compute the features of every modality, once for any number of fits.

        Parameters
        ----------
        X : dict of str to raw data or Block
            For each modality what its ``extract`` takes; a Block passes through.

        Returns
        -------
        dict of str to Block
            What `fit`, `predict` and the rest accept in place of `X`.
        """
        if not self.modalities:
            raise ValueError("`modalities` must name at least one modality, got none.")
        absent = [name for name in self.modalities if name not in X]
        if absent:
            raise ValueError(f"`X` must have the modalities {', '.join(absent)}.")
        blocks = {
            name: X[name] if isinstance(X[name], Block) else modality.extract(X[name])
            for name, modality in self.modalities.items()
        }
        counts = {name: len(block.present) for name, block in blocks.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"`X` must have one number of rows, got {counts}.")
        return blocks

    def check_options(self) -> None:
        """Refuse parameters that cannot be, before any data is read."""
        one_of(self.fusion, "fusion", ("stack", "kernel"))
        one_of(self.model, "model", ("ridge", "lssvm"))
        if self.fusion == "kernel" and self.model == "ridge":
            raise ValueError('`fusion="kernel"` needs `model="lssvm"`, got model="ridge".')

    def fit(
        self, X: Mapping[str, Any], y: Any, sample_weight: Any = None, groups: Any = None
    ) -> MultimodalClassifier:
        """Fit fusion, model and calibration.

        Parameters
        ----------
        X : dict of str to raw data or Block
            One entry for each modality; see `extract`.
        y : array of shape (rows,)
            Labels.
        sample_weight : array of shape (rows,), optional
            Weight of each row.
        groups : array of shape (rows,), optional
            Patient of each row: what the internal validation leaves out at once.

        Returns
        -------
        MultimodalClassifier
            Itself, fitted.
        """
        self.check_options()
        blocks, y = self.extract(X), np.asarray(y)
        finite(y, "y", np)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"`y` must have at least 2 classes, got only {self.classes_}.")
        weight = self._weights(codes, sample_weight)
        self.fusion_ = BlockFusion(self.fusion)
        fused = self.fusion_.fit(blocks, self.modalities)
        if self.model == "ridge":
            self.solver_ = RidgeCV(self.alphas or _ALPHAS)
            self.solver_.fit(fused, _signs(codes), sample_weight=weight, groups=groups)
            held_out = self.solver_.cv_predictions_
        else:
            kernel = "precomputed" if self.fusion == "kernel" else "rbf"
            self.solver_ = LSSVCCV(self.Cs or _CS, kernel=kernel)
            self.solver_.fit(fused, codes, sample_weight=weight, groups=groups)
            held_out = self.solver_.cv_decision_
        # A model without any signal predicts the mean label of the rows it saw, which leans
        # against the label left out.
        folds, signs = make_folds(len(codes), groups), _signs(codes)
        means = training_means(folds, signs.reshape(len(codes), -1), weight)
        self.cv_decision_ = held_out - means.reshape(signs.shape)
        self.calibration_ = fit_calibration(self.cv_decision_, codes)
        return self

    def decision_function(self, X: Mapping[str, Any]) -> Any:
        """Return the scores: (rows,), above 0 for ``classes_[1]``, or (rows, classes)."""
        check_is_fitted(self, "solver_")
        fused = self.fusion_.transform(self.extract(X))
        ridge = self.model == "ridge"
        decision = self.solver_.predict(fused) if ridge else self.solver_.decision_function(fused)
        # Labels are -1 and 1: what differs by less is rounding, and must rank as a tie.
        return np.round(np.asarray(decision, np.float64), 9)

    def predict(self, X: Mapping[str, Any]) -> Any:
        """Return the class with the largest score."""
        return self.winners(self.decision_function(X))

    def winners(self, decision: Any) -> Any:
        """Turn scores into labels: the class with the largest score."""
        if decision.ndim == 2:
            return self.classes_[decision.argmax(axis=1)]
        return self.classes_[(decision > 0).astype(int)]

    def predict_proba(self, X: Mapping[str, Any]) -> Any:
        """Return calibrated probabilities, (rows, classes).

        A logistic curve of the score, fitted to the scores of left-out groups; it rises
        with the score. It knows how frequent the classes are, while balanced scores weigh
        each class the same: a rare class may be predicted at a probability below one half.
        """
        return self.probabilities(self.decision_function(X))

    def probabilities(self, decision: Any) -> Any:
        """Turn scores into calibrated probabilities, (rows, classes)."""
        return calibrated(decision, *self.calibration_)

    def contributions(self, X: Mapping[str, Any]) -> dict[str, Any]:
        """Split the scores into what each modality adds; exact for stacked ridge.

        Returns
        -------
        dict of str to array
            One array of the shape of the scores for each modality, and "intercept"; they
            sum to `decision_function`.
        """
        check_is_fitted(self, "solver_")
        if self.model != "ridge":
            raise ValueError('`contributions` needs `model="ridge"`, got "lssvm".')
        fused = self.fusion_.transform(self.extract(X))
        coef = self.solver_.coef_
        parts = {
            name: fused[:, columns] @ coef[..., columns].T
            for name, columns in self.fusion_.slices_.items()
        }
        return {**parts, "intercept": self.solver_.intercept_}

    def _weights(self, codes: Any, sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        one_of(self.class_weight, "class_weight", ("balanced",))
        given = np.ones(len(codes)) if sample_weight is None else np.asarray(sample_weight, float)
        total = np.bincount(codes, weights=given)
        return given * (given.sum() / (len(total) * total))[codes]


def _signs(codes: Any) -> Any:
    if codes.max() == 1:
        return np.where(codes == 1, 1.0, -1.0)
    return np.where(codes[:, None] == np.arange(codes.max() + 1), 1.0, -1.0)
