"""What the kernel ridge regressors share: their kernel, and their predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from fastmm._check import dtype_of_result
from fastmm._device_memory import TellsOfMemory
from fastmm.solve._inputs import Training, take_new
from fastmm.solve.chunked.predictions import over_chunks
from fastmm.solve.kernel.gram import KernelFunction, centre, kernel_function
from fastmm.solve.kernel.options import as_rows, kernel_options
from fastmm.solve.kernel.products import KernelProducts

__all__ = ["KernelRegressor"]


class KernelRegressor(TellsOfMemory, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor with a kernel and, once fitted, `dual_coef_` and `intercept_`."""

    @over_chunks
    def predict(self, X: Any) -> Any:
        r"""Predict the targets of new rows.

        .. math:: \hat y(x) = \sum_i a_i k(x, x_i) + b

        Parameters
        ----------
        X : array of shape (n, d)
            Rows of features, on the device the model was fitted on; kernel values
            (n, training rows) if `kernel` is "precomputed".

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

        Notes
        -----
        The kernel of new and training rows is made in tiles, each of which is used and
        forgotten: memory does not grow with either number.
        """
        X = as_rows(self, X)
        space, X, leave = take_new(self, X, dual_coef_=getattr(self, "dual_coef_", None))
        dual = self.dual_coef_.reshape(self.dual_coef_.shape[0], -1)
        if self.kernel == "linear":
            # sum_i a_i <x, x_i> is one product with sum_i a_i x_i.
            normal = self.X_fit_.T.astype(np.float64) @ dual
            found = KernelProducts(KernelFunction("linear"), X, normal.T, space)
            values = found.times(space.xp.eye(dual.shape[1]))
        else:
            if self.kernel == "precomputed" and self.component_indices_ is not None:
                X = X[:, self.component_indices_]
            fit = X if self.X_fit_ is None else self.X_fit_
            values = KernelProducts(self._function_used(), X, fit, space).times(dual)
        values = values.reshape(-1, *self.dual_coef_.shape[1:]) + self.intercept_
        return leave(values.astype(dtype_of_result(X.dtype), copy=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        tags.target_tags.multi_output = True
        return tags

    def _function(self, gamma: Any, data: Training) -> KernelFunction:
        """Return the kernel, its parameters checked."""
        gamma = "auto" if gamma is None else gamma
        space = data.space
        return kernel_function(
            self.kernel, gamma, self.degree, self.coef0, data.X, data.weight, space.xp,
            kernel_options(self),
        )  # fmt: skip

    def _function_used(self) -> KernelFunction:
        return KernelFunction(
            self.kernel, self.gamma_, self.degree, self.coef0, options=kernel_options(self)
        )

    def _rows(self, data: Training) -> tuple[Any, Any]:
        """Return the rows that the kernel is taken of, and what was taken off them.

        A free intercept does not mind where the origin is, but rounding does.
        """
        if self.kernel == "linear" and self.fit_intercept:
            origin = centre(data.X)
            return data.X - origin, origin
        return data.X, None

    def _keep(
        self,
        function: KernelFunction,
        rows: Any,
        origin: Any,
        dual: Any,
        intercept: Any,
        flat: bool,
        *,
        own: bool = False,
    ) -> None:
        """Set the attributes that `predict` needs, of coefficients (n, targets)."""
        self.gamma_ = function.gamma
        given = self.kernel == "precomputed"
        own = own or origin is not None
        self.X_fit_: Any = None if given else rows if own else rows.copy()
        if origin is not None:
            intercept = intercept - origin @ (rows.T @ dual)
        if not self.fit_intercept:
            self.intercept_: Any = 0.0
        else:
            self.intercept_ = float(intercept[0]) if flat else intercept
        self.dual_coef_ = dual[:, 0] if flat else dual
