"""FisherVectors against the equations in float64, and scikit-learn's mixtures."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture

from fastmm import FisherVectors, load_model, save_model
from fastmm._space import Space
from fastmm.features import descriptors
from fastmm.features.gradients import Descriptors, describe, descriptor_positions
from fastmm.features.mixture import Mixture, _step, deviations, fit_mixture, posteriors

HOST = Space("cpu")
SMALL = {"n_gaussians": 5, "n_components": 12, "n_descriptors": 500, "rounds": 3}


def draw(shape, dtype="f4", mean=100.0, std=20.0, seed=0):
    """Draw images with edges in them."""
    rng = np.random.default_rng(seed)
    images = rng.normal(mean, std, shape).cumsum(-1) / shape[-1] * 3
    return images.astype(dtype)


def naive_descriptor(image, row, column, cell, bins, gain, floor):
    """Make one descriptor of one channel, pixel by pixel."""
    height, width = image.shape
    cells = np.zeros((4, 4, bins))
    for y in range(height):
        for x in range(width):
            gx = (image[y, min(x + 1, width - 1)] - image[y, max(x - 1, 0)]) / 2 * gain
            gy = (image[min(y + 1, height - 1), x] - image[max(y - 1, 0), x]) / 2 * gain
            turn = np.arctan2(gy, gx) / (2 * np.pi) * bins % bins
            low, part = int(turn) % bins, turn - int(turn)
            for i in range(4):
                for j in range(4):
                    ty = 1 - abs(y - (row + (i - 1.5) * cell)) / cell
                    tx = 1 - abs(x - (column + (j - 1.5) * cell)) / cell
                    if ty > 0 and tx > 0:
                        weight = ty * tx / cell**2 * np.hypot(gx, gy)
                        cells[i, j, low] += (1 - part) * weight
                        cells[i, j, (low + 1) % bins] += part * weight
    values = cells.ravel()
    values = np.minimum(values / (np.linalg.norm(values) + floor), 0.2)
    return np.sqrt(values / (values.sum() + 1e-4))


@pytest.mark.parametrize(("bins", "gain"), [(8, 1.0), (8, 0.25), (5, 1.0), (2, 1.0)])
def test_descriptors_by_their_definition(bins, gain):
    images = draw((1, 2, 17, 22), "f8")
    floors = np.array([[0.5, 3.0], [0.1, 0.2]], "f4")
    made = Descriptors((3, 4.5), 4, bins, gain, floors)
    found = describe(HOST, images, made)
    rows, columns = (17 - 1) / 2 + (np.arange(4) - 1.5) * 4, (22 - 1) / 2 + (np.arange(5) - 2) * 4
    positions = descriptor_positions((17, 22), 4)
    np.testing.assert_allclose(positions[7], [(2 * rows[1] + 1) / 17 - 1, 0], atol=1e-6)
    for s, cell in enumerate((3, 4.5)):
        assert found[s].shape == (1, 20, 2 * 16 * bins)
        for place in (0, 7, 19):
            where = rows[place // 5], columns[place % 5]
            for c in range(2):
                expected = naive_descriptor(images[0, c], *where, cell, bins, gain, floors[s, c])
                got = found[s][0, place].reshape(2, -1)[c]
                np.testing.assert_allclose(got, expected, atol=2e-6)


def naive(images, model):
    """Encode images in float64 from their descriptors, as the equations say."""
    stack = images[:, None] if images.ndim == 3 else images
    made = model._descriptors(model.gain_, model.floors_)
    parts = describe(HOST, stack.astype("f8"), made)
    positions = descriptor_positions(stack.shape[2:], model.step) * model.position
    weights, means, variances = (
        part.astype("f8") for part in (model.weights_, model.means_, model.variances_)
    )
    found = []
    for i in range(len(stack)):
        rows = [
            np.c_[(part[i].astype("f8") - model.center_) @ model.axes_.T, positions]
            if model.position
            else (part[i].astype("f8") - model.center_) @ model.axes_.T
            for part in parts
        ]
        rows = np.concatenate(rows)
        distance = (rows[:, None] - means) ** 2 / variances
        level = np.log(weights) - (distance + np.log(variances)).sum(2) / 2
        shares = np.exp(level - level.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        unit = (rows[:, None] - means) / np.sqrt(variances)
        first = (shares[..., None] * unit).mean(0) / np.sqrt(weights)[:, None]
        second = (shares[..., None] * (unit**2 - 1)).mean(0) / np.sqrt(2 * weights)[:, None]
        vector = np.concatenate([first.ravel(), second.ravel()])
        vector = np.sign(vector) * np.abs(vector) ** model.power
        found.append(vector / np.linalg.norm(vector))
    return np.stack(found)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1", "f2"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 40, 41), {}),
        ((4, 2, 30, 32), {"position": 0, "cells": (4,)}),
        ((5, 33, 30), {"mirror": True, "power": 1.0, "step": 3, "orientations": 6}),
        ((3, 40, 40), {"contrast": 0, "cells": (2.5, 5, 7)}),
    ],
)
def test_equals_the_equations_in_float64(shape, options, dtype):
    images = draw(shape, dtype)
    model = FisherVectors(**{**SMALL, **options}).fit(images)
    got, expected = model.transform(images), naive(images, model)
    assert got.dtype == np.float32
    assert got.shape == expected.shape == (len(images), len(model.get_feature_names_out()))
    # A power below 1 is steep at 0.
    tolerance = 2e-5 if model.power == 1 else 2e-3
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
    powers = got.astype("f8"), expected
    powers = [np.sign(p) * np.abs(p) ** (1 / model.power) for p in powers]
    np.testing.assert_allclose(*powers, rtol=0, atol=2e-5)


def test_one_step_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(m, s, (400, 3)) for m, s in ((0, 1), (3, 0.5), (-2, 2))])
    start = Mixture(np.array([0.2, 0.5, 0.3]), rows[:3].copy(), np.full((3, 3), 1.5))
    got = _step(rows, start, np.zeros(3))
    peer = GaussianMixture(
        3, covariance_type="diag", max_iter=1, reg_covar=0, weights_init=start.weights,
        means_init=start.means, precisions_init=1 / start.variances,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(rows)
    np.testing.assert_allclose(got.weights, peer.weights_, rtol=1e-6)
    np.testing.assert_allclose(got.means, peer.means_, rtol=1e-6)
    np.testing.assert_allclose(got.variances, peer.covariances_, rtol=1e-6)
    np.testing.assert_allclose(posteriors(np, rows, got), peer.predict_proba(rows), atol=1e-9)


def test_a_mixture_is_found_again():
    rng = np.random.default_rng(0)
    means = np.array([[0, 0], [6, 1], [-5, 4], [1, -7]])
    spread = np.array([[1, 0.5], [0.4, 1.5], [1, 1], [0.7, 0.7]])
    which = rng.choice(4, 20_000, p=[0.1, 0.2, 0.3, 0.4])
    rows = (means[which] + spread[which] * rng.normal(size=(20_000, 2))).astype("f4")
    found = fit_mixture(rows, 4, 20, np.random.default_rng(3))
    order = [int(((found.means - m) ** 2).sum(1).argmin()) for m in means]
    np.testing.assert_allclose(found.means[order], means, atol=0.1)
    np.testing.assert_allclose(np.sqrt(found.variances[order]), spread, atol=0.9)
    np.testing.assert_allclose(found.weights[order], [0.1, 0.2, 0.3, 0.4], atol=0.02)
    # Rows of the mixture itself deviate in nothing.
    vectors = deviations(np, rows[None], found)
    assert np.abs(vectors[0, 0]).max() < 0.02


def test_rows_that_are_all_the_same_have_a_finite_mixture():
    found = fit_mixture(np.full((50, 3), 2, "f4"), 4, 3, np.random.default_rng(0))
    assert all(np.isfinite(part).all() for part in found)
    assert np.isfinite(deviations(np, np.zeros((2, 5, 3), "f4"), found)).all()


def test_mirrored_images_have_mirrored_descriptors():
    images = draw((2, 1, 26, 31))
    made = Descriptors((3,), 4, 8, 1.0, np.zeros((1, 1), "f4"))
    (here,), (there,) = describe(HOST, images, made), describe(HOST, images[..., ::-1], made)
    here, there = (d.reshape(2, 6, 7, 4, 4, 8) for d in (here, there))
    back = there[:, :, ::-1, :, ::-1][..., (4 - np.arange(8)) % 8]
    np.testing.assert_allclose(back, here, atol=2e-5)


@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1e12, 1e30])
def test_the_unit_of_images_does_not_matter(scale):
    images = draw((4, 30, 30))
    model = FisherVectors(**SMALL, power=1).fit(images)
    other = clone(model).fit((images.astype("f8") * scale).astype("f4"))
    got = other.transform((images.astype("f8") * scale).astype("f4"))
    np.testing.assert_allclose(got, model.transform(images), rtol=0, atol=5e-3)


def test_any_images_have_finite_vectors():
    images = draw((4, 30, 30))
    model = FisherVectors(**SMALL, contrast=0).fit(images)
    odd = np.stack([np.zeros((30, 30)), np.full((30, 30), 3e38), images[0] * 1e30, images[1] * 0])
    odd[3, 3, 4] = -3e38
    got = model.transform(odd.astype("f4"))
    assert np.isfinite(got).all()
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(got[0], got[1])  # both are constant
    np.testing.assert_allclose(got[2], model.transform(images[:1])[0], atol=0.1)


def test_training_on_constant_images_stays_finite():
    model = FisherVectors(**SMALL).fit(np.full((5, 30, 30), 7, "f4"))
    assert np.isfinite(model.transform(draw((2, 30, 30)))).all()


def test_any_array_library(xp_any):
    images = draw((4, 40, 41))
    model = FisherVectors(**SMALL, power=1.0, mirror=True)
    expected = model.fit_transform(images)
    there = clone(model).fit(xp_any.asarray(images))
    assert isinstance(there.axes_, np.ndarray)
    got = xp_any.asnumpy(there.transform(xp_any.asarray(images)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)
    got = xp_any.asnumpy(model.transform(xp_any.asarray(images)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


def test_pieces_of_any_size_give_the_same(monkeypatch):
    images = draw((5, 40, 41))
    model = FisherVectors(**SMALL, power=1.0).fit(images)
    whole = model.transform(images)
    np.testing.assert_allclose(model.transform(images[2:3]), whole[2:3], atol=1e-6)
    monkeypatch.setitem(descriptors._BYTES, "cpu", 1)
    np.testing.assert_allclose(model.transform(images), whole, atol=1e-6)
    again = clone(model).fit(images)
    np.testing.assert_allclose(again.transform(images), whole, atol=1e-4)


def test_any_layout_and_the_input_stays():
    images = draw((4, 30, 31))
    model = FisherVectors(**SMALL).fit(images)
    expected = model.transform(images)
    turned = np.asfortranarray(images)
    turned.flags.writeable = False
    np.testing.assert_array_equal(model.transform(turned), expected)
    backwards = np.ascontiguousarray(images[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(model.transform(backwards), expected)
    np.testing.assert_array_equal(FisherVectors(**SMALL).fit(turned).means_, model.means_)


def test_model_files(tmp_path):
    images = draw((4, 30, 31))
    model = FisherVectors(**SMALL).fit(images)
    again = load_model(save_model(model, tmp_path / "fisher.fastmm"))
    np.testing.assert_array_equal(again.transform(images), model.transform(images))
    assert str(again) == str(model)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cells": ()}, ValueError, "`cells` must hold at least one size"),
        ({"cells": (3, 0)}, ValueError, r"`cells\[1\]` must be a finite number of at least 1"),
        ({"cells": "3"}, ValueError, "`cells` must hold"),
        ({"n_gaussians": 0}, ValueError, "`n_gaussians` must be a positive integer"),
        ({"n_gaussians": 10_000}, ValueError, "`n_gaussians` must be at most the number of desc"),
        ({"n_components": 0}, ValueError, "`n_components` must be a positive integer"),
        ({"step": 0}, ValueError, "`step` must be a positive integer"),
        ({"orientations": 1}, ValueError, "`orientations` must be an integer of at least 2"),
        ({"position": -1}, ValueError, "`position` must be a finite number of at least 0"),
        ({"contrast": np.nan}, ValueError, "`contrast` must be a finite number"),
        ({"power": 0}, ValueError, "`power` must be a finite number greater than 0"),
        ({"n_descriptors": 0}, ValueError, "`n_descriptors` must be a positive integer"),
        ({"rounds": 0}, ValueError, "`rounds` must be a positive integer"),
        ({"seed": -1}, ValueError, "`seed` must be an integer of at least 0"),
    ],
)
def test_wrong_parameters(options, error, message):
    with pytest.raises(error, match=message):
        FisherVectors(**{**SMALL, **options}).fit(draw((2, 20, 20)))


def test_wrong_images():
    images = draw((4, 30, 31))
    model = FisherVectors(**SMALL).fit(images)
    with pytest.raises(ValueError, match=r"shape \(n, 30, 31\) of those seen in fit"):
        model.transform(images[:, 1:])
    with pytest.raises(NotFittedError):
        clone(model).transform(images)
    with pytest.raises(ValueError, match="2 spatial axes"):
        clone(model).fit(images[0])
    images[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity: 1 of 3720 .* \(1, 2, 3\)"):
        model.transform(images)
    assert model.transform(np.zeros((0, 30, 31))).shape == (0, 140)
