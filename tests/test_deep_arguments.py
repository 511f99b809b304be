"""What DeepClassifier refuses, and what scikit-learn asks of it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from deep_cohorts import lesions
from harness import run_python
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import DeepClassifier
from fastmm.blocks import Block

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
# A row of weight 2 is drawn once with twice the gradient, the same row twice is drawn twice.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "steps are not those of repeated rows",
}


@parametrize_with_checks(
    [DeepClassifier(max_epochs=10, batch_size=16, n_features=16, learning_rate=0.03)],
    expected_failed_checks=lambda _: EXPECTED,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"encoder": "vit"}, ValueError, "`encoder` must be one of"),
        ({"width": 0}, ValueError, "`width` must be a positive integer, got 0"),
        ({"max_epochs": 0}, ValueError, "`max_epochs` must be a positive"),
        ({"learning_rate": 0.0}, ValueError, "`learning_rate` must be a finite number greater"),
        ({"learning_rate": 2.0}, ValueError, "`learning_rate` must be at most 1"),
        ({"dropout": 1.0}, ValueError, "`dropout` must be below 1"),
        ({"validation_fraction": -0.1}, ValueError, "`validation_fraction` must be"),
        ({"shift": "far"}, TypeError, "`shift` must be a finite number"),
        ({"flip": 1}, TypeError, "`flip` must be True or False"),
        ({"channels": "ct"}, TypeError, "`channels` must be a bool or names"),
        ({"precision": "float16"}, ValueError, "`precision` must be one of"),
        ({"device": "tpu"}, ValueError, "`device` must be one of"),
        ({"class_weight": "even"}, ValueError, "`class_weight` must be"),
        ({"random_state": -1}, ValueError, "`random_state` must be"),
    ],
)
def test_parameters_that_cannot_be(change, error, message):
    images, y = lesions(20)
    with pytest.raises(error, match=message):
        DeepClassifier(**change).fit(images, y)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({}, ValueError, "at least one modality"),
        ({"ct": np.ones((4, 8, 8)), "t": np.ones((5, 2))}, ValueError, "one number of rows"),
        ({"ct": np.ones(4)}, ValueError, r"`X\['ct'\]` must have shape"),
        ({"ct": np.ones((4, 0, 8))}, ValueError, "no axis of size 0"),
        ({"ct": np.full((4, 8, 8), np.nan)}, ValueError, "row 0 has none .4 such rows"),
        ({"ct": np.full((4, 8, 8), np.inf)}, ValueError, r"64 of 64 values of row 0, .* \(0, 0, 0"),
        ({3: np.ones((4, 8))}, TypeError, "must name its modalities by strings"),
        ({"ct": [None] * 4}, ValueError, "rows of one shape, got none"),
        ({"ct": [None, np.ones((2, 2)), np.ones(3)]}, ValueError, "got 2 different shapes"),
        ({"ct": np.ones((4, 8, 8), complex)}, ValueError, "Complex data not supported"),
        ({"ct": Block({}, np.ones(4))}, TypeError, "a table that is not encoded"),
    ],
)
def test_data_that_cannot_be(data, error, message):
    with pytest.raises(error, match=message):
        DeepClassifier().fit(data, [0, 1, 0, 1])


def test_a_gap_in_a_row_is_no_missing_modality():
    images, y = lesions(20)
    images[3, 2, 5] = np.nan
    with pytest.raises(ValueError, match=r"1 of 144 values of row 3, .* index \(3, 0, 2, 5\)"):
        DeepClassifier().fit(images, y)


def test_cuda_where_there_is_none():
    if torch.cuda.is_available():
        pytest.skip("torch has a GPU")
    with pytest.raises(ValueError, match=r"`device=\"cuda\"` needs a GPU"):
        DeepClassifier(device="cuda").fit(np.ones((4, 2)), [0, 1, 0, 1])


def test_without_torch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'pip install "fastmm\[deep\]"'):
        DeepClassifier().fit(np.ones((4, 2)), [0, 1, 0, 1])


def test_torch_is_imported_only_to_fit():
    code = "import fastmm, sys; fastmm.DeepClassifier(); print('torch' in sys.modules)"
    assert run_python(code).split() == ["False"]
