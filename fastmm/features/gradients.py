"""Dense descriptors of images by histograms of oriented gradients, as linear maps of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm._space import Space
from fastmm.features.contrast import as_floats
from fastmm.streams.lazy_rows import rows_in_turn

__all__ = [
    "Descriptors",
    "describe",
    "descriptor_positions",
    "gradients",
    "measure_gradients",
    "measured_at_once",
    "normalised",
]

_CELLS = 4  # along each axis of a descriptor
_CLIP = 0.2
_LARGEST = 1e12  # of a gradient, in units of the usual one, so that its square is finite
_BYTES = 1 << 22  # of images whose gradients are measured at a time: some ten copies are made


class Descriptors(NamedTuple):
    """What descriptors are made of: cells of these sizes, every `step` pixels.

    Gradients are multiplied by `gain`; `floors` are added to the lengths of descriptors, those of
    each channel for each size of cells.
    """

    cells: tuple[float, ...]
    step: int
    orientations: int
    gain: float
    floors: NDArray[np.float32]


def descriptor_positions(shape: tuple[int, ...], step: int) -> NDArray[np.float32]:
    """Return row and column of the descriptors of one size, from -1 to 1 over the image."""
    axes = [(2 * _centres(size, step) + 1) / size - 1 for size in shape]
    both = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    return both.reshape(-1, 2).astype(np.float32)


def gradients(space: Space, images: Any) -> tuple[Any, Any]:
    """Return central differences along columns and rows, borders replicated, (..., h, w)."""
    xp, found = space.xp, []
    images = as_floats(xp, images)
    for axis in (-1, -2):
        moved = xp.moveaxis(images, axis, 0)
        ahead = xp.concatenate([moved[1:], moved[-1:]]) / 2
        behind = xp.concatenate([moved[:1], moved[:-1]]) / 2
        # Contiguous, since NumPy rounds functions of strided arrays otherwise.
        found.append(xp.ascontiguousarray(xp.moveaxis(ahead - behind, 0, axis)))
    return found[0], found[1]


def measure_gradients(space: Space, images: Any) -> float:
    """Return a power of two that brings the root mean square of gradients to about 1."""
    largest, total, count = 0.0, 0.0, 0
    several = measured_at_once(images.shape[1:])
    parts = [slice(i, i + several) for i in range(0, len(images), several)]
    for _, some in rows_in_turn(images, parts, "images"):
        for part in gradients(space, some):
            most = float(abs(part).max())
            if most > largest:
                total, largest = total * (largest / most) ** 2, most
            if largest > 0:
                total += float(((part.astype(np.float64) / largest) ** 2).sum())
            count += part.size
    if total == 0:
        return 1.0
    return 2.0 ** min(max(-round(math.log2(largest * math.sqrt(total / count))), -126), 126)


def measured_at_once(shape: Sequence[int]) -> int:
    """Return how many images (channels, height, width) are measured together."""
    return max(1, _BYTES // (8 * math.prod(shape)))


def describe(space: Space, images: Any, made: Descriptors, *, raw: bool = False) -> list[Any]:
    """Return descriptors of images (n, channels, h, w) as (n, places, values), by size of cells.

    The `raw` ones are not normalised, and have an axis of channels before the values.
    """
    xp = space.xp
    maps = _oriented(space, images, made)
    n, channels, bins, height, width = maps.shape
    found = []
    for cell, floor in zip(made.cells, made.floors, strict=True):
        left = space.asarray(_sampling(height, cell, made.step))
        right = space.asarray(_sampling(width, cell, made.step))
        cells = left @ maps @ right.T
        rows, columns = len(left) // _CELLS, len(right) // _CELLS
        cells = cells.reshape(n, channels, bins, rows, _CELLS, columns, _CELLS)
        # places first, then channels, and cells of a descriptor before its orientations
        values = cells.transpose(0, 3, 5, 1, 4, 6, 2).reshape(n, rows * columns, channels, -1)
        if not raw:
            values = normalised(xp, values, space.asarray(floor)).reshape(n, rows * columns, -1)
        found.append(values)
    return found


def _oriented(space: Space, images: Any, made: Descriptors) -> Any:
    """Share the lengths of gradients linearly among orientations, (n, channels, bins, h, w)."""
    xp, bins = space.xp, made.orientations
    across, down = gradients(space, images)
    peak = xp.maximum(*(abs(part).max((1, 2, 3)) for part in (across, down)))
    gain = xp.minimum(made.gain, _LARGEST / xp.maximum(peak.astype(np.float64), 1e-290))
    gain = gain.astype(across.dtype)[:, None, None, None]
    across, down = ((part * gain).astype(np.float32) for part in (across, down))
    length = xp.hypot(across, down)
    turn = xp.arctan2(down, across) * np.float32(bins / (2 * math.pi))
    maps = xp.empty((*images.shape[:2], bins, *images.shape[2:]), np.float32)
    for o in range(bins):
        apart = xp.abs(turn - np.float32(o if o <= bins // 2 else o - bins))
        apart = xp.minimum(apart, np.float32(bins) - apart)
        maps[:, :, o] = length * xp.maximum(np.float32(1) - apart, np.float32(0))
    return maps


def normalised(xp: Any, values: Any, floor: Any) -> Any:
    """Bring descriptors (..., channels, values) to length 1, clip, take roots of shares."""
    length = xp.sqrt((values * values).sum(-1, keepdims=True)) + floor[:, None]
    values = xp.minimum(values / xp.where(length > 0, length, np.float32(1)), np.float32(_CLIP))
    return xp.sqrt(values / (values.sum(-1, keepdims=True) + np.float32(1e-4)))


def _centres(size: int, step: int) -> NDArray[Any]:
    """Return where descriptors lie along an axis: `step` apart, about its centre."""
    count = max(1, size // step)
    return (size - 1) / 2 + (np.arange(count, dtype=np.float64) - (count - 1) / 2) * step


@lru_cache(maxsize=64)
def _sampling(size: int, cell: float, step: int) -> NDArray[np.float32]:
    """Return the weights of pixels in the cells of all descriptors, (places * cells, size)."""
    offsets = (np.arange(_CELLS) - (_CELLS - 1) / 2) * cell
    centres = (_centres(size, step)[:, None] + offsets).reshape(-1, 1)
    weights = np.maximum(1 - np.abs(np.arange(size) - centres) / cell, 0)
    found: NDArray[np.float32] = (weights / cell).astype(np.float32)
    return found
