"""Nystrom features in model files: they come back, and forged ones are refused."""

from __future__ import annotations

import json
import os
import random
import sys

import numpy as np
import pytest
import safetensors.numpy
from sklearn.exceptions import NotFittedError
from test_model_mutations import damaged, forged

from fastmm import NystromFeatures, load_model, save_model
from fastmm.errors import ModelFileError
from fastmm.model_file import _checksum

COUNT = int(os.environ.get("FASTMM_MODEL_MUTATIONS", "200"))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 6))
IMAGES = RNG.normal(size=(20, 5, 4))


def features(kernel="rbf", rows=X, **options):
    return NystromFeatures(kernel, n_components=7, **options).fit(rows)


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (X, {}),
        (X.astype(np.float32), {"gamma": 0.2}),
        (X, {"kernel": "poly", "degree": 2, "coef0": 0.5}),
        (X, {"kernel": "laplacian"}),
        (X, {"kernel": "arccos", "kernel_params": {"depth": 2}}),
        (IMAGES, {"kernel": "patch", "kernel_params": {"patch_size": (2, 3)}}),
        (IMAGES, {"kernel": "convolutional", "kernel_params": {"depth": 1}}),
    ],
)
def test_features_come_back(rows, options, tmp_path):
    made = features(rows=rows, **options)
    loaded = load_model(save_model(made, tmp_path / "f.fastmm"))
    assert type(loaded) is NystromFeatures
    np.testing.assert_array_equal(loaded.transform(rows), made.transform(rows))
    np.testing.assert_array_equal(loaded.component_indices_, made.component_indices_)
    assert loaded.get_params() == made.get_params()


def test_a_function_of_ones_own_goes_into_no_file(tmp_path):
    made = features(lambda a, b: a @ b.T)
    with pytest.raises(TypeError, match=r"`model\.kernel` of type function"):
        save_model(made, tmp_path / "f.fastmm")


def rewritten(path, change):
    """Change the state and the arrays of a file, and give it the checksum of that."""
    data = path.read_bytes()
    arrays = safetensors.numpy.load(data)
    size = int.from_bytes(data[:8], "little")
    tree = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["fastmm"])
    change(tree["model"]["state"], arrays)
    header = json.dumps(tree)
    told = {"fastmm": header, "sha256": _checksum(header, arrays)}
    path.write_bytes(safetensors.numpy.save(arrays, metadata=told))
    return path


UPPER, CENTRES, NUMBERS = "model.upper_", "model.components_", "model.component_indices_"


@pytest.mark.parametrize(
    "change",
    [
        lambda state, arrays: arrays.update({UPPER: arrays[UPPER][:3]}),
        lambda state, arrays: arrays.update({UPPER: arrays[UPPER].T.copy()}),
        lambda state, arrays: arrays.update({UPPER: np.zeros_like(arrays[UPPER])}),
        lambda state, arrays: arrays.update({UPPER: np.eye(7, dtype=np.int64)}),
        lambda state, arrays: arrays.update({CENTRES: arrays[CENTRES][:, :2].copy()}),
        lambda state, arrays: arrays.update({NUMBERS: arrays[NUMBERS][:2]}),
        lambda state, arrays: state.update(kernel="precomputed"),
        lambda state, arrays: state.update(kernel="patch"),
        lambda state, arrays: state.update(kernel=["rbf"]),
        lambda state, arrays: state.update(gamma_="scale"),
        lambda state, arrays: state.update(gamma_=-1.0),
        lambda state, arrays: state.update(image_shape_={"tuple": [2, 3]}),
        lambda state, arrays: state.update(kernel_params={"dict": [["depth", 2]]}),
        lambda state, arrays: state.update(n_features_in_=5),
        lambda state, arrays: state.pop("upper_"),
        lambda state, arrays: state.pop("gamma_"),
        lambda state, arrays: state.pop("components_"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, tmp_path):
    file = rewritten(save_model(features(), tmp_path / "f.fastmm"), change)
    with pytest.raises(ModelFileError):
        load_model(file)


def test_mutated_files_give_features_or_say_that_they_are_damaged(tmp_path):
    rng, path = random.Random(0), tmp_path / "f.fastmm"
    options = {"kernel": "patch", "kernel_params": {"patch_size": (2, 3)}}
    whole = [save_model(features(), path).read_bytes()]
    whole.append(save_model(features(rows=IMAGES, **options), path).read_bytes())
    read = 0
    for number in range(COUNT):
        data = rng.choice(whole)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(20_000)  # to write what is nested deeply; it is read as usual
        data = forged(rng, data) if number % 2 else damaged(rng, data, whole)
        sys.setrecursionlimit(limit)
        path.write_bytes(data)
        try:
            loaded = load_model(path)
        except ModelFileError:
            continue
        read += 1
        if not isinstance(loaded, NystromFeatures):
            continue
        for rows in (X[:3], IMAGES[:3]):
            try:
                with np.errstate(all="ignore"):
                    loaded.transform(rows)
            except (ValueError, TypeError, NotFittedError):
                pass
    assert 0 < read < COUNT
