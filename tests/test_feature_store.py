"""Features on disk: what a kill, a flipped byte or other parameters do to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from harness import ROOT
from PIL import Image

import fastmm
from fastmm.errors import FastmmError

pytest.importorskip("zarr", reason="feature stores need zarr")

from fastmm.streaming import FeatureStore

OPTIONS = {"patch_size": (4, 4), "step": 4, "statistics": ("mean", "std")}


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(10, 16, 16)).astype("float32")


@pytest.fixture
def store(tmp_path, images):
    return FeatureStore(tmp_path / "s").fill(fastmm.patch_statistics, images, rows=3, **OPTIONS)


def fill(store, images, **changed):
    return store.fill(fastmm.patch_statistics, images, rows=3, **{**OPTIONS, **changed})


def chunk_file(store, number):
    (file,) = [
        f for f in (store._folder / "features" / "c" / str(number)).rglob("*") if f.is_file()
    ]
    return file


def test_features_are_those_of_one_call(store, images):
    expected = fastmm.patch_statistics(images, **OPTIONS)
    assert store.computed == 4
    assert store.damaged() == []
    np.testing.assert_array_equal(store.read(), expected)
    np.testing.assert_array_equal(np.asarray(store.array), expected)
    for rows in (slice(2, 7), slice(3, 6), slice(8, None), slice(-2, None), slice(5, 5)):
        np.testing.assert_array_equal(store.read(rows), expected[rows])
    with pytest.raises(ValueError, match="step 1"):
        store.read(slice(None, None, 2))


def damage(file, how):
    data = bytearray(file.read_bytes())
    if how == "flip":
        data[len(data) // 2] ^= 1
    elif how == "cut":
        data = data[:-3]
    if how == "lose":
        file.unlink()
    else:
        file.write_bytes(data)


@pytest.mark.parametrize("how", ["flip", "cut", "lose"])
def test_a_damaged_chunk_is_found_and_made_again(store, images, how):
    before = store.read()
    damage(chunk_file(store, 2), how)
    assert store.damaged() == [2]
    assert len(store.read(slice(0, 6))) == 6  # the others are good
    with pytest.raises(FastmmError, match="Rows 6 to 9 of the store are missing or damaged"):
        store.read()
    assert fill(store, images).computed == 1
    np.testing.assert_array_equal(store.read(), before)


def test_every_flipped_byte_of_a_chunk_is_found(store, images):
    file = chunk_file(store, 1)
    good = file.read_bytes()
    for place in range(0, len(good), max(1, len(good) // 40)):
        changed = bytearray(good)
        changed[place] ^= 0x10
        file.write_bytes(changed)
        values = store._verified(1)
        # A bit that the compressor ignores may leave the values as they are.
        expected = fastmm.patch_statistics(images[3:6], **OPTIONS)
        assert values is None or np.array_equal(values, expected)
    file.write_bytes(good)
    assert store.damaged() == []


def test_a_damaged_record_is_a_chunk_that_is_not_finished(store, images):
    (file,) = store._folder.glob("finished/*/00000001.json")
    file.write_text('{"checksum": ')
    assert fill(store, images).computed == 1
    assert store.damaged() == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"step": 2}, "another `step`: 4, now 2"),
        ({"statistics": ("mean",)}, r"another `statistics`: \['mean', 'std'\], now \['mean'\]"),
        ({"bins": 8}, "another `bins`: None, now 8"),
    ],
)
def test_other_parameters_are_refused(store, images, changed, message):
    with pytest.raises(ValueError, match=message):
        fill(store, images, **changed)
    assert store.damaged() == []


def test_other_images_operators_and_versions_are_refused(store, images, monkeypatch):
    other = images.copy()
    other[7, 3, 3] += 1
    with pytest.raises(ValueError, match="other images: rows 6 to 9 have changed"):
        fill(store, other)
    with pytest.raises(ValueError, match="another `rows`: 10, now 9"):
        fill(store, images[:9])
    with pytest.raises(ValueError, match="another `source`"):
        fill(store, images.astype("float64"))
    with pytest.raises(ValueError, match="another `operator`"):
        store.fill(fastmm.extract_patches, images, rows=3, patch_size=(4, 4), step=4)
    with pytest.raises(ValueError, match="another `chunk`: 3, now 5"):
        store.fill(fastmm.patch_statistics, images, rows=5, **OPTIONS)
    monkeypatch.setattr("fastmm.streaming.__version__", "9.9")
    with pytest.raises(ValueError, match="another `fastmm`"):
        fill(store, images)


def test_learnt_attributes_of_an_estimator_count(tmp_path, images):
    one = fastmm.PatchDictionary((4, 4), n_atoms=4, pool=2, n_patches=500).fit(images)
    store = FeatureStore(tmp_path / "s").fill(one.transform, images, rows=4)
    np.testing.assert_array_equal(store.read(), one.transform(images))
    assert store.fill(one.transform, images, rows=4).computed == 0
    one.atoms_ = one.atoms_ * np.float32(0.5)
    with pytest.raises(ValueError, match="`atoms_`"):
        store.fill(one.transform, images, rows=4)


def scaled(images, by):
    return images.reshape(len(images), -1) * by


def test_functions_are_told_apart_by_what_they_do(tmp_path, images):
    store = FeatureStore(tmp_path / "s")
    by = 2.0
    assert store.fill(lambda x: scaled(x, by), images, rows=5).computed == 2
    assert store.fill(lambda x: scaled(x, by), images, rows=5).computed == 0
    by = 3.0
    with pytest.raises(ValueError, match="another `operator`"):
        store.fill(lambda x: scaled(x, by), images, rows=5)
    other = FeatureStore(tmp_path / "t")
    assert other.fill(partial(scaled, by=1.0), images, rows=5).computed == 2
    with pytest.raises(ValueError, match="another `operator`"):
        other.fill(partial(scaled, by=2.0), images, rows=5)
    with pytest.raises(TypeError, match="can be compared"):
        FeatureStore(tmp_path / "u").fill(scaled, images, by=object())


def test_mapped_arrays_are_told_apart_by_their_files(tmp_path, images):
    file = tmp_path / "images.npy"
    np.save(file, images)
    store = FeatureStore(tmp_path / "s")
    assert fill(store, np.load(file, mmap_mode="r")).computed == 4
    assert fill(store, np.load(file, mmap_mode="r")).computed == 0
    with pytest.raises(ValueError, match="other images"):  # the same file, in another order
        fill(store, np.load(file, mmap_mode="r")[::-1])
    os.utime(file, ns=(1, 1))
    with pytest.raises(ValueError, match="other images: rows 0 to 3"):
        fill(store, np.load(file, mmap_mode="r"))


def test_paths_missing_ones_and_no_names_on_disk(tmp_path):
    rng = np.random.default_rng(1)
    paths = [tmp_path / f"Doe^Jane-{i}.png" for i in range(5)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (20, 20), dtype=np.uint8)).save(path)
    given = [None, None, *paths, None]
    modality = fastmm.ImageModality((16, 16), patch_size=(8, 8))
    store = FeatureStore(tmp_path / "s").fill(modality, given, rows=2)
    block = modality.extract(given)
    np.testing.assert_array_equal(store.read()[block.present], block.values[block.present])
    assert np.isnan(store.read()[~block.present]).all()
    for file in (tmp_path / "s").rglob("*"):
        assert "Doe" not in file.name
        assert not file.is_file() or b"Doe" not in file.read_bytes()
    assert store.fill(modality, given, rows=2).computed == 0
    Image.fromarray(rng.integers(0, 255, (20, 21), dtype=np.uint8)).save(paths[2])
    with pytest.raises(ValueError, match="rows 4 to 6 have changed"):
        store.fill(modality, given, rows=2)
    with pytest.raises(ValueError, match="a row for each image"):
        FeatureStore(tmp_path / "t").fill(fastmm.ImageModality((8, 8), patch_size=(4, 4), step=4,
                                                               pool="rows"), given)  # fmt: skip


def test_a_store_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no store"):
        FeatureStore(tmp_path / "s").damaged()


KILLED = """
import os, pathlib, signal, sys, time
import numpy as np
from fastmm.streaming import FeatureStore

