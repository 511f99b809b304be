"""Slow, obvious versions of the operators, in float64 and plain loops: the oracles.

They share nothing with fastmm but the definitions in its documentation.
"""

from __future__ import annotations

from itertools import product

import numpy as np


def resize(images, shape):
    """Interpolate linearly between pixel centres, one output pixel after the other."""
    images = np.asarray(images, np.float64)
    before = images.shape[-len(shape) :]
    out = np.empty((*images.shape[: -len(shape)], *shape))
    for place in product(*map(range, shape)):
        value = 0.0
        axes = [_neighbours(i, m, n) for i, m, n in zip(place, before, shape, strict=True)]
        for corner in product(*axes):
            weight = np.prod([w for _, w in corner])
            if weight:
                value = value + weight * images[(..., *(i for i, _ in corner))]
        out[(..., *place)] = value
    return out


def _neighbours(i, before, after):
    centre = min(max((i + 0.5) * before / after - 0.5, 0), before - 1)
    first = int(np.floor(centre))
    return [(first, 1 - (centre - first)), (min(first + 1, before - 1), centre - first)]


def extract_patches(images, size, step):
    """Slice one patch after the other."""
    images = np.asarray(images)
    spatial = images.shape[-len(size) :]
    grid = [range(0, m - p + 1, s) for m, p, s in zip(spatial, size, step, strict=True)]
    patches = [
        images[(..., *(slice(a, a + p) for a, p in zip(start, size, strict=True)))]
        for start in product(*grid)
    ]
    batch = images.ndim - len(size)
    stacked = np.stack(patches, axis=batch)
    return stacked.reshape(*images.shape[:batch], *map(len, grid), *size)


def window(images, center, width):
    """Map by DICOM PS3.3 C.11.2.1.3.2, branch by branch."""
    images = np.asarray(images, np.float64)
    out = np.empty(images.shape)
    for place in np.ndindex(images.shape):
        x = images[place]
        if x <= center - width / 2:
            out[place] = 0
        elif x > center + width / 2:
            out[place] = 1
        else:
            out[place] = (x - center) / width + 0.5
    return out


def normalize(images, method="zscore", mask=None):
    """Normalise image by image; a constant one becomes 0."""
    images = np.asarray(images, np.float64)
    mask = np.broadcast_to(True if mask is None else np.asarray(mask, bool), images.shape)
    out = np.zeros(images.shape)
    for n in np.ndindex(images.shape[:-2]):
        counted = images[n][mask[n]]
        if counted.size == 0 or np.all(counted == counted[0]):
            continue
        if method == "zscore":
            mean = counted.mean()
            out[n] = (images[n] - mean) / np.sqrt(((counted - mean) ** 2).mean())
        else:
            out[n] = (images[n] - counted.min()) / (counted.max() - counted.min())
    return out


def standardize(block):
    """Bring each column to mean 0 and deviation 1; a constant one becomes 0."""
    block = np.asarray(block, np.float64)
    block = block.reshape(len(block), -1)
    out = np.zeros(block.shape)
    for j, column in enumerate(block.T):
        if np.any(column != column[0]):
            centred = column - column.mean()
            out[:, j] = centred / np.sqrt((centred**2).mean())
    return out


def rbf(X, Y, gamma):
    """Compare every pair of rows by itself."""
    X, Y = np.asarray(X, np.float64), np.asarray(Y, np.float64)
    return np.array([[np.exp(-gamma * ((x - y) ** 2).sum()) for y in Y] for x in X])
