"""What a network leaves on disk: model files, and checkpoints that a run goes on from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import safetensors.numpy
from harness import ROOT

from fastmm import DeepClassifier, load_model, save_model
from fastmm.errors import FastmmError, ModelFileError
from fastmm.model_file import _checksum

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

KIND = {
    "width": 4,
    "n_features": 8,
    "batch_size": 8,
    "max_epochs": 7,
    "flip": True,
    "learning_rate": 0.01,
}


def cohort(dtype="float32"):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    data = {
        "a.ct": rng.normal(size=(40, 9, 9)).astype(dtype),  # a dot, as file names have
        "case": (rng.normal(size=(40, 2)) + y[:, None]).astype(dtype),
    }
    data["case"][:4] = np.nan
    return data, y


def same(first, second, *, rounding=0.0):
    assert first.weights_.keys() == second.weights_.keys()
    for name, array in first.weights_.items():
        np.testing.assert_allclose(second.weights_[name], array, rtol=rounding, atol=rounding)
    assert first.history_.keys() == second.history_.keys()
    for name, losses in first.history_.items():
        np.testing.assert_allclose(second.history_[name], losses, rtol=rounding, atol=rounding)
    assert first.best_epoch_ == second.best_epoch_


@pytest.mark.parametrize("labels", [["sick", "well"], [False, True], [3, 7]])
def test_model_files(labels, tmp_path):
    data, y = cohort()
    y = np.array(labels)[y]
    model = DeepClassifier(**KIND).fit(data, y, groups=np.arange(40) // 2)
    loaded = load_model(save_model(model, tmp_path / "m.fastmm"))
    np.testing.assert_array_equal(loaded.decision_function(data), model.decision_function(data))
    np.testing.assert_array_equal(loaded.predict(data), model.predict(data))
    assert loaded.predict(data).dtype == model.predict(data).dtype
    assert loaded.get_params() == model.get_params()
    same(loaded, model)
    again = loaded.fit(data, y, groups=np.arange(40) // 2)  # and it can be trained anew
    same(again, model)


def test_the_folder_of_checkpoints_is_no_hindrance(tmp_path):
    data, y = cohort()
    model = DeepClassifier(**{**KIND, "max_epochs": 1}, checkpoint=tmp_path / "runs").fit(data, y)
    loaded = load_model(save_model(model, tmp_path / "m.fastmm"))
    assert loaded.checkpoint == str(tmp_path / "runs")


def test_each_changed_byte_is_noticed(tmp_path):
    data, y = cohort()
    model = DeepClassifier(**{**KIND, "max_epochs": 1}).fit(data, y)
    expected = model.decision_function(data)
    file = save_model(model, tmp_path / "m.fastmm")
    whole = file.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.choice(len(whole), 100, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        try:
            loaded = load_model(file)
        except FastmmError:
            continue
        np.testing.assert_array_equal(loaded.decision_function(data), expected)
    for size in (0, 8, 100, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(ModelFileError):
            load_model(file)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("width", 8),
        ("width", 1 << 40),
        ("width", "wide"),
        ("n_features", -3),
        ("shapes_", {"dict": [["a.ct", {"tuple": [1, 1 << 40, 1 << 40]}]]}),
        ("shapes_", {"dict": [["a.ct", {"tuple": []}]]}),
        ("shapes_", 7),
        ("weights_", {"dict": []}),
        ("classes_", {"texts": ["a", "b", "c"]}),
    ],
)
def test_weights_that_do_not_fit_are_refused(key, value, tmp_path):
    data, y = cohort()
    model = DeepClassifier(**{**KIND, "max_epochs": 1}).fit(data, y)
    file = save_model(model, tmp_path / "m.fastmm")
    with safetensors.safe_open(file, framework="numpy") as opened:
        tree = json.loads(opened.metadata()["fastmm"])
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    tree["model"]["state"][key] = value
    header = json.dumps(tree)
    told = {"fastmm": header, "sha256": _checksum(header, arrays)}
    file.write_bytes(safetensors.numpy.save(arrays, metadata=told))
    with pytest.raises(ModelFileError):
        load_model(file)


class InterruptionError(Exception):
    pass


def interrupt(at):
    def progress(done, total):
        if done == at:
            raise InterruptionError

    return progress


@pytest.mark.parametrize("precision", ["float32", "mixed"])
@pytest.mark.parametrize("at", [1, 4])
def test_an_interrupted_run_ends_in_the_same_bits(at, precision, tmp_path):
    data, y = cohort()
    kind = {**KIND, "precision": precision}
    whole = DeepClassifier(**kind).fit(data, y)
    model = DeepClassifier(**kind, checkpoint=tmp_path)
    with pytest.raises(InterruptionError):
        model.fit(data, y, progress=interrupt(at))
    assert not hasattr(model, "weights_")
    seen = []
    model.fit(data, y, progress=lambda done, total: seen.append(done))
    assert seen[0] == at + 1
    same(model, whole)
    model.fit(data, y, progress=interrupt(1))  # ended: nothing is trained again
    same(model, whole)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_killed_process_loses_one_epoch_at_most(tmp_path):
    code = """
        import os, sys, numpy as np
        sys.path.insert(0, sys.argv[2])
        from fastmm import DeepClassifier
        from test_deep_files import KIND, cohort
        data, y = cohort()
        def progress(done, total):
            if done == 3:
                os.kill(os.getpid(), 9)
        DeepClassifier(**KIND, checkpoint=sys.argv[1]).fit(data, y, progress=progress)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(ROOT / "tests")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    data, y = cohort()
    seen = []
    model = DeepClassifier(**KIND, checkpoint=tmp_path)
    model.fit(data, y, progress=lambda done, total: seen.append(done))
    assert seen[0] == 4
    # The first epochs ran in another process, whose BLAS may take fewer threads.
    same(model, DeepClassifier(**KIND).fit(data, y), rounding=1e-5)


