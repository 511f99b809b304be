"""Rows, images, weights and labels that tests of several files draw."""

from __future__ import annotations

import numpy as np
import pytest

two_labels = pytest.mark.parametrize(
    "labels",
    [
        np.array(["benign", "malignant"]),
        np.array(["benign", "malignant"], object),
        np.array([False, True]),
        np.array([-3, 5], np.int8),
        np.array([0.0, 1.0], np.float32),
    ],
    ids=["text", "object", "bool", "int8", "float32"],
)


def rows(count, width=6, dtype="float64", mean=0.0, seed=0):
    return np.random.default_rng(seed).normal(mean, 1, (count, width)).astype(dtype)


def images(count, shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(dtype)


def weights(kind, n):
    rng = np.random.default_rng(9)
    weight = rng.uniform(0.2, 3, n)
    if kind == "zeros":
        weight[rng.random(n) < 0.25] = 0
    return None if kind == "none" else weight
