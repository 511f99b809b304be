"""Patches to learn from: drawn, measured, and normalised to a common contrast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmm._check import dtype_of_result
from fastmm._space import Space
from fastmm.features.geometry import PatchPlaces
from fastmm.streams.lazy_rows import LazyRows, rows_in_turn

__all__ = [
    "Contrast",
    "as_floats",
    "draw_places",
    "images_at_once",
    "measure_contrast",
    "sample_rows",
    "unfold_at",
]

_BYTES = 1 << 24  # of images at a time


class Contrast(NamedTuple):
    """How patches are normalised: (x - mean) gain / sqrt(variance gain^2 + floor).

    `floors` hold one floor for the whole patch, or one for each channel.
    """

    gain: float
    floors: NDArray[np.float32]


def as_floats(xp: Any, images: Any) -> Any:
    """Return images as C-contiguous float32 or float64, whichever holds their values."""
    return xp.ascontiguousarray(images.astype(dtype_of_result(images.dtype), copy=False))


def unfold_at(space: Space, images: Any, starts: Any, offsets: Any, contrast: Contrast) -> Any:
    """Return normalised patches as rows, of every image those that begin at `starts`.

    `images` (n, ...) are C-contiguous, float32 or float64. A start of -1 gives zeros.
    """
    from fastmm.kernels.unfolding import unfold

    rows = space.xp.empty((len(images) * starts.size, offsets.size), np.float32)
    gain = space.asarray(np.array([contrast.gain], images.dtype))
    work = rows.size if space.kind == "cpu" else len(rows)
    floors = space.asarray(contrast.floors)
    space.launch(unfold, work, images.reshape(-1), starts, offsets, gain, floors, rows)
    return rows


def draw_places(
    count: int, counts: tuple[int, ...], most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw patches among all of `count` images, as (patches, 1 + axes), in order."""
    total = count * math.prod(counts)
    chosen = np.arange(total) if total <= most else _few(rng, total, most)
    return np.stack(np.unravel_index(chosen, (count, *counts)), axis=1).astype(np.int64)


def _few(rng: np.random.Generator, total: int, most: int) -> NDArray[np.int64]:
    return np.sort(rng.choice(total, most, replace=False, shuffle=False))


def measure_contrast(
    space: Space,
    images: Any,
    patches: PatchPlaces,
    places: NDArray[np.int64],
    share: float,
    parts: int,
) -> tuple[Contrast, list[Any]]:
    """Find the mean variance of patches, in `parts` of channels, and `share` of it as floors.

    Returns the patches as well, as they are, for `sample_rows`: images are read once.
    """
    total, count = np.zeros(parts), 0
    scale = 0.0  # of the largest distance so far, by which squares cannot overflow
    found = []
    for part, starts, offsets in _by_images(space, images, patches, places):
        found.append(part.reshape(-1)[starts[:, None] + offsets])
        pixels = found[-1].astype(np.float64).reshape(len(starts), parts, -1)
        pixels = pixels / 2 - pixels[:, :, :1] / 2
        largest = float(abs(pixels).max())
        if largest > scale:
            total *= (scale / largest) ** 2
            scale = largest
        if scale > 0:
            total += space.to_host((pixels / scale).var(-1).sum(0))
        count += len(pixels)
    spread = total / count  # of the halves, in units of scale
    if not spread.any():
        return Contrast(1.0, np.zeros(parts, np.float32)), found
    # A power of two, so that it rounds nothing: the mean variance comes to between 1/2 and 2.
    exponent = -round(math.log2(2 * scale * math.sqrt(float(spread.max()))))
    gain = 2.0 ** min(max(exponent, -126), 126)
    floors = (share * spread * (2 * scale * gain) ** 2).astype(np.float32)
    return Contrast(gain, floors), found


def sample_rows(space: Space, found: list[Any], contrast: Contrast) -> Any:
    """Return patches, normalised, as rows; takes them out of the list, to hold few twice."""
    size, end = found[0].shape[1], sum(map(len, found))
    rows = space.xp.empty((end, size), np.float32)
    offsets = space.xp.arange(size, dtype=np.int64)
    while found:
        part = found.pop()
        starts = space.xp.arange(0, part.size, size, dtype=np.int64)
        rows[end - len(part) : end] = unfold_at(space, part[None], starts, offsets, contrast)
        end -= len(part)
    return rows


def _by_images(
    space: Space, images: Any, patches: PatchPlaces, places: NDArray[np.int64]
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield some images at a time, where drawn patches of them begin, and pixels of a patch."""
    shape = tuple(images.shape[1:])
    offsets = space.asarray(patches.offsets(shape))
    strides = np.array([math.prod(shape), *patches.strides(shape)])
    several = images_at_once(shape)
    parts = [slice(i, i + several) for i in range(0, len(images), several)]
    ends = np.searchsorted(places[:, 0], [0, *(part.stop for part in parts)])
    here = {part.start: slice(*pair) for part, pair in zip(parts, pairwise(ends), strict=True)}
    looked = isinstance(images, LazyRows) and images.dtype.kind == "f"
    wanted = [p for p in parts if looked or here[p.start].start < here[p.start].stop]
    for part, found in rows_in_turn(images, wanted, "images"):
        if here[part.start].start == here[part.start].stop:
            continue  # was read to be looked at for NaN
        own = places[here[part.start]] - [part.start, *[0] * len(patches.size)]
        yield as_floats(space.xp, found), space.asarray(own @ strides), offsets


def images_at_once(shape: tuple[int, ...]) -> int:
    """Return how many images (channels, ...) are looked at together."""
    return max(1, _BYTES // (8 * math.prod(shape)))
