"""Methods and images that resize is tried with, and how near its results must be."""

from __future__ import annotations

import numpy as np
import pytest

METHODS = [
    ("nearest", False),
    ("linear", False),
    ("cubic", False),
    ("area", False),
    ("linear", True),
    ("cubic", True),
]
methods = pytest.mark.parametrize(("interpolation", "antialias"), METHODS)


def draw(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(shape) > 0.5
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    return (1000 * rng.normal(size=shape)).astype(kind)


def largest(array):
    return max(float(np.abs(array.astype(np.float64)).max()), 1e-30)


def near(got, expected, images, tolerance=2e-6):
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= tolerance * largest(images)
