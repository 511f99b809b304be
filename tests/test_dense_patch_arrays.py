"""DensePatchRidge on any dtype, layout, library, size, thread and fork."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from dense_patches_by_definition import Oracle, assert_close, draw, filters_of
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from fastmm import DensePatchRidge


def test_any_array_library(xp_any):
    images, y = draw((9, 10, 9), "map", (4, 3), (1, 2), 2, mean=100.0)
    host = DensePatchRidge((4, 3), (1, 2)).fit(images, y, groups=np.arange(9) // 2)
    device = {name: xp_any.asarray(block) for name, block in images.items()}
    model = DensePatchRidge((4, 3), (1, 2))
    model.fit(device, xp_any.asarray(y), groups=np.arange(9) // 2)
    for name in "ab":
        assert_close(xp_any.asnumpy(model.coef_[name]), host.coef_[name], 1e-10)
    assert_close(xp_any.asnumpy(model.cv_predictions_), host.cv_predictions_, 1e-10)
    assert_close(xp_any.asnumpy(model.predict(device)), host.predict(images), 1e-10)
    labels = xp_any.asarray(y.mean(axis=(1, 2)))
    model = DensePatchRidge((4, 3), (1, 2), alphas=(1.0, 10.0)).fit(device, labels)
    assert model.cv_predictions_.shape == (9,)
    xp_any.asnumpy(model.predict(device))
    pieces = DensePatchRidge((4, 3), (1, 2)).partial_fit(device, labels)
    other = DensePatchRidge((4, 3), (1, 2)).partial_fit(device, labels)
    assert np.isfinite(pieces.merge(other).score(device, labels))


def test_arrays_of_other_libraries():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images, y = draw((6, 8, 8), "image", (3, 3), (1, 1))
    model = DensePatchRidge((3, 3)).fit(torch.from_numpy(images), torch.from_numpy(y))
    assert_close(model.coef_, DensePatchRidge((3, 3)).fit(images, y).coef_, 1e-12)
    assert isinstance(model.predict_map(torch.from_numpy(images)), torch.Tensor)


@pytest.mark.parametrize("dtype", ["f2", "f4", "i2", "u1", "i4", "bool"])
def test_any_dtype(dtype):
    images, y = draw((8, 9, 9), "image", (3, 3), (1, 1))
    images = (10 * images).astype(dtype)
    model = DensePatchRidge((3, 3)).fit(images, y)
    wide = DensePatchRidge((3, 3)).fit(images.astype("f8"), y)
    assert_close(model.coef_, wide.coef_, 1e-10)
    assert model.predict(images).dtype == ("f8" if dtype == "i4" else "f4")


def test_any_layout_and_the_input_stays():
    images, y = draw((8, 9, 9), "map", (3, 3), (1, 1))
    expected = DensePatchRidge((3, 3)).fit(images, y, groups=np.arange(8)).coef_
    turned = np.asfortranarray(images)
    turned.flags.writeable = False
    y.flags.writeable = False
    np.testing.assert_array_equal(DensePatchRidge((3, 3)).fit(turned, y).coef_, expected)
    backwards = np.ascontiguousarray(images[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(DensePatchRidge((3, 3)).fit(backwards, y).coef_, expected)
    np.testing.assert_array_equal(
        DensePatchRidge([3, 3], [1, 1]).fit(images.tolist(), y).coef_, expected
    )


def test_images_of_other_sizes():
    images, y = draw((8, 9, 9), "image", (3, 4), (1, 1))
    large, more = draw((5, 14, 11), "image", (3, 4), (1, 1), seed=1)
    model = DensePatchRidge((3, 4)).partial_fit(images, y).partial_fit(large, more)
    parts = [Oracle(*data, (3, 4), (1, 1), alpha=1.0) for data in ((images, y), (large, more))]
    rows = np.concatenate([p.rows for p in parts])
    targets = np.concatenate([p.targets for p in parts])
    expected = Ridge(1.0, solver="cholesky").fit(rows, targets)
    assert_close(filters_of(model), np.atleast_2d(expected.coef_))
    maps = expected.predict(parts[1].rows).reshape(parts[1].patches.shape[:-1])
    assert_close(model.predict_map(large), maps)
    assert_close(model.predict(large), maps.mean(axis=(1, 2)))


def test_score_is_that_of_all_positions():
    for kind in ("image", "map", "maps"):
        images, y = draw((8, 9, 9), kind, (3, 3), (1, 1))
        weight = np.linspace(1, 2, 8)
        model = DensePatchRidge((3, 3)).fit(images, y)
        got = model.score(images, y, weight)
        predicted = model.predict(images)
        copies = predicted[..., 0].size // 8 if kind == "maps" else predicted.size // 8
        columns = [v.reshape(8 * copies, -1) for v in (y, predicted)]
        assert got == pytest.approx(r2_score(*columns, sample_weight=np.repeat(weight, copies)))
    with pytest.raises(ValueError, match="shape of the predictions"):
        model.score(images, y[..., 0])


def test_many_threads_at_once():
    images, y = draw((20, 16, 16), "image", (6, 6), (1, 1))
    expected = DensePatchRidge((6, 6)).fit(images, y, groups=np.arange(20)).cv_predictions_
    with ThreadPoolExecutor(8) as pool:
        fits = [
            pool.submit(DensePatchRidge((6, 6)).fit, images, y, groups=np.arange(20))
            for _ in range(8)
        ]
    for fit in fits:
        assert_close(fit.result().cv_predictions_, expected, 1e-10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_after_fork():
    images, y = draw((20, 16, 16), "image", (6, 6), (1, 1))
    expected = DensePatchRidge((6, 6)).fit(images, y, groups=np.arange(20)).cv_predictions_
    with multiprocessing.get_context("fork").Pool(1) as pool:
        got = pool.apply_async(forked, (images, y)).get(60)
    assert_close(got, expected, 1e-10)


def forked(images, y):
    return DensePatchRidge((6, 6)).fit(images, y, groups=np.arange(20)).cv_predictions_
