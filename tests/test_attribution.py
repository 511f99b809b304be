"""Columns, positions, patches and pixels sum to the score, and each is what it should be."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from fastmm import (
    LSSVC,
    LSSVCCV,
    SVC,
    DensePatchRidge,
    KernelRidge,
    Ridge,
    RidgeClassifier,
    RidgeCV,
    extract_patches,
)
from fastmm.explain.attribution import column_contributions, position_contributions
from fastmm.explain.patch_attribution import (
    patch_contributions,
    pixel_contributions,
    spread_patches,
)

RNG = np.random.default_rng(3)
X = RNG.normal(2.0, 1.0, (40, 6))
NEW = RNG.normal(2.0, 1.0, (5, 6))
CODES = (X[:, 0] > 2).astype(int)
THREE = np.digitize(X[:, 0], [1.6, 2.4])
NUMBERS = X @ np.arange(6.0) + RNG.normal(size=40)

LINEAR = [
    (Ridge(), NUMBERS), (RidgeCV([0.1, 1.0]), NUMBERS), (Ridge(), np.stack([NUMBERS, -X[:, 1]], 1)),
    (RidgeClassifier(), CODES), (RidgeClassifier(), THREE),
    (KernelRidge(kernel="linear", fit_intercept=True), NUMBERS),
    (KernelRidge(kernel="linear"), NUMBERS),
    (LSSVC(kernel="linear"), CODES), (LSSVC(kernel="linear"), THREE),
    (LSSVCCV([1.0], kernel="linear"), CODES), (SVC(kernel="linear"), CODES),
    (SVC(kernel="linear"), THREE),
]  # fmt: skip


@pytest.mark.parametrize(("model", "y"), LINEAR)
def test_columns_of_linear_models_and_kernels_sum_to_the_score(model, y, xp_any):
    target = xp_any.asarray(y) if y.dtype.kind == "f" else y  # labels may stay on the host
    model = model.__class__(**model.get_params()).fit(xp_any.asarray(X), target)
    score = getattr(model, "decision_function", model.predict)(xp_any.asarray(NEW))
    parts = xp_any.asnumpy(column_contributions(model, xp_any.asarray(NEW)))
    host = xp_any.asnumpy(score)
    assert parts.shape[:-1] == host.shape
    intercept = model.intercept_
    intercept = intercept.get() if hasattr(intercept, "get") else intercept
    np.testing.assert_allclose(parts.sum(axis=-1) + intercept, host, atol=1e-6)
    # A column that stays adds the same, one that moves adds in proportion.
    moved = NEW.copy()
    moved[:, 2] *= 3
    other = xp_any.asnumpy(column_contributions(model, xp_any.asarray(moved)))
    np.testing.assert_allclose(other[..., 2], 3 * parts[..., 2], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(other[..., [0, 1, 3, 4, 5]], parts[..., [0, 1, 3, 4, 5]])


IMAGES = RNG.normal(size=(14, 7, 8))
LABELS = np.arange(14) % 2
PATCHES = [
    {"patch_size": (3, 4)}, {"patch_size": (3, 4), "step": 2}, {"patch_size": (2, 3), "shifts": 1},
    {"patch_size": (3, 3), "kernel": "linear"},
    {"patch_size": (2, 2), "kernel": "linear", "shifts": (1, 2), "step": (2, 1)},
]  # fmt: skip


@pytest.mark.parametrize("options", PATCHES)
@pytest.mark.parametrize("kind", [LSSVC, SVC, KernelRidge])
def test_positions_of_patch_kernels_sum_to_the_score(options, kind, xp_any):
    more = {"fit_intercept": True} if kind is KernelRidge else {}
    model = kind(kernel="patch", kernel_params=options, **more)
    labels = xp_any.asarray(LABELS * 1.0) if kind is KernelRidge else LABELS
    model.fit(xp_any.asarray(IMAGES), labels)
    new = xp_any.asarray(IMAGES[:4] + 0.3)
    score = xp_any.asnumpy(getattr(model, "decision_function", model.predict)(new))
    parts = xp_any.asnumpy(position_contributions(model, new))
    intercept = model.intercept_
    intercept = intercept.get() if hasattr(intercept, "get") else intercept
    np.testing.assert_allclose(parts.sum(axis=(1, 2)) + intercept, score, atol=1e-6)


def test_a_position_adds_what_its_patches_do():
    model = LSSVC(kernel="patch", kernel_params={"patch_size": (3, 4), "step": 2}, gamma=0.1)
    model.fit(IMAGES, np.arange(14) % 3)
    parts = position_contributions(model, IMAGES[:2])
    patches = extract_patches(IMAGES, (3, 4), step=2)
    down, across = patches.shape[1:3]
    assert parts.shape == (2, down, across, 3)
    for i, j in np.ndindex(down, across):
        flat = patches[:, i, j].reshape(14, -1)
        alone = rbf_kernel(flat[:2], flat, gamma=0.1) @ model.dual_coef_ / (down * across)
        np.testing.assert_allclose(parts[:, i, j], alone, atol=1e-10)
    with pytest.raises(ValueError, match="must be fitted with `kernel=\"patch\"`, got 'rbf'"):
        position_contributions(LSSVC().fit(X, CODES), NEW)


@pytest.mark.parametrize("step", [1, 2, (2, 3)])
def test_patches_and_pixels_of_a_patch_model_sum_to_the_prediction(step, xp_any):
    y = np.stack([LABELS, NUMBERS[:14]], axis=1)
    images = {"ct": xp_any.asarray(IMAGES), "pet": xp_any.asarray(IMAGES[::-1] ** 2 + 50)}
    model = DensePatchRidge((3, 4), step=step, alpha=2.0).fit(images, xp_any.asarray(y))
    found = xp_any.asnumpy(model.predict(images))
    intercept = model.intercept_
    intercept = intercept.get() if hasattr(intercept, "get") else intercept
    by_patch = xp_any.asnumpy(patch_contributions(model, images))
    np.testing.assert_allclose(by_patch.sum(axis=(1, 2)) + intercept, found, atol=1e-6)
    for reference in (0.0, 50.0):
        by_pixel, baseline = pixel_contributions(model, images, reference)
        total = sum(xp_any.asnumpy(own).sum(axis=(1, 2)) for own in by_pixel.values())
        baseline = baseline.get() if hasattr(baseline, "get") else baseline
        np.testing.assert_allclose(total + baseline, found, atol=1e-6)
    # A pixel's factor is what changing it changes.
    parts, _ = pixel_contributions(model, images)
    moved = {**images, "ct": images["ct"].copy()}
    moved["ct"][3, 4, 5] += 1
    change = xp_any.asnumpy(model.predict(moved))[3] - found[3]
    factor = xp_any.asnumpy(parts["ct"])[3, 4, 5] / IMAGES[3, 4, 5]
    np.testing.assert_allclose(factor, change, atol=1e-9)


def test_a_patch_is_divided_among_its_pixels():
    parts = RNG.normal(size=(2, 3, 2))
    found = spread_patches(parts, (3, 4), (2, 3), (7, 8))
    expected = np.zeros((2, 7, 8))
    for n, i, j in np.ndindex(2, 3, 2):
        expected[n, 2 * i : 2 * i + 3, 3 * j : 3 * j + 4] += parts[n, i, j] / 12
    np.testing.assert_allclose(found, expected)
    with pytest.raises(ValueError, match=r"must end in the grid \(3, 2\)"):
        spread_patches(parts[:, :2], (3, 4), (2, 3), (7, 8))


def test_what_is_not_linear_says_so():
    with pytest.raises(
        ValueError, match="a fitted linear model or have a linear kernel, got LSSVC"
    ):
        column_contributions(LSSVC().fit(X, CODES), NEW)
    maps = DensePatchRidge((3, 4)).fit(IMAGES, np.zeros((14, 5, 5)) + IMAGES[:, :5, :5])
    with pytest.raises(ValueError, match="`predict_map` is already"):
        pixel_contributions(maps, IMAGES)
