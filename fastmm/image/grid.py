"""Where the patches of an image lie: sizes, steps and borders, the same for all operators."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import integer, sizes

__all__ = ["BORDERS", "PatchGrid", "patch_grid"]

# What a pixel beyond the border holds; the kernels know the modes by their place here.
BORDERS = ("constant", "edge", "reflect")


class PatchGrid(NamedTuple):
    """Patches along the spatial axes: patch g begins at pixel g * steps - before."""

    size: tuple[int, ...]
    steps: tuple[int, ...]
    before: tuple[int, ...]
    counts: tuple[int, ...]

    def layout(self, *more: int) -> np.ndarray[Any, Any]:
        """Return steps and first pixels along z, y, x, and what else a kernel has to know."""
        ones = 3 - len(self.size)
        values = ((1,) * ones + self.steps, (0,) * ones + self.before, more)
        return np.array([v for part in values for v in part], np.int64)


def patch_grid(
    shape: tuple[int, ...], patch_size: Any, step: Any, pad: Any, name: str
) -> PatchGrid:
    """Validate the arguments and find the patches of images of `shape`, batch axes included."""
    size = sizes(patch_size, "patch_size")
    spatial = len(size)
    if isinstance(step, Sequence):
        steps = sizes(step, "step", lengths=(spatial,))
    else:
        steps = (integer(step, "step"),) * spatial
    if len(shape) < spatial or 0 in shape[-spatial:]:
        raise ValueError(_misfit(size, name, shape))
    grid = _cut(shape[-spatial:], size, steps, *_padding(shape[-spatial:], size, steps, pad))
    if 0 in grid.counts:
        raise ValueError(_misfit(size, name, shape))
    return grid


@lru_cache(maxsize=256)
def _cut(
    shape: tuple[int, ...],
    size: tuple[int, ...],
    steps: tuple[int, ...],
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> PatchGrid:
    """Find how many patches each axis has, 0 where none fits."""
    padded = tuple(b + m + a for b, m, a in zip(before, shape, after, strict=True))
    axes = zip(padded, size, steps, strict=True)
    counts = tuple((m - p) // s + 1 if p <= m else 0 for m, p, s in axes)
    steps = tuple(min(s, m) for s, m in zip(steps, padded, strict=True))  # more is the same
    return PatchGrid(size, steps, before, counts)


def _misfit(size: tuple[int, ...], name: str, shape: tuple[int, ...]) -> str:
    return (
        f"`patch_size` must fit into the images, got patches of {size} for {name} of shape {shape}."
    )


def _padding(
    shape: tuple[int, ...], size: tuple[int, ...], steps: tuple[int, ...], pad: Any
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    spatial = len(size)
    if isinstance(pad, str):
        if pad != "cover":
            raise ValueError(f'`pad` must be "cover" or numbers of pixels, got {pad!r}.')
        # The fewest patches that leave no pixel out; the missing pixels are split.
        axes = list(zip(shape, size, steps, strict=True))
        gaps = [-(-max(m - p, 0) // s) * s + p - m for m, p, s in axes]
        return tuple(g // 2 for g in gaps), tuple(g - g // 2 for g in gaps)
    if not isinstance(pad, Sequence):
        both = (integer(pad, "pad", minimum=0),) * spatial
        return both, both
    if len(pad) != spatial:
        raise ValueError(
            f"`pad` must have one entry for each of the {spatial} axes, got {tuple(pad)!r}."
        )
    sides = [_sides(entry, f"pad[{i}]") for i, entry in enumerate(pad)]
    return tuple(s[0] for s in sides), tuple(s[1] for s in sides)


def _sides(entry: Any, name: str) -> tuple[int, int]:
    if not isinstance(entry, Sequence) or isinstance(entry, str):
        both = integer(entry, name, minimum=0)
        return both, both
    if len(entry) != 2:
        raise ValueError(f"`{name}` must be a number of pixels or (before, after), got {entry!r}.")
    first, second = (integer(v, f"{name}[{i}]", minimum=0) for i, v in enumerate(entry))
    return first, second
