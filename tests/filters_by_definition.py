"""The filters of resize by their definitions: a dense float64 matrix for each axis.

They share nothing with fastmm but the definitions in its documentation.
"""

from __future__ import annotations

import math

import numpy as np


def resize(images, shape, interpolation, antialias=False):
    """Multiply each spatial axis by its matrix."""
    out = np.asarray(images, np.float64)
    for axis, size in zip(range(-len(shape), 0), shape, strict=True):
        weights = matrix(out.shape[axis], size, interpolation, antialias)
        out = np.moveaxis(np.tensordot(weights, out, axes=(1, axis)), 0, axis)
    return out


def matrix(before, after, interpolation, antialias=False):
    """Return the weight of each pixel before in each pixel after."""
    found = np.zeros((after, before))
    if before == after:
        return np.eye(after)
    for i in range(after):
        centre = (i + 0.5) * before / after - 0.5
        if interpolation == "nearest":
            found[i, ((2 * i + 1) * before) // (2 * after)] = 1
        elif interpolation == "area":
            start, stop = i * before / after, (i + 1) * before / after
            for j in range(before):
                found[i, j] = max(0, min(stop, j + 1) - max(start, j)) * after / before
        elif antialias:
            stretch = max(before / after, 1)
            reach = stretch * (2 if interpolation == "cubic" else 1)
            for j in range(before):
                # The pixel's centre lies within reach, the border of the reach rounded.
                if math.floor(centre - reach + 1) <= j < math.floor(centre + reach + 1):
                    found[i, j] = kernel((centre - j) / stretch, interpolation, -0.5)
            found[i] /= found[i].sum()
        else:
            for j in range(math.floor(centre) - 2, math.floor(centre) + 4):
                weight = kernel(centre - j, interpolation, -0.75)
                found[i, min(max(j, 0), before - 1)] += weight
    return found


def kernel(x, interpolation, a):
    x = abs(x)
    if interpolation == "linear":
        return max(0, 1 - x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0
