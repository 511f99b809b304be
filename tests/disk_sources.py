"""Arrays that lie on a disk, limits under which they are read, and what that holds."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fastmm.streams.limits import check_limit

KINDS = ["memmap", "sliced", "zarr"]
N = 60


class Sliced:
    """What h5py gives: shape, dtype and slices; it remembers the most rows it was asked for."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

    def __getitem__(self, key):
        assert isinstance(key, tuple)
        assert all(isinstance(each, slice) for each in key)
        part = self.array[key].copy()
        self.most = max(self.most, len(part))
        return part


def on_disk(kind, array, path):
    if kind == "memmap":
        np.save(path / "a.npy", array)
        return np.load(path / "a.npy", mmap_mode="r")
    if kind == "zarr":
        zarr = pytest.importorskip("zarr", reason="zarr is not installed")
        chunks = (7, *array.shape[1:])
        made = zarr.create_array(
            path / "a.zarr", shape=array.shape, dtype=array.dtype, chunks=chunks
        )
        made[:] = array
        return made
    return Sliced(array)


class Store:
    """Puts arrays into a folder, and returns what reads them."""

    def __init__(self, path):
        self.path, self.count = path, 0

    def __call__(self, kind, array):
        self.count += 1
        folder = self.path / str(self.count)
        folder.mkdir()
        return on_disk(kind, array, folder)


def least(fit):
    """Return the limit that `fit(limit)` says to be the least."""
    with pytest.raises(ValueError, match="`memory_limit` must be at least") as caught:
        fit(1)
    return check_limit(str(caught.value).split("at least ")[1].split(" ")[0])


def peak(call, *, again=True):
    """Return what a call returns, and the most memory that it held once all is compiled."""
    if again:
        call()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        return call(), tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def pictures(n=N, shape=(24, 20), dtype="f4", seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, *shape)) * 40 + 300).astype(dtype)


def near(one, two, tolerance=1e-9):
    scale = np.abs(two).max()
    np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * scale)
