"""PatchDictionary on explicit patches in float64, and images for it."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fastmm import PatchDictionary
from fastmm._space import Space

HOST = Space("cpu")


def explicit(images, size, step):
    """Return all patches, (n, *grid, channels, pixels), of images (n, channels, ...)."""
    spatial = len(size)
    views = sliding_window_view(images, size, tuple(range(2, 2 + spatial)))
    views = np.moveaxis(views, 1, 1 + spatial)
    views = views[(slice(None), *(slice(None, None, s) for s in step))]
    return views.reshape(*views.shape[: 2 + spatial], -1)


def naive(images, model, pools, step, threshold=0.25):
    """Encode images in float64 as the equations say, one cell at a time."""
    filters, floors = model.filters_.astype("f8"), model.floors_ / model.gain_**2
    spatial = filters.ndim - 2
    images = images.astype("f8")
    if images.ndim == spatial + 1:
        images = images[:, None]
    patches = explicit(images, filters.shape[2:], step)
    lead = patches.shape[: 1 + spatial]
    patches = patches.reshape(*lead, floors.size, -1)
    patches = patches - patches.mean(-1, keepdims=True)
    variance = (patches**2).mean(-1) + floors
    patches = patches / np.sqrt(np.where(variance > 0, variance, 1))[..., None]
    responses = patches.reshape(*lead, -1) @ filters.reshape(len(filters), -1).T
    found = [np.maximum(sign * responses - threshold, 0) for sign in (1, -1)]
    found, grid = np.stack(found, -2), lead[1:]
    cells = []
    for pool in pools:
        for cell in np.ndindex(*pool):
            bounds = [
                (g * c // p, g * (c + 1) // p) for g, c, p in zip(grid, cell, pool, strict=True)
            ]
            part = found[(slice(None), *(slice(*b) for b in bounds))]
            cells.append(part.mean(tuple(range(1, 1 + spatial))))
    return np.stack(cells, 1)


def draw(shape, dtype="f4", mean=40.0, std=9.0, seed=0):
    images = np.random.default_rng(seed).normal(mean, std, shape)
    images[0, ..., : shape[-1] // 2] = images.flat[0]  # patches without contrast, too
    return images.astype(dtype)


def fitted(images):
    return PatchDictionary((5, 5), 9, pool=2, atoms="random", n_patches=400).fit(images)
