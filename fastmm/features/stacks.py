"""Stacks of images that come to an estimator: checked, with an axis of channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from fastmm._check import finite, real
from fastmm._space import Space, enter
from fastmm.streams.lazy_rows import lazy_rows

__all__ = ["take_stack"]

_NUMBA = ("numba.cuda", "numba_cuda")


def take_stack(
    estimator: Any,
    images: Any,
    spatial: int,
    *,
    fitted: bool = False,
    limit: int | None = None,
) -> tuple[Space, Any, tuple[int, ...], Any]:
    """Check images; return where they live, as (n, channels, *spatial), their shape, a way out.

    With `fitted`, they must have the shape that `estimator` has seen. With a `limit` images on
    a disk stay there, as `LazyRows`, whose values are not looked at here.
    """
    if (rows := lazy_rows(images, limit)) is not None:
        real(rows, "images")
        _check_shape(estimator, rows.shape, spatial, fitted=fitted)
        stack = rows
        if len(rows.shape) - spatial == 1:
            stack = rows.turned((rows.shape[0], 1, *rows.shape[1:]), _with_channel)
        return Space("cpu"), stack, rows.shape, None
    speaks = hasattr(images, "__dlpack__") or type(images).__module__.startswith(_NUMBA)
    space, (native,), leave = enter(images=images if speaks else np.empty(0))
    if space.kind == "cpu":
        # Reads lists and the like, and refuses what is no array of numbers, in its own words.
        images = check_array(
            native if speaks else images,
            dtype="numeric",
            allow_nd=True,
            ensure_all_finite=False,
            ensure_min_samples=0 if fitted else 1,
            estimator=estimator,
            input_name="X",
        )
    else:
        images = native
    real(images, "images")
    shape = tuple(int(size) for size in images.shape)
    _check_shape(estimator, shape, spatial, fitted=fitted)
    finite(images, "images", space.xp)
    grey = len(shape) - spatial == 1
    return space, images[:, None] if grey else images, shape, leave


def _with_channel(images: Any) -> Any:
    return images[:, None]


def _check_shape(estimator: Any, shape: tuple[int, ...], spatial: int, *, fitted: bool) -> None:
    if fitted and shape[1:] != estimator.image_shape_:
        if len(shape) == 2 == 1 + len(estimator.image_shape_):
            raise ValueError(
                f"X has {shape[1]} features, but {type(estimator).__name__} is expecting "
                f"{estimator.n_features_in_} features as input."
            )
        raise ValueError(
            f"`images` must have the shape (n, {', '.join(map(str, estimator.image_shape_))}) of "
            f"those seen in fit, got {shape}."
        )
    if len(shape) - spatial not in (1, 2):
        raise ValueError(
            f"`images` must have the shape (n, *spatial) or (n, channels, *spatial) with "
            f"{spatial} spatial axes, got {shape}."
        )
    if math.prod(shape) == 0 and not (fitted and 0 not in shape[1:]):
        raise ValueError(f"`images` must hold at least one pixel, got shape {shape}.")