def features(images):
    open(sys.argv[2], "a").write("x")
    if len(sys.argv) > 3 and os.path.getsize(sys.argv[2]) > 4:
        while len(list(pathlib.Path(sys.argv[1]).glob("finished/*/*.json"))) < 4:
            time.sleep(0.01)  # the chunk before is being written
        os.kill(os.getpid(), signal.SIGKILL)
    return images.reshape(len(images), -1).astype("float64") ** 2

images = np.arange(40 * 9.0).reshape(40, 3, 3)
store = FeatureStore(sys.argv[1]).fill(features, images, rows=5)
assert np.array_equal(store.read(), images.reshape(40, 9) ** 2)
print(store.computed)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_goes_on_where_it_was(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(KILLED)

    def run(*more):
        command = [sys.executable, script, tmp_path / "s", tmp_path / "calls", *more]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100)

    assert run("kill").returncode == -signal.SIGKILL
    finished = len(list(Path(tmp_path / "s" / "finished").rglob("*.json")))
    assert finished == 4  # the fifth call killed it
    done = run()
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 8 - finished
    assert (tmp_path / "calls").stat().st_size == 5 + 8 - finished


def test_progress_counts_rows_whether_made_or_found(tmp_path, images):
    seen = []
    for _ in range(2):
        store = FeatureStore(tmp_path / "s")
        fill(store, images)
        store.fill(
            fastmm.patch_statistics, images, rows=3, progress=lambda *at: seen.append(at), **OPTIONS
        )
    assert seen == [(3, 10), (6, 10), (9, 10), (10, 10)] * 2
