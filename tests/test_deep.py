"""DeepClassifier: what it learns from images, channels, rows that lack a modality."""

from __future__ import annotations

import numpy as np
import pytest
from deep_cohorts import SMALL, cohort, lesions

from fastmm import DeepClassifier
from fastmm.blocks import Block
from fastmm.errors import DeviceMemoryError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def fitted():
    data, y = cohort()
    return DeepClassifier(**SMALL).fit(data, y, groups=np.arange(80) // 2), data, y


@pytest.mark.parametrize("encoder", ["residual", "plain"])
@pytest.mark.parametrize("shape", [(12, 12), (3, 9, 9)])
def test_learns_to_find_a_lesion_anywhere(shape, encoder):
    images, y = lesions(96, shape)
    model = DeepClassifier(**SMALL, encoder=encoder).fit(images, y)
    others, truth = lesions(100, shape, seed=7)
    assert model.score(others, truth) > 0.9
    assert model.shapes_ == {"X": (1, *shape)}
    assert not hasattr(model, "n_features_in_")
    scores = model.decision_function(others)
    assert scores.shape == (100,)
    assert scores.dtype == np.float32
    proba = model.predict_proba(others)
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-scores.astype(float))), atol=1e-6)
    np.testing.assert_array_equal(model.predict(others), (scores > 0).astype(int))


def test_channels_are_told_by_name_or_by_five_axes():
    images, y = lesions(40)
    both = np.stack([np.zeros_like(images), images], axis=1)
    kind = {**SMALL, "max_epochs": 2}
    model = DeepClassifier(**kind, channels=["mr"]).fit({"mr": both, "ct": both}, y)
    assert model.shapes_ == {"mr": (2, 12, 12), "ct": (1, 2, 12, 12)}
    model = DeepClassifier(**kind, channels=True).fit(both, y)
    assert model.shapes_ == {"X": (2, 12, 12)}
    assert model.scaling_["X"]["mean"].shape == (2,)
    assert model.scaling_["X"]["scale"][0] == 1  # a constant channel
    model = DeepClassifier(**kind).fit(both[:, :, None], y)
    assert model.shapes_ == {"X": (2, 1, 12, 12)}
    assert model.predict(both[:, :, None]).shape == (40,)


def test_three_classes_with_texts_as_labels():
    rng = np.random.default_rng(0)
    codes = np.arange(90) % 3
    X = rng.normal(size=(90, 2)) + 4 * np.eye(3)[codes][:, :2]
    y = np.array(["benign", "grade 1", "grade 2"])[codes]
    model = DeepClassifier(**SMALL).fit(X, y)
    assert model.decision_function(X).shape == (90, 3)
    assert model.predict_proba(X).dtype == np.float64
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) > 0.9


def test_rows_may_lack_a_modality(fitted):
    model, data, y = fitted
    assert model.score(data, y) > 0.85
    assert model.always_ == []
    scores = model.decision_function(data)
    assert np.isfinite(scores).all()
    # However it is told, and whatever else is there, a gap is a gap.
    alone = model.decision_function({"case": data["case"][:6]})
    np.testing.assert_allclose(alone, scores[:6], atol=1e-5)
    rows = [None if i < 6 else row for i, row in enumerate(data["ct"])]
    told = model.decision_function({"ct": rows, "case": data["case"]})
    np.testing.assert_array_equal(told, scores)
    block = Block(np.nan_to_num(data["ct"], nan=7.0), np.arange(80) >= 6)
    np.testing.assert_array_equal(
        model.decision_function({"ct": block, "case": data["case"]}), scores
    )


