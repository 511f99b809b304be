"""Images as rows of pixels that share their statistics: the form the kernels take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, integer, number, one_of, real
from fastmm._space import Space, enter, enter_one

__all__ = ["PixelRows", "check_percentiles", "check_spatial", "flat_row", "pixel_rows"]

_NATIVE = ("uint8", "int16", "uint16", "float32", "float64")


@dataclass(frozen=True)
class PixelRows:
    """Images, (n, pixels) and contiguous, and the mask of the pixels that count.

    `inside` is uint8, (n, pixels), (1, pixels) for all images, or (1, 0) for no mask.
    """

    space: Space
    pixels: Any
    inside: Any
    dtype: np.dtype[Any]  # of results
    shape: tuple[int, ...]
    leave: Callable[[Any], Any]


def pixel_rows(images: Any, mask: Any, per: str, spatial: int) -> PixelRows:
    """Check and take in images: a row for each image, or one for the whole batch."""
    one_of(per, "per", ("image", "batch"))
    spatial = check_spatial(spatial)
    space, (images, mask), leave = enter(images=images, mask=mask)
    real(images, "images")
    shape = tuple(images.shape)
    if len(shape) < spatial:
        axes = "1 axis" if spatial == 1 else f"{spatial} axes"
        raise ValueError(f"`images` must have at least {axes}, got shape {shape}.")
    if 0 in shape[-spatial:]:
        raise ValueError(f"`images` must hold pixels, got shape {shape}.")
    split = 0 if per == "batch" else len(shape) - spatial
    rows = int(np.prod(shape[:split], dtype=np.int64))
    columns = int(np.prod(shape[split:], dtype=np.int64))
    inside = _inside(space, mask, shape, split, rows, columns)
    pixels = _kernel_ready(images).reshape((rows, columns))
    return PixelRows(space, pixels, inside, dtype_of_result(images.dtype), shape, leave)


def flat_row(images: Any) -> PixelRows:
    """Take in images of any shape as one row, for maps that need no statistics."""
    space, images, leave = enter_one(images, "images")
    real(images, "images")
    pixels = _kernel_ready(images).reshape((1, -1))
    inside = space.xp.zeros((1, 0), np.uint8)
    shape = tuple(images.shape)
    return PixelRows(space, pixels, inside, dtype_of_result(images.dtype), shape, leave)


def check_spatial(spatial: int) -> int:
    """Return how many trailing axes are an image's: 1, 2 or 3."""
    spatial = integer(spatial, "spatial")
    if spatial > 3:
        raise ValueError(f"`spatial` must be 1, 2 or 3, got {spatial}.")
    return spatial


def check_percentiles(percentiles: Any) -> np.ndarray[Any, Any]:
    """Return a pair of rising percentiles as quantiles."""
    try:
        low, high = percentiles
    except (TypeError, ValueError):
        raise TypeError(f"`percentiles` must be (low, high), got {percentiles!r}.") from None
    low = number(low, "percentiles[0]", minimum=0)
    high = number(high, "percentiles[1]", above=low)
    if high > 100:
        raise ValueError(f"`percentiles` must lie between 0 and 100, got {high:g}.")
    return np.array([low, high]) / 100


def _kernel_ready(images: Any) -> Any:
    """Return images in C order, of one of the few types that kernels are compiled for."""
    if images.dtype == np.bool_:
        images = images.astype(np.uint8)
    elif images.dtype.name not in _NATIVE:
        images = images.astype(dtype_of_result(images.dtype))
    return images if images.flags.c_contiguous else images.copy(order="C")


def _inside(
    space: Space, mask: Any, shape: tuple[int, ...], split: int, rows: int, columns: int
) -> Any:
    xp = space.xp
    if mask is None:
        return xp.zeros((1, 0), np.uint8)
    try:
        whole = xp.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(
            f"`mask` must broadcast to `images`, got shapes {tuple(mask.shape)} and {shape}."
        ) from None
    own = mask.ndim - (len(shape) - split)  # batch axes of the mask itself
    if rows > 0 and all(n == 1 for n in mask.shape[: max(own, 0)]):  # one for all images
        whole, rows = xp.broadcast_to(mask, (*(1,) * split, *shape[split:])), 1
    flat = xp.ascontiguousarray(whole.astype(bool)).reshape((rows, columns))
    return flat.view(np.uint8)
