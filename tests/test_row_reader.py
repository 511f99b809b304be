"""Rows of chunked stores: the right ones, and no chunk decoded twice."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pytest
from disk_sources import Sliced, least, peak, pictures
from sklearn.base import clone

from fastmm import FisherVectors, PatchDictionary
from fastmm.features import descriptors
from fastmm.streams.lazy_rows import LazyRows, lazy_rows
from fastmm.streams.row_reader import RowReader
from fastmm.streams.sources import open_source


class Chunked(Sliced):
    """A store with chunks of some rows; it counts how often each is decoded."""

    def __init__(self, array, rows, shards=None):
        super().__init__(array)
        self.chunks, self.decoded = (rows, *array.shape[1:]), Counter()
        if shards is not None:
            self.shards = (shards, *array.shape[1:])

    def __getitem__(self, key):
        rows = self.chunks[0]
        self.decoded.update(range(key[0].start // rows, -(-key[0].stop // rows)))
        return super().__getitem__(key)


def once(store, times=1):
    return set(store.decoded.values()) == {times}


@pytest.mark.parametrize("chunk", [1, 2, 5, 9, 40, 64])
def test_ascending_runs_are_those_of_the_array(chunk):
    rng = np.random.default_rng(chunk)
    array = rng.normal(size=(40, 3))
    for _ in range(40):
        ends = np.sort(rng.choice(41, 2 * rng.integers(1, 8), replace=rng.random() < 0.5))
        decoded = Counter()

        def read(first, stop, decoded=decoded):
            decoded.update(range(first // chunk, -(-stop // chunk)))
            return array[first:stop]

        reader = RowReader(read, 40, chunk)
        for first, stop in ends.reshape(-1, 2):
            out = np.full((stop - first, 3), np.nan)
            reader.read(first, stop, out)
            np.testing.assert_array_equal(out, array[first:stop])
        assert set(decoded.values()) <= {1}


@pytest.mark.parametrize("shards", [None, 28])
def test_no_chunk_is_decoded_twice_for_parts_or_rows(shards):
    array = np.arange(180.0).reshape(60, 3)
    for parts in ([slice(i, i + 5) for i in range(0, 60, 5)], [slice(3, 6), slice(6, 60)]):
        rows = lazy_rows(store := Chunked(array, 7, shards), 9)
        for part, found in rows.in_turn(parts):
            np.testing.assert_array_equal(found, array[part])
        assert once(store)
    index = np.random.default_rng(0).permutation(60)[:40].reshape(4, 10)
    rows = lazy_rows(store := Chunked(array, 7, shards), 9)
    np.testing.assert_array_equal(rows[index], array[index])
    assert once(store)
    assert store.most == 7  # never a shard
    assert rows.held(0) - LazyRows(open_source(store)).held(0) == 7 * 24


@pytest.mark.parametrize("dtype", ["f4", "i2"])
@pytest.mark.parametrize(
    ("model", "passes"),
    [
        (PatchDictionary((4, 4), 8, pool=2, n_patches=2000), 1),
        (
            PatchDictionary(
                (2, 2), 8, pool=2, n_patches=900,
                below=PatchDictionary((4, 4), 6, pool=5, n_patches=2000),
            ),
            2,
        ),
        (FisherVectors(n_gaussians=4, n_components=8, n_descriptors=900, rounds=2), 2),
    ],
)  # fmt: skip
def test_learning_decodes_each_chunk_once_a_pass(model, passes, dtype, monkeypatch):
    monkeypatch.setattr("fastmm.features.contrast._BYTES", 8 * 480 * 5)
    monkeypatch.setattr("fastmm.features.gradients._BYTES", 8 * 480 * 9)
    monkeypatch.setitem(descriptors._BYTES, "cpu", 256 * 480 * 4)
    images = pictures(dtype=dtype)
    limit = least(lambda given: clone(model).fit(Chunked(images, 7), memory_limit=given))
    store = Chunked(images, 7)
    learnt, held = peak(partial(clone(model).fit, store, memory_limit=limit), again=False)
    assert once(store, passes)
    assert held < 1.3 * limit
    np.testing.assert_array_equal(
        learnt.transform(images), clone(model).fit(images).transform(images)
    )


@pytest.mark.parametrize(
    "model",
    [
        PatchDictionary((4, 4), 8, pool=2, n_patches=40),
        FisherVectors(n_gaussians=4, n_components=8, n_descriptors=300, rounds=2),
    ],
)
def test_images_with_nan_change_nothing_that_is_learnt(model, monkeypatch):
    monkeypatch.setattr("fastmm.features.contrast._BYTES", 8 * 480 * 9)
    monkeypatch.setattr("fastmm.features.gradients._BYTES", 8 * 480 * 9)
    images = pictures()
    fitted = clone(model).fit(images)
    before, features = dict(vars(fitted)), fitted.transform(images)
    wrong = images.copy()
    wrong[11, 3, 2], wrong[12], wrong[59, 1, 1] = np.inf, np.nan, -np.inf
    with pytest.raises(ValueError, match=r"NaN or infinity: 482 of 28800 .* \(11, 3, 2\)\. Fill"):
        fitted.fit(Chunked(wrong, 7), memory_limit="99MB")
    assert vars(fitted).keys() == before.keys()
    assert all(vars(fitted)[name] is before[name] for name in before)
    np.testing.assert_array_equal(fitted.transform(images), features)
