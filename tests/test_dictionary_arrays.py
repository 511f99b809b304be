"""PatchDictionary on any library and layout, in threads, from files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from dictionary_by_definition import draw, fitted
from sklearn.base import clone

from fastmm import PatchDictionary, load_model, save_model


def test_seeds_decide():
    images = draw((4, 20, 20))
    models = [
        PatchDictionary((4, 4), 8, pool=1, n_patches=200, seed=s).fit(images) for s in (3, 3, 4)
    ]
    np.testing.assert_array_equal(models[0].filters_, models[1].filters_)
    assert np.abs(models[0].filters_ - models[2].filters_).max() > 0.01


def test_any_array_library(xp):
    shape, size, pool = (
        ((2, 12, 12), (3, 3), (2, 2)) if xp.small else ((5, 2, 40, 41), (6, 6), [(3, 3), (1, 1)])
    )
    images = draw(shape)
    model = PatchDictionary(size, 70 if not xp.small else 3, pool=pool, rounds=2, n_patches=400)
    expected = model.fit_transform(images)
    there = clone(model).fit(xp.asarray(images))
    got = xp.asnumpy(there.transform(xp.asarray(images)))
    assert isinstance(there.filters_, np.ndarray)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    got = xp.asnumpy(model.transform(xp.asarray(images)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_any_layout_and_the_input_stays():
    images = draw((4, 20, 21))
    model = fitted(images)
    expected = model.transform(images)
    turned = np.asfortranarray(images)
    turned.flags.writeable = False
    np.testing.assert_array_equal(model.transform(turned), expected)
    backwards = np.ascontiguousarray(images[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(model.transform(backwards), expected)
    np.testing.assert_array_equal(fitted(backwards).filters_, model.filters_)


def test_guests_by_dlpack_leave_as_what_they_came():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images = draw((3, 20, 21))
    model = fitted(images)
    got = model.transform(torch.from_numpy(images))
    assert isinstance(got, torch.Tensor)
    np.testing.assert_array_equal(got.numpy(), model.transform(images))
    np.testing.assert_array_equal(
        model.transform(images.tolist()), model.transform(images.astype("f8"))
    )


def test_calls_from_several_threads():
    images = draw((8, 40, 41))
    model = PatchDictionary((6, 6), 70, pool=3, n_patches=500, rounds=1).fit(images)
    expected = model.transform(images)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(model.transform, [images] * 16):
            np.testing.assert_array_equal(got, expected)


def test_model_files(tmp_path):
    images = draw((4, 20, 21))
    below = PatchDictionary((3, 3), 4, pool=8, n_patches=400)
    model = PatchDictionary((3, 3), 5, pool=[(2, 2), 1], n_patches=100, below=below).fit(images)
    again = load_model(save_model(model, tmp_path / "dictionary.fastmm"))
    np.testing.assert_array_equal(again.transform(images), model.transform(images))
    assert str(again) == str(model)