def test_a_gap_is_the_learned_vector(fitted):
    model, data, _ = fitted
    features = model.embed(data)
    assert features.shape == (80, 16)
    absent = model.weights_["absent"]
    np.testing.assert_allclose(features[:6, :8], np.tile(absent[0], (6, 1)))
    np.testing.assert_allclose(features[10:20, 8:], np.tile(absent[1], (10, 1)))
    assert np.abs(absent).max() > 0, "no gap was ever learned from"
    hidden = np.maximum(features @ model.weights_["hidden.weight"].T, -np.inf)
    hidden = np.maximum(hidden + model.weights_["hidden.bias"], 0)
    logits = hidden @ model.weights_["last.weight"].T + model.weights_["last.bias"]
    np.testing.assert_allclose(
        model.decision_function(data), logits[:, 1] - logits[:, 0], atol=1e-4
    )


def test_gaps_that_were_never_seen_are_refused():
    images, y = lesions(40)
    data = {"ct": images, "case": np.ones((40, 1), "f4") * y[:, None]}
    model = DeepClassifier(**{**SMALL, "max_epochs": 2}, modality_dropout=0).fit(data, y)
    assert model.always_ == ["ct", "case"]
    with pytest.raises(ValueError, match=r"Row 0 lacks 'case', which every training row had"):
        model.predict({"ct": images})


def test_predictions_do_not_depend_on_other_rows(fitted):
    model, data, _ = fitted
    scores = model.decision_function(data)
    for rows in ([7], [30, 3], np.arange(40, 75)):
        part = {name: array[rows] for name, array in data.items()}
        np.testing.assert_allclose(model.decision_function(part), scores[rows], atol=1e-5)


def test_a_gpu_out_of_memory_gets_row_by_row_and_then_says_so(fitted, monkeypatch):
    from fastmm.deep import runs

    model, data, _ = fitted
    expected, asked, apply = model.decision_function(data), [], runs._apply

    def scarce(model, inputs, device, count, **kind):
        asked.append(count)
        if count > least:
            raise torch.cuda.OutOfMemoryError
        return apply(model, inputs, device, count, **kind)

    monkeypatch.setattr(runs, "_apply", scarce)
    least = 1
    np.testing.assert_allclose(model.decision_function(data), expected, atol=1e-5)
    assert asked == [256, 1]
    least = 0
    with pytest.raises(DeviceMemoryError, match="out of memory; lower `batch_size`"):
        model.decision_function(data)


def test_new_rows_that_do_not_fit(fitted):
    model, data, _ = fitted
    with pytest.raises(ValueError, match=r"`X` must have ct, case, got 'pet'"):
        model.predict({"pet": data["ct"]})
    with pytest.raises(ValueError, match=r"rows of shape \(1, 12, 12\)"):
        model.predict({"ct": data["ct"][40:, :8]})
    with pytest.raises(TypeError, match="must be a dict with ct, case"):
        model.predict(data["ct"])
    with pytest.raises(ValueError, match="at least 2 classes, got only one class, 1"):
        DeepClassifier().fit(data, np.ones(80, int))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        DeepClassifier().fit(data, np.ones(8, int))


def test_an_nvidia_gpu_agrees_with_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("torch has no GPU")
    data, y = cohort()
    model = DeepClassifier(**{**SMALL, "max_epochs": 3}, device="cpu").fit(data, y)
    here = model.decision_function(data)
    there = model.set_params(device="cuda").decision_function(data)
    np.testing.assert_allclose(there, here, atol=1e-4)
    trained = DeepClassifier(**SMALL, device="cuda").fit(data, y)
    again = DeepClassifier(**SMALL, device="cuda").fit(data, y)
    assert trained.score(data, y) > 0.85
    for name, array in trained.weights_.items():
        np.testing.assert_array_equal(again.weights_[name], array)


def test_quality_on_chest_radiographs(real_data):
    stored = np.load(real_data / "pneumoniamnist" / "pneumoniamnist.npz")
    images, y = stored["train_images"][:600], stored["train_labels"][:600].ravel()
    new, truth = stored["val_images"], stored["val_labels"].ravel()
    model = DeepClassifier(width=4, n_features=16, max_epochs=5, learning_rate=0.01)
    scores = model.fit(images, y).decision_function(new)
    pairs = scores[truth == 1][:, None] - scores[truth == 0][None, :]
    assert (pairs > 0).mean() > 0.9
