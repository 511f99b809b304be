"""The same calls on dask arrays, with two worker processes, one of which is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from harness import run_python

import fastmm
from fastmm import (
    LSSVC,
    KernelRidge,
    NystromFeatures,
    PatchDictionary,
    RidgeClassifierCV,
    RidgeCV,
    load_images,
)
from fastmm.datasets import make_cohort

da = pytest.importorskip("dask.array", reason="dask is not installed")
distributed = pytest.importorskip("distributed", reason="distributed is not installed")


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two processes, which is the default scheduler of this module's tests."""
    here = str(Path(__file__).resolve().parent)  # functions of this module, as tasks name them
    path = os.pathsep.join([here, *(part for part in sys.path if part)])
    environ = {"PYTHONPATH": path, "NUMBA_NUM_THREADS": "1"}
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options, env=environ) as made, distributed.Client(made) as one:
        yield one


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """A cohort of twelve patients, small images."""
    return make_cohort(tmp_path_factory.mktemp("cohort") / "c", 12, 0, slices=3, shape=(64, 64))


def rows(n=240, d=10, targets=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 2
    y = X @ rng.normal(size=(d, targets or 1)) + rng.normal(size=(n, targets or 1))
    return X, y if targets else y[:, 0], rng.integers(0, n // 6, n)


def slowly(block):
    time.sleep(0.1)
    return block


IMAGES = np.random.default_rng(0).normal(size=(5, 2, 24, 20)).astype("f4")
MASK = np.random.default_rng(1).random(IMAGES.shape) > 0.3
OPERATORS = {
    "resize": lambda x: fastmm.resize(x, (12, 10)),
    "window": lambda x: fastmm.window(x, 0.0, 2.0),
    "normalize": lambda x: fastmm.normalize(x, "zscore"),
    "normalize, batch": lambda x: fastmm.normalize(x, "zscore", per="batch"),
    "normalize, masks": lambda x: fastmm.normalize(x, "zscore", mask=MASK),
    "normalize, mask": lambda x: fastmm.normalize(x, "zscore", mask=MASK[0, 0]),
    "denoise": lambda x: fastmm.denoise(x),
    "equalize": lambda x: fastmm.equalize(x),
    "clip_histogram": lambda x: fastmm.clip_histogram(x),
    "extract_patches": lambda x: fastmm.extract_patches(x, (8, 8), step=4),
    "patch_statistics": lambda x: fastmm.patch_statistics(x, (8, 8), step=4),
    "preprocess": lambda x: fastmm.preprocess(x, (16, 16), window=(0.0, 2.0)),
    "one image": lambda x: fastmm.resize(x[0, 0], (12, 10)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_lazy_and_bit_equal(name):
    lazy = OPERATORS[name](da.from_array(IMAGES, chunks=(2, 1, 9, 20)))
    expected = OPERATORS[name](IMAGES)
    assert isinstance(lazy, da.Array)
    assert (lazy.shape, lazy.dtype) == (expected.shape, expected.dtype)
    assert isinstance(lazy._meta, np.ndarray)
    np.testing.assert_array_equal(lazy.compute(scheduler="threads"), expected)


def test_arguments_are_refused_before_anything_runs():
    images = da.from_array(IMAGES, chunks=(2, 1, 24, 20))
    with pytest.raises(ValueError, match="interpolation"):
        fastmm.resize(images, (8, 8), interpolation="sharp")
    with pytest.raises(ValueError, match="at least 2 axes"):
        fastmm.resize(images[0, 0, 0], (8, 8))
    with pytest.raises(TypeError, match="`memory_limit` must be None for dask"):
        fastmm.resize(images, (8, 8), memory_limit="1GB")
    with pytest.raises(ValueError, match="degree"):
        fastmm.polynomial_kernel(da.ones((4, 2)), degree=0)


@pytest.mark.parametrize(
    "name", ["linear", "polynomial", "rbf", "laplacian", "arccos", "ntk"]
)  # fmt: skip
def test_gram_matrices_come_in_tiles(name):
    kernel = getattr(fastmm, f"{name}_kernel")
    X, Y = rows(50, 6)[0], rows(13, 6, seed=1)[0]
    lazy = da.from_array(X, chunks=(20, 3))
    K = kernel(lazy)
    assert K.chunks == ((20, 20, 10), (20, 20, 10))
    K = K.compute(scheduler="threads")
    np.testing.assert_allclose(K, kernel(X), rtol=1e-10)
    np.testing.assert_array_equal(K, K.T)
    for one, other in ((lazy, Y), (X, da.from_array(Y, chunks=5)), (lazy, da.from_array(Y))):
        tiles = kernel(one, other).compute(scheduler="threads")
        np.testing.assert_allclose(tiles, kernel(X, Y), rtol=1e-10)
    if name == "rbf":
        assert (K.diagonal() == 1).all()


def test_data_frames_bring_their_columns():
    dd = pytest.importorskip("dask.dataframe", reason="dask has no data frames here")
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y, groups = rows(60, 3)
    frame = dd.from_pandas(pd.DataFrame(X, columns=["a", "b", "c"]), npartitions=3)
    labels = dd.from_pandas(pd.Series(y), npartitions=3)
    model = RidgeCV().fit(frame, labels, groups=groups)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    expected = RidgeCV().fit(X, y, groups=groups)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.predict(frame).compute(), expected.predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b", "a", "c"]])


def test_images_and_features_on_the_workers(cluster):
    images = da.from_array(IMAGES[:, 0], chunks=(2, 24, 20))
    model = PatchDictionary((8, 8), 6).fit(IMAGES[:, 0])
    found = model.transform(fastmm.window(images, 0.0, 4.0))
    assert isinstance(found, da.Array)
    expected = model.transform(fastmm.window(IMAGES[:, 0], 0.0, 4.0))
    np.testing.assert_allclose(found.compute(), expected, rtol=1e-6)


@pytest.mark.parametrize("cv", [None, 3])
def test_ridge_models_on_the_workers(cluster, cv):
    X, y, groups = rows(targets=2)
    lazy = da.from_array(X, chunks=(37, 5))
    found = RidgeCV(cv=cv).fit(lazy, da.from_array(y, chunks=100), groups=groups)
    expected = RidgeCV(cv=cv).fit(X, y, groups=groups)
    assert found.alpha_ == expected.alpha_
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(found.cv_predictions_, expected.cv_predictions_, rtol=1e-8)
    predicted = found.predict(lazy)
    assert isinstance(predicted, da.Array)
    np.testing.assert_allclose(predicted.compute(), expected.predict(X), rtol=1e-9)


def test_kernel_machines_on_the_workers(cluster):
    X, y, groups = rows()
    lazy, labels = da.from_array(X, chunks=(50, 10)), (y > y.mean()).astype(int)
    options = {"kernel": "rbf", "solver": "nystrom", "n_components": 30}
    found = KernelRidge(**options).fit(lazy, y).predict(lazy).compute()
    expected = KernelRidge(**options).fit(X, y).predict(X)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    machine = LSSVC().fit(lazy, labels)  # exact: fits into the memory
    np.testing.assert_allclose(machine.decision_function(lazy).compute(),
                               LSSVC().fit(X, labels).decision_function(X), atol=1e-10)  # fmt: skip
    features = NystromFeatures(n_components=30).fit(lazy)
    model = RidgeClassifierCV().fit(features.transform(lazy), labels, groups=groups)
    inner = NystromFeatures(n_components=30).fit(X).transform(X)
    expected = RidgeClassifierCV().fit(inner, labels, groups=groups)
    assert model.best_score_ == pytest.approx(expected.best_score_, abs=1e-12)
    np.testing.assert_allclose(model.cv_decision_, expected.cv_decision_, atol=1e-7)


def test_paths_become_a_lazy_array(cluster, patients):
    db = pytest.importorskip("dask.bag", reason="dask has no bags here")
    folders = sorted(path for path in patients.parent.rglob("ct") if _holds_files(path))[:5]
    expected = load_images(folders, (16, 16), window=(0, 2000), device="cpu")
    bag = db.from_sequence([str(path) for path in folders], npartitions=3)
    lazy = load_images(bag, (16, 16), window=(0, 2000), device="cpu")
    assert np.isnan(lazy.shape[0])
    assert lazy.dtype == np.float32
    np.testing.assert_array_equal(lazy.compute(), expected)
    lazy = lazy.compute_chunk_sizes()
    found = fastmm.resize(lazy, (8, 8))
    np.testing.assert_array_equal(found.compute(), fastmm.resize(expected, (8, 8)))
    with pytest.raises(TypeError, match="`report` must be left out"):
        load_images(bag, (16, 16), on_error="skip", report=[])


def test_a_column_of_a_data_frame_is_loaded(patients):
    dd = pytest.importorskip("dask.dataframe", reason="dask has no data frames here")
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    folders = sorted(path for path in patients.parent.rglob("*") if _holds_files(path))[:2]
    frame = pd.DataFrame({"ct": [str(path) for path in folders], "age": [1, 2]})
    lazy = dd.from_pandas(frame, npartitions=2)
    found = load_images(lazy["ct"], (8, 8), device="cpu").compute(scheduler="sync")
    np.testing.assert_array_equal(found, load_images(folders, (8, 8), device="cpu"))
    with pytest.raises(TypeError, match="one column, got a data frame of 2"):
        load_images(lazy, (8, 8))


def _holds_files(path):
    return path.is_dir() and any(each.suffix == ".dcm" for each in path.iterdir())


def test_training_on_a_cluster_finds_the_same(cluster, patients, tmp_path):
    from fastmm.jobs.training import train_job

    options = {
        "label": "malignant", "group": "patient", "images": ["ct", "mr"], "tables": ["age,sex"],
        "title": "phantoms", "device": "cpu",
    }  # fmt: skip
    address = cluster.scheduler.address
    seen = []
    told = lambda name: lambda done, total: seen.append((name, done, total))  # noqa: E731
    here = train_job(patients, tmp_path / "here", **options)
    there = train_job(patients, tmp_path / "there", scheduler=address, task=told, **options)
    for name in ("scores", "cohort", "predictions", "roc", "validation"):
        assert there.results[name] == here.results[name]
    for name in ("predictions.csv",):
        found, expected = ((tmp_path / f / name).read_bytes() for f in ("there", "here"))
        assert found == expected
    for name, images in here.pictures.items():
        np.testing.assert_array_equal(there.pictures[name], images)
    assert any(name == "read ct" and done == total for name, done, total in seen)


def test_a_scheduler_that_is_not_there_is_an_error(monkeypatch):
    from fastmm.findings import cluster

    monkeypatch.setattr(cluster, "_WAIT", "1s")
    missing = cluster._connected("tcp://127.0.0.1:9")
    with pytest.raises(OSError, match="no dask scheduler at tcp://127"), missing:
        pass


def test_dask_is_no_dependency_of_the_core():
    code = """
    import sys, numpy as np, fastmm
    X = np.eye(4)
    fastmm.resize(X, (2, 2)); fastmm.RidgeCV(memory_limit="1MB").fit(X, X[0]).predict(X)
    print("loaded", *(m for m in ("dask", "distributed", "zarr") if m in sys.modules))
    """
    assert run_python(code).split("loaded")[1].split() == []


def test_a_worker_killed_during_a_fit_costs_nothing(cluster):  # the last: it leaves a new worker
    X, y, _ = rows()
    groups = np.arange(len(y)) // 6
    expected = RidgeCV().fit(X, y, groups=groups)
    lazy = da.from_array(X, chunks=(24, 10)).map_blocks(slowly, dtype=float)
    pids = cluster.run(os.getpid)
    assert len(pids) == 2
    killed = next(iter(pids.values()))
    kill = cluster.submit(_kill_soon, killed, pure=False, workers=[list(pids)[1]])
    found = RidgeCV().fit(lazy, y, groups=groups)
    assert kill.result() == killed
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(found.cv_predictions_, expected.cv_predictions_, rtol=1e-8)
    assert found.alpha_ == expected.alpha_
    assert killed not in cluster.run(os.getpid).values()


def _kill_soon(pid):
    """Kill the other worker in the middle of the fit's first pass."""
    import threading

    threading.Timer(0.6, os.kill, (pid, signal.SIGKILL)).start()
    return pid
