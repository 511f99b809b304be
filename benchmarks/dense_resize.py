"""Interpolation in float64 by dense matrices of weights: what resized images are compared with."""

from __future__ import annotations

from itertools import product

import numpy as np

__all__ = ["error_of"]


def error_of(
    result: np.ndarray,
    images: np.ndarray,
    shape: tuple[int, ...],
    method: str,
    antialias: bool = False,
) -> float:
    """Compare the first and the last image with float64 tables of weights."""
    assert result.shape == (len(images), *shape)
    sample = [0, -1]
    if method == "nearest":
        return nearest_error(result[sample], images[sample], shape)
    exact = images[sample].astype(np.float64)
    for axis, size in enumerate(shape, start=1):
        weights = dense(exact.shape[axis], size, method, antialias)
        exact = np.moveaxis(np.tensordot(weights, exact, axes=(1, axis)), 0, axis)
    return float(np.abs(result[sample] - exact).max() / np.abs(exact).max())


def nearest_error(result: np.ndarray, images: np.ndarray, shape: tuple[int, ...]) -> float:
    # Where a centre meets the border of two pixels, libraries differ in which they take.
    axes = []
    for before, after in zip(images.shape[1:], shape, strict=True):
        centre = (np.arange(after) + 0.5) * before / after - 0.5
        axes.append([np.floor(centre + 0.5).astype(int), np.ceil(centre - 0.5).astype(int)])
    picks = [images[(slice(None), *np.ix_(*choice))] for choice in product(*axes)]
    return float(np.min([np.abs(result - pick) for pick in picks], axis=0).max())


def dense(before: int, after: int, method: str, antialias: bool) -> np.ndarray:
    centre = ((np.arange(after) + 0.5) * before / after - 0.5)[:, None]
    reach = max(before / after, 1.0)
    margin = 0 if antialias or method in ("area", "nearest") else 2
    places = np.arange(-margin, before + margin)[None]
    distance = np.abs(centre - places)
    if method == "nearest":
        weights = np.eye(before)[np.floor(centre[:, 0] + 0.5).astype(int)]
    elif method == "area":
        half = before / after / 2
        overlap = np.minimum(centre + half, places + 0.5) - np.maximum(centre - half, places - 0.5)
        weights = np.maximum(overlap, 0)
    else:
        scaled = distance / (reach if antialias else 1.0)
        weights = kernel(scaled, method, -0.5 if antialias else -0.75)
    weights = weights / weights.sum(1, keepdims=True)
    if margin:
        weights[:, margin] += weights[:, :margin].sum(1)
        weights[:, -margin - 1] += weights[:, -margin:].sum(1)
        weights = weights[:, margin:-margin]
    return weights


def kernel(x: np.ndarray, method: str, a: float) -> np.ndarray:
    if method == "linear":
        return np.maximum(1 - x, 0)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))
