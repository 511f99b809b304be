"""Features learnt from images on a disk, to the bits of those in memory, within a limit."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from disk_sources import KINDS, N, Sliced, Store, least, peak, pictures
from sklearn.base import clone

from fastmm import FisherVectors, PatchDictionary
from fastmm.features import descriptors


@pytest.fixture
def stored(tmp_path):
    return Store(tmp_path)


LEARNERS = {
    "dictionary": PatchDictionary((4, 4), 16, pool=2, n_patches=3000),
    "layers": PatchDictionary(
        (2, 2), 8, pool=2, n_patches=900,
        below=PatchDictionary((4, 4), 6, pool=5, n_patches=2000),
    ),
    "fisher": FisherVectors(n_gaussians=4, n_components=8, n_descriptors=900, rounds=2),
    "mirrored": FisherVectors(
        n_gaussians=4, n_components=8, n_descriptors=900, rounds=2, mirror=True
    ),
}  # fmt: skip


def learnt(model):
    found = {name: value for name, value in vars(model).items() if name.endswith("_")}
    below = found.pop("below_", None)
    return found | ({} if below is None else {f"below {k}": v for k, v in learnt(below).items()})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LEARNERS)
def test_learning_gives_the_bits_of_one_call(name, kind, stored, monkeypatch):
    monkeypatch.setattr("fastmm.features.contrast._BYTES", 8 * 480 * 9)  # several parts
    monkeypatch.setattr("fastmm.features.gradients._BYTES", 8 * 480 * 9)
    monkeypatch.setitem(descriptors._BYTES, "cpu", 256 * 960 * 5)
    dtype = {"memmap": "f4", "zarr": "f8", "sliced": "i2"}[kind]
    images = pictures(dtype=dtype)
    if name == "mirrored":
        images = images.reshape(N // 2, 2, *images.shape[1:])
    plain, source = clone(LEARNERS[name]).fit(images), stored(kind, images)

    def fit(limit):
        return clone(LEARNERS[name]).fit(source, memory_limit=limit)

    limit = least(fit)
    model, held = peak(partial(fit, limit))
    assert held < 1.3 * limit
    expected = learnt(plain)
    assert learnt(model).keys() == expected.keys()
    for attribute, value in learnt(model).items():
        np.testing.assert_array_equal(value, expected[attribute], err_msg=attribute)
    if kind == "sliced":
        assert source.most < len(images)


def test_learning_and_features_in_one_call(stored):
    images = pictures()
    out = np.empty((N, 64), "f4")
    model = PatchDictionary((4, 4), 8, pool=2, n_patches=500)
    made = model.fit_transform(stored("memmap", images), memory_limit="60MB", out=out)
    assert made is out
    np.testing.assert_array_equal(out, clone(model).fit(images).transform(images))


@pytest.mark.parametrize("name", ["dictionary", "fisher"])
def test_wrong_images_on_disk(name, stored):
    images = pictures()
    images[40, 2, 7] = np.inf
    with pytest.raises(ValueError, match=r"`images` contains NaN .* \(40, 2, 7\)"):
        clone(LEARNERS[name]).fit(stored("memmap", images), memory_limit="99MB")
    with pytest.raises(ValueError, match="must have the shape"):
        clone(LEARNERS[name]).fit(stored("memmap", images[0, 0]), memory_limit="99MB")
    with pytest.raises(TypeError, match="real numbers"):
        clone(LEARNERS[name]).fit(Sliced(np.array([[["a"]]])), memory_limit="99MB")
