"""Nystrom features: a kernel on few rows turned into columns for any linear model."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from fastmm._check import dtype_of_result, integer, number, sizes
from fastmm._device_memory import TellsOfMemory
from fastmm.solve._inputs import take_new, take_rows, take_weight
from fastmm.solve.chunked.predictions import over_chunks
from fastmm.solve.kernel.centre_features import Centres, choose_centres, kernel_features
from fastmm.solve.kernel.gram import KernelFunction, kernel_function
from fastmm.solve.kernel.options import as_rows, kernel_options

__all__ = ["NystromFeatures"]

_FITTED = ("components_", "upper_", "component_indices_", "gamma_", "n_features_in_")


class NystromFeatures(TellsOfMemory, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Features whose inner products are a kernel, as far as a few rows span it.

    .. math:: \phi(x) = U^{-\top} (k(x, z_1), \ldots, k(x, z_m))^\top, \quad U^\top U = K_{zz}

    A ridge model on them is kernel ridge regression on the centres z, a `RidgeClassifierCV`
    the least-squares support vector machine: with every left-out score exact, from rows in
    chunks and on clusters, where an n x n kernel matrix has no place.

    Parameters
    ----------
    kernel : str or callable, default "rbf"
        As in :class:`LSSVC`, but for "precomputed".
    gamma : "scale", "auto" or float, default "scale"
        As in :class:`LSSVC`; "scale" is that of all rows.
    degree : int, default 3
        Power of "poly".
    coef0 : float, default 1.0
        Constant of "poly".
    kernel_params : dict or None, default None
        As in :class:`LSSVC`.
    n_components : int, default 100
        Number m of rows that are centres, drawn from those with weight.
    seed : int, default 0
        Seed of the drawing.
    memory_limit : int, str or None, default None
        As in :class:`Ridge`, for `fit`. `transform` returns n x m values for arrays, and a
        dask array for dask arrays.

    Attributes
    ----------
    components_ : array of shape (m, d)
        The centres, where the training data live.
    component_indices_ : ndarray of shape (m,), on the host
        Which training rows they are.
    upper_ : array of shape (m, m), float64
        U.
    gamma_ : float or None
        Parameter used by the kernel.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    `fit` passes over the rows once for a `gamma` of "scale", else reads but the centres. A
    jitter as small as rounding allows is added to the diagonal of K. `transform` takes n m
    (d + m) flops. Two chunks of rows get the features that they would get together.

    References
    ----------
    .. [1] Williams, C. K. I., & Seeger, M. (2001). Using the Nystrom method to speed up
       kernel machines. NeurIPS 13, 682-688.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import NystromFeatures, rbf_kernel
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> features = NystromFeatures(n_components=40, gamma=0.1).fit_transform(X)
    >>> bool(np.allclose(features @ features.T, rbf_kernel(X, gamma=0.1)))
    True
    """

    def __init__(
        self,
        kernel: Any = "rbf",
        *,
        gamma: float | str = "scale",
        degree: int = 3,
        coef0: float = 1.0,
        kernel_params: dict[str, Any] | None = None,
        n_components: int = 100,
        seed: int = 0,
        memory_limit: int | str | None = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.n_components = n_components
        self.seed = seed
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> NystromFeatures:
        """Draw the centres.

        Parameters
        ----------
        X : array of shape (n, d), or dask array
            Rows of features; with `memory_limit` anything that is sliced.
        y : None
            Not used.
        sample_weight : array of shape (n,), optional
            Weights, not negative; rows of weight 0 are no centres.

        Returns
        -------
        NystromFeatures
            The fitted transformer.

        Raises
        ------
        ValueError
            If a value is not finite, a parameter is out of its range, or the kernel is not
            positive semidefinite.
        """
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            raise ValueError('`kernel` must not be "precomputed": new rows need its function.')
        m, seed = integer(self.n_components, "n_components"), integer(self.seed, "seed", minimum=0)
        space, rows = take_rows(self, as_rows(self, X, fit=True))
        weight = take_weight(sample_weight, rows.shape[0], space)
        function = kernel_function(
            self.kernel, self.gamma, self.degree, self.coef0, rows, weight, space.xp,
            kernel_options(self),
        )  # fmt: skip
        centres = choose_centres(rows, function, m, weight, seed, space)
        self.components_, self.component_indices_ = centres.rows, centres.numbers
        self.upper_, self.gamma_ = centres.upper, function.gamma
        return self

    @over_chunks
    def transform(self, X: Any) -> Any:
        """Compute the features of rows.

        Parameters
        ----------
        X : array of shape (n, d), or dask array
            Rows, on the device the features were fitted on.

        Returns
        -------
        array of shape (n, m)
            float32 for float32 `X`; they leave as what `X` came as.

        Raises
        ------
        ValueError
            If `X` has another number of features or is not finite.
        TypeError
            If `X` lives on another device.
        """
        X = as_rows(self, X)
        space, X, leave = take_new(self, X, components_=getattr(self, "components_", None))
        function = self._function(X, space.xp)
        centres = Centres(self.components_, self.component_indices_, self.upper_, function)
        return leave(kernel_features(X, centres).astype(dtype_of_result(X.dtype), copy=False))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the features.

        Parameters
        ----------
        input_features : None
            Not used.

        Returns
        -------
        ndarray of shape (m,), object
            "nystromfeatures0" and so on.
        """
        return np.array([f"nystromfeatures{i}" for i in range(len(self.components_))], object)

    def _check_loaded(self) -> None:
        """Refuse what a model file says of centres and factor that do not fit each other."""
        self.get_params()  # an AttributeError where one is missing
        if not any(hasattr(self, name) for name in _FITTED):
            return
        z, upper, numbers = self.components_, self.upper_, self.component_indices_
        integer(self.n_features_in_, "n_features_in_")
        if self.gamma_ is not None:
            number(self.gamma_, "gamma_", above=0)
        for array, axes, kinds in ((z, 2, "biuf"), (upper, 2, "f"), (numbers, 1, "iu")):
            if np.ndim(array) != axes or array.dtype.kind not in kinds or 0 in array.shape:
                raise ValueError("centres, their factor or their numbers are no such arrays")
        m, d = z.shape
        if upper.shape != (m, m) or numbers.shape != (m,) or d != self.n_features_in_:
            raise ValueError(f"{m} centres of {d} features have a factor or numbers of others")
        if not bool((upper.diagonal() > 0).all()) or bool(np.tril(upper, -1).any()):
            raise ValueError("the factor of the centres is not upper triangular")
        self._function(z, np)  # refuses parameters that are none, as `transform` would
        shape = getattr(self, "image_shape_", None)
        if (shape is not None) != (self.kernel in ("patch", "convolutional")):
            raise ValueError("the shape of images belongs to kernels of images, and only there")
        if shape is not None and prod(sizes(shape, "image_shape_")) != d:
            raise ValueError(f"images of {shape} have not {d} pixels")

    def _function(self, X: Any, xp: Any) -> KernelFunction:
        """Return the kernel with the parameters of the fit."""
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            raise ValueError('`kernel` must not be "precomputed": new rows need its function.')
        return kernel_function(
            self.kernel, 1.0 if self.gamma_ is None else self.gamma_, self.degree, self.coef0,
            X, None, xp, kernel_options(self),
        )  # fmt: skip