def test_other_data_or_settings_are_another_run(tmp_path):
    data, y = cohort()
    kind = {**KIND, "max_epochs": 2}

    def runs(rows=slice(None), weight=None, groups=None, **change):
        model = DeepClassifier(**{**kind, **change}, checkpoint=tmp_path)
        part = {name: array[rows] for name, array in data.items()}
        model.fit(part, y[rows], weight, groups)
        return len(list(tmp_path.iterdir()))

    assert runs() == runs() == 1
    assert runs(slice(4, None)) == 2  # as the folds of a cross-validation are
    assert runs(random_state=1) == 3
    assert runs(learning_rate=0.02) == 4
    assert runs(width=8) == 5
    assert runs(weight=np.arange(40) + 1.0) == 6
    assert runs(groups=np.arange(40) // 4) == 7
    data["case"][20, 0] += 1
    assert runs() == 8


@pytest.mark.parametrize("damage", ["byte", "cut", "pickle", "foreign"])
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    data, y = cohort()
    model = DeepClassifier(**{**KIND, "max_epochs": 2}, checkpoint=tmp_path).fit(data, y)
    (file,) = tmp_path.iterdir()
    whole = bytearray(file.read_bytes())
    if damage == "byte":
        whole[-5] ^= 4
    file.write_bytes(
        {
            "byte": bytes(whole),
            "cut": bytes(whole[:-7]),
            "pickle": b"\x80\x04K\x01.",
            "foreign": safetensors.numpy.save({"w": np.zeros(2)}),
        }[damage]
    )
    with pytest.raises(ModelFileError, match=r"is damaged or no checkpoint: .* start anew"):
        model.fit(data, y)
    file.unlink()
    model.fit(data, y)


def test_a_checkpoint_needs_a_seed(tmp_path):
    data, y = cohort()
    with pytest.raises(ValueError, match="`checkpoint` needs an int as `random_state`"):
        DeepClassifier(random_state=None, checkpoint=tmp_path).fit(data, y)
