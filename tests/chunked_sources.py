"""Cohorts as arrays, mapped files, Zarr, Dask and bare slices."""

from __future__ import annotations

import numpy as np
import pytest
from disk_sources import Sliced


def source(kind, X, tmp_path):
    """Return X as something that is read in chunks, and the parameter that asks for it."""
    limit = {"memory_limit": 5 * 8 * X.shape[1] ** 2 + 400_000}
    if kind == "memmap":
        file = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", X.dtype, X.shape)
        file[:] = X
        file.flush()
        return np.load(tmp_path / "X.npy", mmap_mode="r"), limit
    if kind == "zarr":
        zarr = pytest.importorskip("zarr", reason="zarr is not installed")
        made = zarr.create_array(tmp_path / "X.zarr", shape=X.shape, dtype=X.dtype, chunks=(40, 7))
        made[:] = X
        return made, limit
    if kind == "sliced":
        return Sliced(X), limit
    if kind == "dask":
        da = pytest.importorskip("dask.array", reason="dask is not installed")
        return da.from_array(X, chunks=(97, max(1, X.shape[1] // 2))), {}
    return X, limit


def cohort(n, d, targets=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.5, 3, d) + 5
    y = X @ rng.normal(size=(d, targets or 1)) + 3 * rng.normal(size=(n, targets or 1))
    weight = rng.uniform(0, 2, n) * (rng.random(n) > 0.1)
    return X, y if targets else y[:, 0], weight, rng.integers(0, n // 8, n)
