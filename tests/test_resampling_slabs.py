"""Volumes on disk on another grid, some slices at a time: what one call on all of it gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from disk_sources import Store, least, peak

from fastmm import Volume, resample
from fastmm.errors import GeometryError


def volume(shape=(30, 20, 22), dtype="f4", holes=False):
    rng = np.random.default_rng(0)
    array = (rng.normal(size=shape) * 100).astype(dtype)
    valid = rng.random(shape) > 0.02 if holes else None
    affine = np.diag([1.0, 1.5, 2.0, 1.0])
    return Volume(array, "HU", (2.0, 1.5, 1.0), affine, valid)


def turned(degrees=20.0, shift=(3.0, -4.0, 5.0), shape=(28, 24, 18)):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0.1, 1]]) @ np.diag([1.2, 1.1, 1.9])
    affine[:3, 3] = shift
    return grid(affine, shape)


def grid(affine, shape):
    spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0)[::-1].tolist())
    return Volume(np.zeros(shape, "f4"), "HU", spacing, affine)


def permuted():
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 0], affine[2, 1], affine[3, 3] = 1.3, -1.1, 1.7, 1.0
    affine[:3, 3] = 1, 25, 4
    return grid(affine, (14, 26, 20))


GRIDS = {
    "finer": {"spacing": 0.9},
    "coarser": {"spacing": (5.0, 2.0, 3.0)},
    "turned": {"like": turned()},
    "permuted": {"like": permuted()},
    "beside": {"like": turned(0.0, (-6.0, -6.0, -30.0), (50, 20, 20))},
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("name", GRIDS)
def test_slabs_are_the_whole_to_the_bit(store, name, interpolation):
    whole = volume()
    expected = resample(whole, interpolation=interpolation, **GRIDS[name])

    def call(limit, given):
        return resample(given, interpolation=interpolation, memory_limit=limit, **GRIDS[name])

    for kind in ("memmap", "zarr"):
        given = replace(whole, array=store(kind, whole.array))
        for limit in (least(lambda limit, given=given: call(limit, given)), "1GB"):
            found = call(limit, given)
            np.testing.assert_array_equal(found.array, expected.array)
            assert (found.valid is None) == (expected.valid is None)
            if found.valid is not None:
                np.testing.assert_array_equal(found.valid, expected.valid)
            np.testing.assert_array_equal(found.affine, expected.affine)


@pytest.mark.parametrize("name", ["finer", "turned", "beside"])
def test_masks_integers_and_time_points_too(store, name):
    whole = volume((2, 30, 20, 22), "i2", holes=True)
    expected = resample(whole, **GRIDS[name])
    given = replace(whole, array=store("memmap", whole.array))
    limit = least(lambda limit: resample(given, memory_limit=limit, **GRIDS[name]))
    found = resample(given, memory_limit=limit, **GRIDS[name])
    np.testing.assert_array_equal(found.array, expected.array)
    np.testing.assert_array_equal(found.valid, expected.valid)


def test_a_file_goes_to_a_file_within_the_limit(store, tmp_path):
    whole = volume((400, 64, 64))
    given = replace(whole, array=store("memmap", whole.array))
    expected = resample(whole, spacing=1.0)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", "f4", expected.array.shape)
    resample(given, spacing=1.0, memory_limit="12MB", out=out)  # compiles
    found, held = peak(lambda: resample(given, spacing=1.0, memory_limit="12MB", out=out))
    assert held < 1.3 * 12e6 < expected.array.nbytes
    assert found.array is out
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected.array)


def test_what_cannot_be_is_refused(store):
    given = volume()
    with pytest.raises(GeometryError, match="lies on the new grid"):
        resample(given, like=turned(0.0, (900.0, 0.0, 0.0)), memory_limit="1GB")
    with pytest.raises(ValueError, match="`out` must have the shape"):
        resample(given, spacing=1.0, out=np.zeros(3, "f4"))
    with pytest.raises(ValueError, match="must not share memory"):
        resample(given, spacing=(2.0, 1.5, 1.0), out=given.array)
