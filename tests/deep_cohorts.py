"""Images with a lesion anywhere, and cohorts of them, for small networks."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
SMALL = {"width": 4, "n_features": 8, "batch_size": 16, "max_epochs": 12, "learning_rate": 0.01}


def lesions(n=80, shape=(12, 12), seed=0):
    """Noise, with a bright square or cube somewhere in the rows of class 1."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    images = rng.normal(size=(n, *shape)).astype("float32")
    for row in np.flatnonzero(y):
        corner = [rng.integers(0, max(size - 3, 1)) for size in shape]
        images[(row, *(slice(c, c + 4) for c in corner))] += 3
    return images, y


def cohort(n=80, seed=0):
    """Two modalities that tell, of which some rows lack one."""
    images, y = lesions(n, seed=seed)
    rng = np.random.default_rng(seed + 1)
    table = (rng.normal(size=(n, 3)) + 2 * y[:, None]).astype("float32")
    data = {"ct": images, "case": table}
    data["ct"][:6] = np.nan
    data["case"][10:20] = np.nan
    return data, y
