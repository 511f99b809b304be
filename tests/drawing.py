"""Rows and images of normal numbers."""

from __future__ import annotations

import numpy as np


def rows(count, width=6, dtype="float64", mean=0.0, seed=0):
    return np.random.default_rng(seed).normal(mean, 1, (count, width)).astype(dtype)


def images(count, shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(dtype)
