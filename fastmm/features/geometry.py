"""Where the patches of an image (channels, ...) and their pixels lie in its memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm._check import integer, sizes
from fastmm.image.grid import patch_grid

__all__ = ["PatchPlaces", "patch_places"]


class PatchPlaces(NamedTuple):
    """Patches of `size` pixels, `dilation` apart: `counts` of them, `steps` apart."""

    size: tuple[int, ...]
    dilation: int
    steps: tuple[int, ...]
    counts: tuple[int, ...]

    def offsets(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return how far the pixels of a patch, of all channels, lie from its first."""
        found = np.zeros(1, np.int64)
        for axis, size in enumerate((shape[0], *self.size)):
            apart = math.prod(shape[axis + 1 :]) * (self.dilation if axis else 1)
            found = np.add.outer(found, np.arange(size) * apart).reshape(-1)
        return found

    def strides(self, shape: tuple[int, ...]) -> list[int]:
        """Return how far neighbouring patches lie from each other along each axis."""
        return [step * math.prod(shape[axis + 2 :]) for axis, step in enumerate(self.steps)]


def patch_places(
    shape: tuple[int, ...], patch_size: Sequence[int], step: Any, dilation: Any
) -> PatchPlaces:
    """Validate the arguments and find the patches of images (n, channels, ...)."""
    size, apart = sizes(patch_size, "patch_size"), integer(dilation, "dilation")
    extent = tuple((p - 1) * apart + 1 for p in size)
    grid = patch_grid(shape, extent, step, 0, "`images`")
    return PatchPlaces(size, apart, grid.steps, grid.counts)
