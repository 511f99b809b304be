"""What a fitted network does with new rows: scores, probabilities, labels, features."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from fastmm.deep.inputs import SINGLE, Inputs, is_dict, take_inputs
from fastmm.deep.tensors import import_torch, telling_of_memory, torch_device
from fastmm.solve._inputs import take_new
from fastmm.streams.lazy_rows import lazy_rows
from fastmm.streams.limits import check_limit

__all__ = ["DeepModel"]


class DeepModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that has a network once it is fitted.

    It has `classes_`, `shapes_`, `scaling_`, `weights_` and `always_`.
    """

    def decision_function(self, X: Any) -> Any:
        """Compute the scores of new rows.

        Parameters
        ----------
        X : dict of str to array, or array
            As for `fit`. A modality that all rows lack may be left out.

        Returns
        -------
        array of shape (n,) or (n, classes)
            Log odds of ``classes_[1]``, or with more than two classes the logits of each.
            float32 for float32 `X`; as what `X` came as.

        Raises
        ------
        ValueError
            If shapes do not fit, values are not finite, or a row lacks every modality.
        TypeError
            If the arrays live on different devices.
        """
        inputs, leave = self._take_new(X)
        logits = self._logits(inputs)
        scores = logits[:, 1] - logits[:, 0] if self.classes_.size == 2 else logits
        return leave(scores.astype(inputs.dtype))

    def predict_proba(self, X: Any) -> Any:
        """Compute the probabilities of the classes of new rows.

        Parameters
        ----------
        X : dict of str to array, or array
            As for `decision_function`.

        Returns
        -------
        array of shape (n, classes)
            The softmax of the logits, for classes as frequent as `class_weight` makes them.
            float32 for float32 `X`; as what `X` came as.
        """
        inputs, leave = self._take_new(X)
        logits = self._logits(inputs)
        xp = inputs.space.xp
        grown = xp.exp(logits - logits.max(axis=1, keepdims=True))
        return leave((grown / grown.sum(axis=1, keepdims=True)).astype(inputs.dtype))

    def predict(self, X: Any) -> Any:
        """Predict the class labels of new rows.

        Parameters
        ----------
        X : dict of str to array, or array
            As for `decision_function`.

        Returns
        -------
        array of shape (n,)
            Labels in the dtype of the training labels. Numbers and booleans leave as what
            `X` came as, texts as NumPy arrays.
        """
        inputs, leave = self._take_new(X)
        winners = inputs.space.to_host(self._logits(inputs)).argmax(axis=1)
        labels = self.classes_[winners]
        return leave(inputs.space.asarray(labels)) if labels.dtype.kind in "biuf" else labels

    def embed(self, X: Any) -> Any:
        """Compute the features of new rows that the head of the network sees.

        Parameters
        ----------
        X : dict of str to array, or array
            As for `decision_function`.

        Returns
        -------
        array of shape (n, modalities * n_features)
            Features, `n_features` of each modality in the order of `shapes_`: a block for
            `stack_features` or a kernel machine like any other.
        """
        inputs, leave = self._take_new(X)
        return leave(self._logits(inputs, features=True).astype(inputs.dtype))

    def _take_new(self, X: Any) -> tuple[Inputs, Any]:
        check_is_fitted(self, "weights_")
        limit = check_limit(self.memory_limit)
        if is_dict(X):
            modalities = X
        elif list(self.shapes_) != [SINGLE]:
            raise TypeError(
                f"`X` must be a dict with {', '.join(self.shapes_)}, got {type(X).__name__}."
            )
        elif (
            len(self.shapes_[SINGLE]) == 1
            and hasattr(self, "n_features_in_")
            and lazy_rows(X, limit) is None
        ):
            _, X, leave = take_new(self, X)
            return take_inputs({SINGLE: X}, self.channels), leave
        else:
            modalities = {SINGLE: X}
        unknown = [name for name in modalities if name not in self.shapes_]
        if unknown:
            raise ValueError(f"`X` must have {', '.join(self.shapes_)}, got {unknown[0]!r}.")
        inputs = take_inputs(modalities, self.channels, limit)
        for name, shape in inputs.shapes().items():
            if shape != self.shapes_[name]:
                raise ValueError(
                    f"`X[{name!r}]` must have rows of shape {self.shapes_[name]} (channels "
                    f"first), as in training, got {shape}."
                )
        _refuse_unseen_gaps(self.always_, inputs)
        return inputs, inputs.leave

    def _logits(self, inputs: Inputs, *, features: bool = False) -> Any:
        """Return float64 logits, or the features, where the inputs live."""
        import_torch()
        from fastmm.deep.runs import apply_network

        device = torch_device(self.device, inputs.space)
        with telling_of_memory(device):
            return apply_network(self, inputs, device, features=features)

    def _check_loaded(self) -> None:
        """Refuse what a model file says of a network whose weights do not fit it."""
        if hasattr(self, "weights_"):
            import_torch()
            from fastmm.deep.runs import fitted_network

            fitted_network(self)


def _refuse_unseen_gaps(always: list[str], inputs: Inputs) -> None:
    for name in always:
        there = inputs.present.get(name, np.zeros(inputs.n, bool))
        if not there.all():
            raise ValueError(
                f"Row {int(there.argmin())} lacks {name!r}, which every training row had; "
                "train with `modality_dropout` to predict without it."
            )
