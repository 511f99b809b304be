"""The tutorial's pipeline, step by step against the same one made of well-known libraries.

CT and MR images -> 128 x 128 -> 64 x 64 patches -> side by side -> ridge regression.
"""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.linear_model import Ridge

import fastmm

SHAPE, PATCH, STEP = (128, 128), (64, 64), 32


def phantoms(rows=12, seed=0):
    """Bodies with organs: a CT in HU and an MR with a bias field, of other sizes each."""
    rng = np.random.default_rng(seed)
    ct = np.empty((rows, 200, 180), np.int16)
    mr = np.empty((rows, 150, 160), np.uint16)
    for n in range(rows):
        size = rng.uniform(0.5, 1.2)
        for images, air, tissue, lesion in ((ct, -1000, 40, 90), (mr, 0, 400, 900)):
            height, width = images.shape[1:]
            y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
            image = np.where(x**2 / 0.6 + y**2 / 0.8 < 1, tissue, air).astype(float)
            image[(x - 0.2) ** 2 + (y + 0.1) ** 2 < (0.3 * size) ** 2] = lesion
            image += rng.normal(0, 15, image.shape) + (50 * y if air == 0 else 0)
            images[n] = np.clip(image, -1024 if air else 0, 3071)
    return {"ct": ct, "mr": mr}, rng.normal(60, 10, rows) + 5 * ct.mean((1, 2)) / 1000


def strided(images):
    """Cut patches with NumPy alone."""
    windows = sliding_window_view(images, PATCH, axis=(1, 2))[:, ::STEP, ::STEP]
    return windows.reshape(len(images), -1)


def ours(images):
    blocks = {
        name: fastmm.extract_patches(fastmm.resize(stack, SHAPE), PATCH, step=STEP)
        for name, stack in images.items()
    }
    return fastmm.stack_features(blocks, standardize=False).X


def theirs(images):
    blocks = [
        strided(np.stack([cv2.resize(i.astype(np.float32), SHAPE[::-1]) for i in stack]))
        for stack in images.values()
    ]
    return np.hstack(blocks)


def assert_same_model(images, y):
    train = np.arange(len(y)) % 3 > 0
    X, expected = ours(images), theirs(images)
    assert X.dtype == np.float32
    assert X.shape == expected.shape == (len(y), len(images) * 9 * 64 * 64)
    np.testing.assert_allclose(X, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    oracle = Ridge(alpha=1.0).fit(expected[train].astype(np.float64), y[train])
    model = fastmm.Ridge(alpha=1.0).fit(X[train], y[train])
    for rows in (train, ~train):
        np.testing.assert_allclose(
            model.predict(X[rows]), oracle.predict(expected[rows].astype(np.float64)), atol=1e-4
        )
    assert np.ptp(model.predict(X[~train])) > 1e-2  # there is something to get wrong


def test_synthetic_ct_and_mr():
    assert_same_model(*phantoms())


def test_patches_of_every_pixel_equal_scikit_learn():
    images, _ = phantoms(rows=1)
    image = fastmm.resize(images["ct"][0], (40, 36))
    got = fastmm.extract_patches(image, (16, 16)).reshape(-1, 16, 16)
    np.testing.assert_array_equal(got, extract_patches_2d(image, (16, 16)))


def test_real_ct_and_mr(real_data):
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    folder = real_data / "sts"
    with (folder / "cohort.csv").open() as file:
        cohort = list(csv.DictReader(file))[:15]
    images = {"ct": [], "mr": []}
    for row in cohort:
        for name, column in (("ct", "ct"), ("mr", "mr_t1")):
            files = sorted((folder / row[column]).glob("*.dcm"))
            slice_ = pydicom.dcmread(files[len(files) // 2])
            scale = float(slice_.get("RescaleSlope", 1)), float(slice_.get("RescaleIntercept", 0))
            images[name].append((slice_.pixel_array * scale[0] + scale[1]).astype(np.float32))
    resized = {name: [fastmm.resize(i, SHAPE) for i in stack] for name, stack in images.items()}
    expected = {name: [cv2.resize(i, SHAPE[::-1]) for i in stack] for name, stack in images.items()}
    for name in images:
        for got, theirs_ in zip(resized[name], expected[name], strict=True):
            assert np.abs(got - theirs_).max() <= 2e-6 * np.abs(theirs_).max()
    y = np.array([float(row["age"]) for row in cohort])
    blocks = {n: fastmm.extract_patches(np.stack(s), PATCH, step=STEP) for n, s in resized.items()}
    X = fastmm.stack_features(blocks, standardize=False).X
    wide = np.hstack([strided(np.stack(s)) for s in expected.values()]).astype(np.float64)
    np.testing.assert_allclose(
        fastmm.Ridge(alpha=1.0).fit(X[:10], y[:10]).predict(X[10:]),
        Ridge(alpha=1.0).fit(wide[:10], y[:10]).predict(wide[10:]),
        atol=1e-4,
    )
