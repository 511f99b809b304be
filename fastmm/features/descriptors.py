"""Gradient descriptors to learn from: drawn, normalised, and their principal axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._space import Space
from fastmm.features.gradients import Descriptors, describe, normalised
from fastmm.streams.lazy_rows import rows_in_turn

__all__ = ["draw_descriptors", "images_at_once", "parts_of", "principal_axes"]

_ROWS = 8192  # brought to float64 at a time
_BYTES = {"cpu": 1 << 24, "simulator": 1 << 20, "cuda": 1 << 28}


def draw_descriptors(
    space: Space,
    sides: Sequence[Any],
    made: Descriptors,
    positions: NDArray[np.float32],
    most: int,
    share: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Draw about `most` descriptors of stacks of images, as many of each stack and size.

    Returns them normalised, their positions, and the floors of their lengths: `share` of the
    root mean square of each channel and size.
    """
    most = -(-most // (len(made.cells) * len(sides)))
    every = len(sides[0]) * len(positions)
    found: list[list[Any]] = [[] for _ in made.cells]
    places = []
    for images in sides:
        chosen = np.sort(rng.choice(every, min(most, every), replace=False))
        which, where = np.divmod(chosen, len(positions))
        places.append(positions[where])
        for begin, part in parts_of(images, space):
            here = slice(*np.searchsorted(which, [begin, begin + len(part)]))
            at = space.asarray(which[here] - begin), space.asarray(where[here])
            for values, kept in zip(describe(space, part, made, raw=True), found, strict=True):
                kept.append(space.to_host(values[at]))
    rows, floors = [], np.zeros(made.floors.shape, np.float32)
    for s in range(len(found)):
        raw = np.concatenate(found[s])
        found[s] = []
        floors[s] = share * np.sqrt((raw.astype(np.float64) ** 2).sum(-1).mean(0))
        rows.append(normalised(np, raw, floors[s]).reshape(len(raw), -1))
    return np.concatenate(rows), np.concatenate(places * len(made.cells)), floors


def parts_of(stack: Any, space: Space) -> Iterator[tuple[int, Any]]:
    """Yield the number of the first image, and some images at a time."""
    # About 64 numbers a pixel are made on the way.
    several = images_at_once(stack.shape[1:], space.kind)
    parts = [slice(i, i + several) for i in range(0, len(stack), several)]
    for part, found in rows_in_turn(stack, parts):
        yield part.start, found


def images_at_once(shape: Sequence[int], kind: str) -> int:
    """Return how many images (channels, height, width) are described together."""
    return max(1, _BYTES[kind] // (256 * math.prod(shape)))


def principal_axes(
    rows: NDArray[np.float32], center: NDArray[np.float32], most: int
) -> NDArray[np.float32]:
    """Return principal axes as rows, scaled so that the mean deviation along them is 1."""
    moments = np.zeros((rows.shape[1],) * 2)
    for begin in range(0, len(rows), _ROWS):
        part = (rows[begin : begin + _ROWS] - center).astype(np.float64)
        moments += part.T @ part
    moments /= len(rows)
    values, vectors = np.linalg.eigh(moments)
    axes = np.ascontiguousarray(vectors[:, ::-1][:, :most].T)
    spread = np.sqrt(np.maximum(values[::-1][:most], 0)).mean()
    return (axes / (spread if spread > 0 else 1)).astype(np.float32)
