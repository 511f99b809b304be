"""Fits to what lies on a disk, under a memory limit, equal those to the same in memory."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from disk_sources import KINDS, N, Store, least, near, peak, pictures
from sklearn.base import clone

from fastmm import (
    DeepClassifier,
    DensePatchRidge,
    FeatureMachineClassifier,
    FeatureMachineRegressor,
)


@pytest.fixture
def stored(tmp_path):
    return Store(tmp_path)


# Ridge on patches


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maps", [False, True])
def test_patch_sums(kind, maps, stored, monkeypatch):
    monkeypatch.setattr("fastmm.solve.patches.room._LEAST", 8 * 480 * 9)  # several pieces
    images = pictures(dtype="i2" if kind == "sliced" else "f4")
    rng = np.random.default_rng(1)
    y = images[:, :21, :16] + 9 * rng.normal(size=(N, 21, 16)) if maps else rng.normal(size=N)
    weight = rng.uniform(0, 2, N)
    plain = DensePatchRidge((4, 5), alpha=2.0).fit(images, y, weight)
    source = stored(kind, images)
    truth = stored(kind, y) if maps else y

    def fit(limit):
        return clone(plain).set_params(memory_limit=limit).fit(source, truth, weight)

    limit = least(fit)
    model, held = peak(partial(fit, limit))
    assert held < 1.3 * limit
    if kind == "sliced":
        assert source.most < N
    near(model.coef_, plain.coef_)
    near(model.intercept_, plain.intercept_)
    model.memory_limit = 3 * limit  # maps take more than the sums of images
    near(model.predict(source), plain.predict(images), 1e-6)
    near(model.predict_map(source), plain.predict_map(images), 1e-6)
    assert model.score(source, truth) == pytest.approx(plain.score(images, y), abs=1e-6)


@pytest.mark.parametrize("maps", [False, True])
def test_patients_left_out_from_disk(maps, stored):
    images = {"a": pictures(seed=2), "b": pictures(seed=3, dtype="u2")}
    y = np.random.default_rng(4).normal(size=(N, 20, 18) if maps else N) + images["a"][0, 0, 0]
    y += images["a"][:, :20, :18] / 9 if maps else images["a"].mean((1, 2))
    given = {"groups": np.arange(N) // 4}
    options = {"alphas": (1.0, 100.0), "step": (1, 1)}
    plain = DensePatchRidge((5, 3), **options).fit(images, y, **given)
    lazy = {name: stored("sliced", array) for name, array in images.items()}
    truth = stored("sliced", y) if maps else y
    limit = least(lambda n: DensePatchRidge((5, 3), memory_limit=n, **options).fit(
        lazy, truth, **given
    ))  # fmt: skip
    model = DensePatchRidge((5, 3), memory_limit=limit, **options).fit(lazy, truth, **given)
    near(model.cv_predictions_, plain.cv_predictions_, 1e-8)
    near(model.cv_scores_, plain.cv_scores_, 1e-8)
    assert model.alpha_ == plain.alpha_
    for name in images:
        near(model.coef_[name], plain.coef_[name], 1e-8)


def test_pieces_from_disk_add_up(stored):
    images = pictures()
    y = np.random.default_rng(5).normal(size=N)
    plain = DensePatchRidge((3, 3)).fit(images, y)
    model = DensePatchRidge((3, 3), memory_limit="40MB")
    for part in (slice(0, 25), slice(25, N)):
        model.partial_fit(stored("memmap", images[part]), y[part])
    near(model.coef_, plain.coef_)


@pytest.mark.parametrize("bad", ["images", "y"])
def test_wrong_values_on_disk(bad, stored):
    images, y = pictures(), pictures(shape=(22, 18))
    (images if bad == "images" else y)[33, 4, 5] = np.nan
    with pytest.raises(ValueError, match=rf"`{bad}` contains NaN .* 1 of .* \(33, 4, 5\)"):
        DensePatchRidge((3, 3), memory_limit="90MB").fit(stored("zarr", images), stored("zarr", y))


# Feature machines


@pytest.mark.parametrize(("kind", "diagonal"), [*zip(KINDS, (False, False, True), strict=True)])
def test_feature_machines(kind, diagonal, stored):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(110, 30)).astype("f4" if diagonal else "f8")
    y, weight = X[:, 0] ** 2 + X[:, 1], rng.uniform(0.5, 2, 110)
    options = {"alphas": 1e-2, "iterations": 2, "cv": 2, "diagonal": diagonal}
    if diagonal:
        plain, target = FeatureMachineClassifier(**options), y > np.median(y)
    else:
        plain, target = FeatureMachineRegressor(**options), y
    plain.fit(X, target, weight)
    source = stored(kind, X)

    def fit(limit):
        return clone(plain).set_params(memory_limit=limit).fit(source, target, weight)

    limit = least(fit)
    model, held = peak(partial(fit, limit))
    assert held < 1.3 * limit
    for name in ("feature_matrix_", "dual_coef_", "cv_scores_", "X_fit_"):
        near(getattr(model, name), getattr(plain, name), 1e-8)
    method = "decision_function" if diagonal else "predict"
    found, held = peak(partial(getattr(model, method), source))
    assert held < 1.3 * limit
    near(found, getattr(plain, method)(X), 1e-6)


# Networks


def test_networks_read_batches(stored, monkeypatch):
    monkeypatch.setattr("fastmm.deep.batches._PIECE", 64 * 9)  # several pieces
    rng = np.random.default_rng(0)
    pytest.importorskip("torch", reason="torch is not installed")
    y = np.arange(48) % 2
    whole = {
        "ct": rng.normal(size=(48, 10, 12)).astype("f4") + y[:, None, None],
        "pet": rng.integers(0, 999, (48, 8, 8)).astype("u2"),
        "case": rng.normal(size=(48, 4)),
    }
    whole["case"][:5] = np.nan
    lazy = {name: stored(kind, whole[name]) for name, kind in zip(whole, KINDS, strict=True)}
    options = {"width": 4, "max_epochs": 1, "n_features": 8, "batch_size": 16, "device": "cpu"}
    plain = DeepClassifier(**options).fit(whole, y)
    limit = least(lambda n: DeepClassifier(memory_limit=n, **options).fit(lazy, y))
    model = DeepClassifier(memory_limit=limit, **options).fit(lazy, y)
    assert lazy["pet"].most < 48
    assert model.history_ == plain.history_
    for name, weight in plain.weights_.items():
        np.testing.assert_array_equal(model.weights_[name], weight)
    near(model.predict_proba(lazy), plain.predict_proba(whole), 1e-6)
    near(model.embed(lazy), plain.embed(whole), 1e-6)
    broken = dict(lazy, ct=stored("memmap", np.where(np.arange(12) == 3, np.inf, whole["ct"])))
    with pytest.raises(ValueError, match=r"`X\['ct'\]` contains NaN or infinity"):
        DeepClassifier(memory_limit=limit, **options).fit(broken, y)


def test_networks_of_one_table_on_disk(stored):
    pytest.importorskip("torch", reason="torch is not installed")
    X = np.random.default_rng(0).normal(size=(40, 5))
    options = {"max_epochs": 2, "n_features": 8, "device": "cpu"}
    plain = DeepClassifier(**options).fit(X, X[:, 0] > 0)
    model = DeepClassifier(memory_limit="100MB", **options).fit(stored("zarr", X), X[:, 0] > 0)
    assert model.n_features_in_ == 5
    np.testing.assert_array_equal(model.decision_function(X), plain.decision_function(X))
    np.testing.assert_array_equal(
        model.decision_function(stored("memmap", X)), plain.decision_function(X)
    )
    with pytest.raises(ValueError, match="rows of shape"):
        model.predict(stored("memmap", X[:, :4]))


@pytest.mark.parametrize("shape", [(2, 3), (3,)])
def test_networks_need_no_kernel_matrix(shape):
    pytest.importorskip("torch", reason="torch is not installed")
    from fastmm.deep.training_rows import take_training_inputs

    X = np.zeros((3000, *shape), "f4")  # whose kernel matrix would take 288 MB
    model = DeepClassifier(width=4, n_features=8, memory_limit="80MB")
    inputs, labels, _ = take_training_inputs(model, X, np.arange(3000) % 2, None)
    assert inputs.n == len(labels) == 3000
