"""Bytes that learning features takes, whatever the number of images; refused beyond a limit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result
from fastmm.features.contrast import images_at_once
from fastmm.features.descriptors import images_at_once as described_at_once
from fastmm.features.gradients import Descriptors, measured_at_once
from fastmm.features.layers import Responses
from fastmm.streams.lazy_rows import LazyRows
from fastmm.streams.limits import refuse_below

__all__ = ["check_descriptors", "check_dictionary"]

_ROWS = 4096  # of patches that are compared with all atoms at once
_LARGE = 8192  # of descriptors that are brought to float64 at once
_BUFFERS = 24 << 20  # of matrix products, and what the allocator keeps, measured


def check_dictionary(
    limit: int | None, stack: Any, patch: int, patches: int, atoms: int, axes: int
) -> None:
    """Refuse a limit below what `patches` of so many pixels, and atoms of them, take.

    `stack` are the images, (n, channels, ...), and `axes` says how many a patch has.
    """
    images = min(images_at_once(stack.shape[1:]), stack.shape[0])
    pixels = images * math.prod(stack.shape[1:])
    here = min(patches, 100 + 1.2 * patches * images / stack.shape[0])
    reading = _held(stack, images) + pixels * _widened(stack.dtype)
    drawn = 8 * patches * (axes + 3)
    kept = dtype_of_result(stack.dtype).itemsize * patches * patch
    measuring = reading + 32 * here * patch + kept
    sampling = kept + 4 * (patches + here) * patch
    learning = 12 * patches * patch + 40 * patch**2
    learning += _ROWS * (12 * atoms + 8 * patch) + 16 * atoms * patch
    refuse_below(
        _BUFFERS + drawn + max(measuring, sampling, learning), limit,
        f"{patches} patches of {patch} pixels take that much with what learns from them. Give a "
        "smaller `n_patches`, or fewer atoms",
    )  # fmt: skip


def check_descriptors(
    limit: int | None,
    stack: Any,
    made: Descriptors,
    places: int,
    rows: int,
    gaussians: int,
    components: int,
) -> None:
    """Refuse a limit below what `rows` descriptors, and a mixture of them, take."""
    shape = stack.shape[1:]
    width = 16 * made.orientations * shape[0]
    images = min(described_at_once(shape, "cpu"), stack.shape[0])
    values = 4 * places * width * images  # of one size of cells
    some = min(measured_at_once(shape), stack.shape[0])
    measuring = _held(stack, some) + 64 * some * math.prod(shape)
    describing = _held(stack, images) + 352 * images * math.prod(shape)
    describing += values * (len(made.cells) + 2) + 8 * rows * width
    joining = rows * width * (8 + 20 / len(made.cells))
    turning = 8 * rows * width + 16 * _LARGE * width + 40 * width**2
    kept = components + 2
    mixing = rows * (4 * width + 24 * gaussians + 32 * kept)
    refuse_below(
        _BUFFERS + max(measuring, describing, joining, turning, mixing), limit,
        f"{rows} descriptors of {width} values take that much with the mixture of them. Give a "
        "smaller `n_descriptors`",
    )  # fmt: skip


def _widened(dtype: Any) -> int:
    """Return the bytes of a pixel that is made a float."""
    return 0 if np.dtype(dtype) in (np.float32, np.float64) else dtype_of_result(dtype).itemsize


def _held(stack: Any, images: int) -> int:
    """Return what reading so many images takes, or making them of those of a layer below."""
    if isinstance(stack, LazyRows):
        return stack.held(images)
    if isinstance(stack, Responses):
        made: int = stack.held(images) + 12 * images * math.prod(stack.shape[1:])
        return made
    return 0
