"""What the ridge classifiers share: labels as numbers, and decisions as labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from fastmm.solve._inputs import Training, take_training
from fastmm.solve.chunked.predictions import over_chunks
from fastmm.solve.class_weights import class_weights
from fastmm.solve.ridge.model import LinearModel
from fastmm.solve.scoring import positive_classes, winning_classes

__all__ = ["LinearClassifier", "flat"]


class LinearClassifier(ClassifierMixin, LinearModel):  # type: ignore[misc]
    """A classifier with `class_weight`, `fit_intercept` and, once fitted, `coef_`."""

    @over_chunks
    def decision_function(self, X: Any) -> Any:
        r"""Compute the signed scores of new rows.

        .. math:: f(x) = x^\top \beta + b

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features, on the device the model was fitted on.

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
        _, values, leave = self._linear(X)
        return leave(flat(values))

    @over_chunks
    def predict(self, X: Any) -> Any:
        """Predict the class labels of new rows.

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features, on the device the model was fitted on.

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
        space, values, leave = self._linear(X)
        labels = self.classes_[winning_classes(space.to_host(values))]
        return leave(space.asarray(labels)) if labels.dtype.kind in "biuf" else labels

    def _take(self, X: Any, y: Any, sample_weight: Any) -> tuple[Training, np.ndarray[Any, Any]]:
        """Check what came to `fit`; return it with signs and class weights, and the classes.

        The targets are -1 and 1, (n, 1) for two classes, else (n, classes); the classes
        are numbered on the host.
        """
        data = take_training(self, X, y, sample_weight, labels=True, chunks=True)
        for name in ("cv_decision_", "cv_predictions_"):
            if hasattr(self, name):
                delattr(self, name)
        self.classes_, codes = np.unique(data.y, return_inverse=True)
        # Of all rows, whatever their weight, as scikit-learn's RidgeClassifier counts.
        by_class = class_weights(self.class_weight, self.classes_, codes)
        if by_class is not None:
            rows = data.space.asarray(by_class)
            data = data._replace(weight=rows if data.weight is None else rows * data.weight)
        weight = data.host_weight()
        present = np.unique(codes if weight is None else codes[weight > 0])
        if present.size < 2:
            only = f"only one class, {self.classes_[present[0]]!s}" if present.size else "none"
            raise ValueError(f"`y` must hold at least 2 classes with weight, got {only}.")
        positive = positive_classes(codes, 1 if self.classes_.size == 2 else self.classes_.size)
        signs = data.space.asarray(np.where(positive.T, 1.0, -1.0))
        return data._replace(y=signs), codes

    def _name_held_out(self, data: Training) -> None:
        """Turn what the search calls predictions into decisions, and these into labels."""
        held_out = self.cv_predictions_
        self.cv_decision_ = flat(held_out)
        self.cv_predictions_ = self.classes_[winning_classes(data.space.to_host(held_out))]


def flat(columns: Any) -> Any:
    """Turn a single column into a vector."""
    return columns[:, 0] if columns.shape[1] == 1 else columns
