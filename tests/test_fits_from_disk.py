"""Fits to what lies on a disk, under a memory limit, equal those to the same in memory."""

from __future__ import annotations

import re
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from fastmm import (
    DeepClassifier,
    DensePatchRidge,
    FeatureMachineClassifier,
    FeatureMachineRegressor,
    FisherVectors,
    PatchDictionary,
)
from fastmm.features import descriptors
from fastmm.streams.lazy_rows import LazyRows, lazy_rows, read_ahead, refuse_nonfinite
from fastmm.streams.limits import check_limit
from fastmm.streams.sources import open_source

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


@pytest.fixture
def stored(tmp_path):
    count = iter(range(9))

    def store(kind, array):
        folder = tmp_path / str(next(count))
        folder.mkdir()
        return on_disk(kind, array, folder)

    return store


def least(fit):
    """Return the limit that `fit(limit)` says to be the least."""
    with pytest.raises(ValueError, match="`memory_limit` must be at least") as caught:
        fit(1)
    return check_limit(str(caught.value).split("at least ")[1].split(" ")[0])


def peak(call):
    """Return what a call returns, and the most memory that it held."""
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


# Indices


def test_rows_are_those_of_the_array():
    array = np.arange(60.0).reshape(12, 5).astype(">f4")
    rows = lazy_rows(Sliced(array), 100)
    assert (rows.shape, rows.ndim, rows.size, len(rows)) == ((12, 5), 2, 60, 12)
    assert rows.dtype.isnative
    for index in (slice(2, 5), slice(10, 99), slice(4, 4), [3], [5, 6, 1], [[1, 1], [11, 0]], []):
        index = index if isinstance(index, slice) else np.array(index, int)
        found = rows[index]
        np.testing.assert_array_equal(found, array[index])
        assert found.dtype.isnative
    turned = rows.turned((12, 1, 5), lambda part: part[:, None])
    np.testing.assert_array_equal(turned[np.array([[4, 2]])], array[[[4, 2]]][:, :, None])
    np.testing.assert_array_equal(turned.plain()[3:4], array[3:4])
    assert [part.stop for part in rows.parts(40)] == [2, 4, 6, 8, 10, 12]


def test_what_is_in_memory_stays_there(tmp_path):
    assert lazy_rows(np.zeros((2, 2)), 9) is None
    assert lazy_rows([[1.0]], 9) is None
    assert lazy_rows(Sliced(np.zeros((2, 2))), None) is None
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    # Its pages may hold what the file does not.
    assert lazy_rows(np.load(tmp_path / "a.npy", mmap_mode="c"), 9) is None
    da = pytest.importorskip("dask.array", reason="dask is not installed")
    with pytest.raises(TypeError, match="`memory_limit` must be None for dask arrays"):
        lazy_rows(da.zeros((2, 2)), 9)


def test_chunks_of_a_store_are_not_cut(stored):
    source = open_source(stored("zarr", np.zeros((20, 3))))
    assert [part.start for part in LazyRows(source).parts(24 * 10)] == [0, 7, 14]


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="pages are told on Linux alone")
def test_rows_here_and_there_leave_no_pages_behind(tmp_path):
    np.save(tmp_path / "rows.npy", np.ones((4000, 1024), "f4"))
    rows = lazy_rows(np.load(tmp_path / "rows.npy", mmap_mode="r"), 9)

    def resident():
        told = Path("/proc/self/smaps").read_text().partition("rows.npy")[2]
        return int(re.search(r"Rss:\s*(\d+) kB", told)[1])

    np.random.default_rng(0).shuffle(index := np.arange(0, 4000, 40))
    for part in np.split(index, 10):
        assert rows[part].all()
    assert resident() < 100


def test_reading_ahead_keeps_order_and_tells_of_errors():
    assert list(read_ahead(abs, iter([-2, 3, -5]), True)) == [(-2, 2), (3, 3), (-5, 5)]
    assert list(read_ahead(abs, [], True)) == []

    def fail(part):
        raise OSError(part)

    with pytest.raises(OSError, match="7"):
        list(read_ahead(fail, [7], True))


def test_values_that_are_none_are_counted_with_their_first_place():
    array = np.zeros((9, 4))
    array[5, 2], array[8, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"`z` contains NaN or infinity: 2 of 36 .* \(5, 2\)\."):
        refuse_nonfinite(lazy_rows(Sliced(array), 9), "z", 8 * 32 * 2)
    big = np.full((3, 2), 1e308)  # their sum is infinite, they are not
    refuse_nonfinite(lazy_rows(Sliced(big), 9), "z", 10**6)


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
    near(model.coef_, plain.coef_)
    near(model.intercept_, plain.intercept_)
    model.memory_limit = 3 * limit  # maps take more than the sums of images
    near(model.predict(source), plain.predict(images), 1e-6)
    near(model.predict_map(source), plain.predict_map(images), 1e-6)
    assert model.score(source, truth) == pytest.approx(plain.score(images, y), abs=1e-6)
    if kind == "sliced":
        assert source.most < N


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


# Features


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
