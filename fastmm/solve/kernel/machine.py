"""What kernel machines for classes share: their labels, their kernel, their decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from fastmm._check import dtype_of_result, integer
from fastmm._device_memory import TellsOfMemory
from fastmm.solve._inputs import Training, take_new
from fastmm.solve.chunked.predictions import over_chunks
from fastmm.solve.class_weights import class_weights
from fastmm.solve.kernel.centre_system import CentreSystem, count_of
from fastmm.solve.kernel.gram import KernelFunction, centre, kernel_function
from fastmm.solve.kernel.options import as_rows, kernel_options
from fastmm.solve.ridge.design import pieces

__all__ = ["KernelMachine", "flat"]


class KernelMachine(TellsOfMemory, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A machine with the parameters of a kernel and `class_weight`.

    Once fitted, it has `gamma_`, `X_fit_`, `dual_coef_` and `intercept_`.
    """

    @over_chunks
    def decision_function(self, X: Any) -> Any:
        r"""Compute the signed scores of new rows.

        .. math:: f(x) = \sum_i a_i k(x, x_i) + b

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features, on the device the model was fitted on; kernel values
            (n, training rows) if `kernel` is "precomputed".

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
        X = as_rows(self, X)
        space, X, leave = take_new(self, X, dual_coef_=getattr(self, "dual_coef_", None))
        return leave(self._decide(X, space.xp).astype(dtype_of_result(X.dtype)))

    @over_chunks
    def predict(self, X: Any) -> Any:
        """Predict the class labels of new rows.

        Parameters
        ----------
        X : array of shape (n, d)
            As for `decision_function`.

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
        X = as_rows(self, X)
        space, X, leave = take_new(self, X, dual_coef_=getattr(self, "dual_coef_", None))
        labels = self.classes_[self._winners(space.to_host(self._decide(X, space.xp)))]
        return leave(space.asarray(labels)) if labels.dtype.kind in "biuf" else labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags

    def _encode(self, data: Training) -> tuple[np.ndarray[Any, Any], Any]:
        """Return the number of the class of each row, and the weight of each row in the fit.

        Two classes must have weight.
        """
        self.classes_, codes = np.unique(data.y, return_inverse=True)
        weight = data.host_weight()
        by_class = class_weights(self.class_weight, self.classes_, codes, weight)
        if by_class is not None:
            weight = by_class if weight is None else weight * by_class
        present = np.unique(codes if weight is None else codes[weight > 0])
        if present.size < 2:
            only = f"only one class, {self.classes_[present[0]]!s}" if present.size else "none"
            raise ValueError(f"`y` must hold at least 2 classes, got {only}.")
        return codes, weight

    def _signs(self, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return 1 and -1 for each row and decision, (n, decisions)."""
        signs: np.ndarray[Any, Any] = np.where(self._positive(codes), 1.0, -1.0).T
        return signs

    def _function(self, gamma: Any, data: Training) -> KernelFunction:
        """Return the kernel, its parameters checked."""
        xp = data.space.xp
        return kernel_function(
            self.kernel, gamma, self.degree, self.coef0, data.X, data.weight, xp,
            kernel_options(self),
        )  # fmt: skip

    def _rows(self, data: Training, order: np.ndarray[Any, Any] | None) -> Any:
        """Return the training rows that the kernel is to see, in that order.

        Those of the linear kernel are centred, which only the intercept tells.
        """
        X = data.X
        if self.kernel == "linear":
            X = X - centre(X)
        if order is None:
            return X
        at = data.space.asarray(order)
        return X[at][:, at] if self.kernel == "precomputed" else X[at]

    def _keep(
        self, function: KernelFunction, dual: Any, intercept: Any, X: Any, own: bool = False
    ) -> None:
        """Keep the coefficients (n, decisions), in the order of the rows, which may be `own`."""
        self.gamma_ = function.gamma
        self.X_fit_: Any = None if self.kernel == "precomputed" else X if own else X.copy()
        self.dual_coef_, self.intercept_ = flat(dual), intercept
        if self.kernel == "linear":
            self.intercept_ = self.intercept_ - centre(X) @ self._normal()

    def _centre_system(
        self, function: KernelFunction, data: Training, codes: Any, weight: Any
    ) -> CentreSystem:
        """Return the system of the centres that are asked for."""
        space, m = data.space, count_of(self.n_components, data.X.shape[0])
        return CentreSystem(
            data.X, function, m, integer(self.seed, "seed", minimum=0),
            space.asarray(self._signs(codes)), None if weight is None else space.asarray(weight),
            True, space,
        )  # fmt: skip

    def _keep_centres(self, system: CentreSystem, gamma: Any, weighted: Any) -> None:
        """Keep the coefficients of centres, which are all there is of the rows."""
        self.gamma_, self.X_fit_ = gamma, system.centres.rows
        self.component_indices_ = system.centres.numbers
        dual, self.intercept_ = system.original(weighted)
        self.dual_coef_ = flat(dual)

    def _decide(self, X: Any, xp: Any) -> Any:
        """Return the scores of checked rows, float64."""
        if self.kernel == "linear":
            normal = self._normal()
            parts = [X[rows].astype(np.float64) @ normal for rows in pieces(*X.shape)]
        else:
            function = KernelFunction(
                self.kernel, self.gamma_, self.degree, self.coef0, options=kernel_options(self)
            )
            parts = [
                function.between(X[rows], self.X_fit_, xp) @ self.dual_coef_
                for rows in pieces(X.shape[0], self.dual_coef_.shape[0])
            ]
        scores = xp.concatenate(parts)
        return scores + (self.intercept_[0] if scores.ndim == 1 else self.intercept_)

    def _normal(self) -> Any:
        """Return the weights of the features, sum_i a_i x_i."""
        if getattr(self, "solver_", "direct") == "nystrom":
            return self.X_fit_.T.astype(np.float64) @ self.dual_coef_
        # The a_i sum to 0, and rows about their mean lose fewer digits.
        return (self.X_fit_ - centre(self.X_fit_)).T @ self.dual_coef_

    def _positive(self, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return which rows are positive for each decision: of 2 classes there is one."""
        count = self.classes_.size
        columns = np.arange(1 if count == 2 else 0, count)
        positive: np.ndarray[Any, Any] = codes == columns[:, None]
        return positive

    def _winners(self, scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the number of the class with the largest score."""
        return scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.intp)


def flat(columns: Any) -> Any:
    """Turn a single column into a vector."""
    return columns[:, 0] if columns.shape[1] == 1 else columns
