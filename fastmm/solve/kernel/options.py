"""What `kernel_params` tells a kernel machine about its kernel, and images as its rows."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import one_of, sizes
from fastmm._space import Space
from fastmm.grams.arc import Layers, arccos_layers, ntk_layers
from fastmm.grams.convolution import Network, convolved, network
from fastmm.grams.patches import PatchPairs, patch_pairs
from fastmm.patch_kernels import patch_gram

__all__ = ["ConvolutionOptions", "PatchOptions", "as_rows", "kernel_options"]

_NAMES = {
    "arccos": ("degree", "depth"),
    "ntk": ("depth", "bias"),
    "patch": ("patch_size", "kernel", "step", "shifts", "image_shape"),
    "convolutional": ("filter_size", "depth", "pool", "tangent", "image_shape"),
}


class PatchOptions(NamedTuple):
    """How rows are images, and their patches compared."""

    pairs: PatchPairs
    image_shape: tuple[int, ...]
    linear: bool

    def gram(self, X: Any, Y: Any, gamma: float | None, space: Space) -> Any:
        """Return the kernel of rows of pixels (n, d), (m, d)."""
        X = X.reshape(X.shape[0], *self.image_shape)
        Y = None if Y is None else Y.reshape(Y.shape[0], *self.image_shape)
        return patch_gram(X, Y, None if self.linear else gamma, self.pairs, space)


class ConvolutionOptions(NamedTuple):
    """How rows are images, and the network that compares them."""

    net: Network
    image_shape: tuple[int, ...]

    def gram(self, X: Any, Y: Any, gamma: None, space: Space) -> Any:
        """Return the kernel of rows of pixels (n, d), (m, d)."""
        X = X.reshape(X.shape[0], *self.image_shape)
        Y = None if Y is None else Y.reshape(Y.shape[0], *self.image_shape)
        return convolved(X, Y, self.net, space)


def kernel_options(estimator: Any) -> Layers | PatchOptions | ConvolutionOptions | None:
    """Check `kernel_params` of a machine, whose rows `as_rows` has made."""
    kernel = estimator.kernel
    given = _given(estimator)
    if kernel == "arccos":
        return arccos_layers(given.get("degree", 1), given.get("depth", 1))
    if kernel == "ntk":
        return ntk_layers(given.get("depth", 3), given.get("bias", 0.0))
    if kernel == "convolutional":
        net = network(
            given.get("filter_size", 3),
            given.get("depth", 3),
            given.get("pool", 1),
            given.get("tangent", False),
        )
        return ConvolutionOptions(net, estimator.image_shape_)
    if kernel != "patch":
        return None
    linear = one_of(given.get("kernel", "rbf"), "kernel_params['kernel']", ("rbf", "linear"))
    shape = estimator.image_shape_
    pairs = patch_pairs(
        (1, *shape), given["patch_size"], given.get("step", 1), given.get("shifts", 0)
    )
    return PatchOptions(pairs, shape, linear == "linear")


def as_rows(estimator: Any, X: Any, *, fit: bool = False) -> Any:
    """Return images as rows of pixels, for kernels of images; all else as it is.

    In `fit` the machine learns their shape, from themselves or from `kernel_params`.
    """
    if isinstance(estimator.kernel, str) and estimator.kernel in ("patch", "convolutional"):
        given, spatial = _given(estimator), 2
        if estimator.kernel == "patch":
            spatial = len(sizes(given["patch_size"], "kernel_params['patch_size']"))
        X = X if hasattr(X, "shape") else np.asarray(X)
        if fit:
            estimator.image_shape_ = _image_shape(estimator, tuple(X.shape), spatial)
        shape = getattr(estimator, "image_shape_", None)
        if shape is None or len(X.shape) != spatial + 1 or spatial == 1:
            return X
        if tuple(X.shape[1:]) != shape:
            raise ValueError(
                f"X has images of {tuple(X.shape[1:])}, but {type(estimator).__name__} is "
                f"expecting {shape}."
            )
        return X.reshape((X.shape[0], prod(shape)))
    if fit and hasattr(estimator, "image_shape_"):
        del estimator.image_shape_
    return X


def _image_shape(estimator: Any, shape: tuple[int, ...], spatial: int) -> tuple[int, ...]:
    asked = _given(estimator).get("image_shape")
    if asked is not None:
        asked = sizes(asked, "kernel_params['image_shape']", lengths=(spatial,))
    if len(shape) == spatial + 1:
        if asked not in (None, shape[1:]):
            raise ValueError(f"`image_shape` must be that of the images, {shape[1:]}, got {asked}.")
        return shape[1:]
    if asked is None or len(shape) != 2 or prod(asked) != shape[1]:
        raise ValueError(
            f"X must hold images of {spatial} axes for these `kernel_params`, or rows of pixels "
            f"with `image_shape` among `kernel_params`; got shape {shape}"
            + ("." if asked is None else f" and `image_shape` {asked}.")
        )
    return asked


def _given(estimator: Any) -> Mapping[str, Any]:
    given = getattr(estimator, "kernel_params", None)
    given = {} if given is None else given
    kernel = estimator.kernel
    known = _NAMES.get(kernel, ()) if isinstance(kernel, str) else ()
    if not isinstance(given, Mapping):
        raise TypeError(f"`kernel_params` must be a dict, got {given!r}.")
    unknown = [name for name in given if name not in known]
    if unknown:
        what = f"may hold {', '.join(known)}" if known else "must be None or empty"
        raise ValueError(f"`kernel_params` {what} for this `kernel`, got {unknown[0]!r}.")
    if kernel == "patch" and "patch_size" not in given:
        raise ValueError('`kernel="patch"` needs a `patch_size` in `kernel_params`.')
    return given
