"""Model files: what was saved comes back; what is damaged or hostile is refused."""

import json
import pickle

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from sklearn.kernel_ridge import KernelRidge

from fastmm import LSSVC, LSSVCCV, Ridge, RidgeCV, load_model, save_model
from fastmm.errors import FastmmError, ModelFileError
from fastmm.model_file import _checksum, load_notes


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6))
    return X, X @ rng.normal(size=6) + rng.normal(size=40)


@pytest.mark.parametrize("model", [Ridge(), RidgeCV(alphas=(0.1, 10.0))])
def test_regressors_come_back(model, data, tmp_path):
    X, y = data
    model.fit(X, y)
    loaded = load_model(save_model(model, tmp_path / "m.fastmm"))
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.get_params() == model.get_params()


@pytest.mark.parametrize("model", [LSSVC(), LSSVCCV(Cs=(0.1, 10.0), kernel="linear")])
@pytest.mark.parametrize("labels", [["sick", "well"], [False, True], [3, 7]])
def test_classifiers_come_back_with_their_labels(model, labels, data, tmp_path):
    X, y = data
    y = np.where(y > 0, labels[1], labels[0])
    model.fit(X, y)
    loaded = load_model(save_model(model, tmp_path / "m.fastmm"))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict(X).dtype == model.predict(X).dtype


def test_notes_come_back_and_out_of_fold_predictions_stay_out(data, tmp_path):
    X, y = data
    model = RidgeCV().fit(X, y)
    assert model.cv_predictions_.shape == (40,)
    file = save_model(model, tmp_path / "m.fastmm", notes={"columns": ["a"]})
    assert load_notes(file) == {"columns": ["a"]}
    assert not hasattr(load_model(file), "cv_predictions_")


def test_nothing_is_pickled(data, tmp_path):
    file = save_model(Ridge().fit(*data), tmp_path / "m.fastmm")
    header = file.read_bytes()
    size = int.from_bytes(header[:8], "little")
    assert json.loads(header[8 : 8 + size])["__metadata__"]["fastmm"]
    assert list(tmp_path.iterdir()) == [file]


def test_each_changed_byte_is_noticed(data, tmp_path):
    file = save_model(Ridge().fit(*data), tmp_path / "m.fastmm")
    whole = file.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.choice(len(whole), 200, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        try:
            loaded = load_model(file)
        except FastmmError:
            continue
        # Bytes that carry nothing, such as the order of JSON keys' blanks, may change.
        np.testing.assert_array_equal(loaded.coef_, Ridge().fit(*data).coef_)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, -1])
def test_cut_files_are_refused(size, data, tmp_path):
    file = save_model(Ridge().fit(*data), tmp_path / "m.fastmm")
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ModelFileError, match="damaged or no model file"):
        load_model(file)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    file = tmp_path / "m.fastmm"
    file.write_bytes(pickle.dumps(KernelRidge()))
    with pytest.raises(ModelFileError):
        load_model(file)


def _forged(tmp_path, tree, arrays):
    header = tree if isinstance(tree, str) else json.dumps(tree)
    told = {"fastmm": header, "sha256": _checksum(header, arrays)}
    file = tmp_path / "forged.fastmm"
    file.write_bytes(safetensors.numpy.save(arrays, metadata=told))
    return file


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        ({"format": 99, "model": None, "notes": {}}, "format version 99"),
        (
            {"format": 2, "model": {"object": "Popen", "state": {}}, "notes": {}},
            "class 'Popen' is not allowed",
        ),
        (
            {"format": 2, "model": {"object": "Ridge", "state": {"__class__": 1}}, "notes": {}},
            "attribute '__class__' is not allowed",
        ),
        (
            {"format": 2, "model": {"object": "Ridge", "state": {"predict": 1}}, "notes": {}},
            "attribute 'predict' is not allowed",
        ),
        (
            {"format": 2, "model": {"texts": ["x" * 10_000, *["y"] * 10_000]}, "notes": {}},
            "10001 texts of up to 10000 letters are too many",
        ),
        ({"format": 2, "model": {"texts": ["x", 1]}, "notes": {}}, "list of texts holds something"),
        (
            {"format": 2, "model": {"object": "Ridge", "state": {}}, "notes": []},
            "its notes are no table",
        ),
        ('{"format": 2, "model": NaN, "notes": {}}', "it holds the number NaN"),
        ('{"format": 2, "model": ' + "[" * 5000, "describes no model"),
        ("{", "describes no model"),
        ({"format": 2, "model": {"array": "absent"}, "notes": {}}, "describes no model"),
        ([], "describes no model"),
        ({"format": 2, "model": 3, "notes": {}}, "describes no model"),
    ],
)
def test_forged_trees_are_refused(tree, match, tmp_path):
    with pytest.raises(ModelFileError, match=match):
        load_model(_forged(tmp_path, tree, {}))


def test_weights_of_nan_are_refused(tmp_path):
    tree = {"format": 2, "model": {"array": "w"}, "notes": {}}
    with pytest.raises(ModelFileError, match="NaN or infinity in w"):
        load_model(_forged(tmp_path, tree, {"w": np.array([1.0, np.nan])}))


def test_huge_shape_is_refused_before_allocating(tmp_path):
    header = b'{"w":{"dtype":"F64","shape":[1099511627776],"data_offsets":[0,8796093022208]}}'
    file = tmp_path / "m.fastmm"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelFileError):
        load_model(file)


def test_missing_file_and_foreign_model(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none")
    with pytest.raises(TypeError, match="cannot go into a model file"):
        save_model(KernelRidge(), tmp_path / "m.fastmm")
    with pytest.raises(TypeError, match=r"`model\.kernel`"):
        save_model(LSSVC(kernel=lambda X, Y=None: X @ X.T), tmp_path / "m.fastmm")
    assert list(tmp_path.iterdir()) == []
