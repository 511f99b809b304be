"""Weights of rows: none, positive ones, or some of them zeros."""

from __future__ import annotations

import numpy as np


def weights(kind, n):
    rng = np.random.default_rng(9)
    weight = rng.uniform(0.2, 3, n)
    if kind == "zeros":
        weight[rng.random(n) < 0.25] = 0
    return None if kind == "none" else weight
