"""DeepClassifier: what it learns, what it refuses, and that it repeats itself to the bit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from harness import run_python
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import DeepClassifier
from fastmm.blocks import Block
from fastmm.errors import DeviceMemoryError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

SMALL = {"width": 4, "n_features": 8, "batch_size": 16, "max_epochs": 12, "learning_rate": 0.01}


def lesions(n=80, shape=(12, 12), seed=0):
    """Noise, with a bright square or cube somewhere in the rows of class 1."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    images = rng.normal(size=(n, *shape)).astype("float32")
    for row in np.flatnonzero(y):
        corner = [rng.integers(0, max(size - 3, 1)) for size in shape]
        images[(row, *(slice(c, c + 4) for c in corner))] += 3
    return images, y


def cohort(n=80, seed=0):
    """Two modalities that tell, of which some rows lack one."""
    images, y = lesions(n, seed=seed)
    rng = np.random.default_rng(seed + 1)
    table = (rng.normal(size=(n, 3)) + 2 * y[:, None]).astype("float32")
    data = {"ct": images, "case": table}
    data["ct"][:6] = np.nan
    data["case"][10:20] = np.nan
    return data, y


@pytest.fixture(scope="module")
def fitted():
    data, y = cohort()
    return DeepClassifier(**SMALL).fit(data, y, groups=np.arange(80) // 2), data, y


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


def test_held_out_rows_are_whole_patients_of_each_class():
    images, _ = lesions(60)
    groups = np.arange(60) // 3
    y = np.array(["no", "yes"])[(groups % 4 == 0).astype(int)]
    model = DeepClassifier(**{**SMALL, "max_epochs": 2}, validation_fraction=0.25)
    model.fit(images, y, groups=groups)
    held = model.held_out_rows_
    assert set(held) == set(np.flatnonzero(np.isin(groups, groups[held])))
    assert len(held) == 15
    assert (y[held] == "yes").sum() == 3
    assert len(model.history_["held_out_loss"]) == 2


def test_stops_when_nothing_is_gained_and_keeps_the_best_weights():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 20)), np.arange(80) % 2  # nothing to be learned
    model = DeepClassifier(**{**SMALL, "max_epochs": 200}, patience=3).fit(X, y)
    losses = model.history_["held_out_loss"]
    assert model.n_epochs_ == len(losses) == model.best_epoch_ + 3 < 200
    assert losses[model.best_epoch_ - 1] == min(losses)
    held = model.held_out_rows_
    proba = model.predict_proba(X[held])[np.arange(len(held)), y[held]]
    np.testing.assert_allclose(-np.log(proba).mean(), min(losses), atol=1e-5)


def test_without_early_stopping_all_rows_are_trained_on():
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 2
    model = DeepClassifier(**SMALL, validation_fraction=0).fit(X, y)
    assert model.held_out_rows_.size == 0
    assert model.n_epochs_ == model.best_epoch_ == 12
    assert model.history_["held_out_loss"] == []
    np.testing.assert_allclose(model.scaling_["X"]["mean"], X.mean(0), atol=1e-12)
    np.testing.assert_allclose(model.scaling_["X"]["scale"], X.std(0), atol=1e-12)


def test_scales_are_of_training_rows_alone():
    data, y = cohort()
    data["case"] = data["case"].astype("float64") * 3 + 1e4
    model = DeepClassifier(**{**SMALL, "max_epochs": 1}).fit(data, y)
    for name, axes in (("ct", (0, 1, 2)), ("case", 0)):
        trained = np.delete(np.arange(80), model.held_out_rows_)
        there = data[name][trained].astype("float64")
        mean, scale = np.nanmean(there, axes), np.nanstd(there, axes)
        np.testing.assert_allclose(model.scaling_[name]["mean"], np.atleast_1d(mean), rtol=1e-9)
        np.testing.assert_allclose(model.scaling_[name]["scale"], np.atleast_1d(scale), rtol=1e-9)


def test_class_weights_move_the_border():
    rng = np.random.default_rng(3)
    y = (np.arange(200) % 10 == 0).astype(int)
    X = rng.normal(size=(200, 1)) + y[:, None]
    shares = [
        DeepClassifier(**SMALL, class_weight=weight).fit(X, y).predict(X).mean()
        for weight in (None, "balanced", {1: 100.0})
    ]
    assert shares[0] < 0.1 < shares[1] < 0.6 < shares[2]


def test_rows_of_weight_zero_are_left_out():
    images, y = lesions(60)
    weight = (np.arange(60) < 44).astype(float)
    kind = {**SMALL, "max_epochs": 3}
    with_zeros = DeepClassifier(**kind).fit(images, y, weight)
    without = DeepClassifier(**kind).fit(images[:44], y[:44])
    for name, array in without.weights_.items():
        np.testing.assert_array_equal(with_zeros.weights_[name], array)


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_the_same_seed_gives_the_same_bits(precision):
    data, y = cohort()
    kind = {**SMALL, "max_epochs": 3, "precision": precision, "flip": True}
    state = torch.random.get_rng_state()
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    first = DeepClassifier(**kind, random_state=5).fit(data, y)
    torch.manual_seed(123)
    second = DeepClassifier(**kind, random_state=5).fit(data, y)
    other = DeepClassifier(**kind, random_state=6).fit(data, y)
    for name, array in first.weights_.items():
        np.testing.assert_array_equal(second.weights_[name], array)
        assert array.dtype == np.float32
    assert first.history_ == second.history_ != other.history_
    torch.random.set_rng_state(state)
    clone(first).fit(data, y).predict(data)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, grad)


def test_no_seed_draws_one():
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 2
    kind = {**SMALL, "max_epochs": 1}
    seeds = {DeepClassifier(**kind, random_state=None).fit(X, y).seed_ for _ in range(3)}
    assert len(seeds) > 1
    again = DeepClassifier(**kind, random_state=np.random.RandomState(3)).fit(X, y)
    twice = DeepClassifier(**kind, random_state=np.random.RandomState(3)).fit(X, y)
    assert again.seed_ == twice.seed_


def test_a_refit_that_fails_leaves_the_model_as_it_was():
    images, y = lesions(40)
    model = DeepClassifier(**{**SMALL, "max_epochs": 2}).fit(images, y)
    scores = model.decision_function(images)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(images[:, :8], np.array(["a", "b", "c", "d"])[np.arange(40) % 4], progress=stop)
    np.testing.assert_array_equal(model.decision_function(images), scores)
    assert model.classes_.tolist() == [0, 1]


def test_progress_counts_epochs():
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 2
    seen = []
    kind = {**SMALL, "max_epochs": 3}
    DeepClassifier(**kind).fit(X, y, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


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


def test_training_that_diverges_says_so(monkeypatch):
    from fastmm.deep import training

    monkeypatch.setattr(training, "schedule", lambda step, steps: 1e30)
    images, y = lesions(40)
    with pytest.raises(ValueError, match="Training diverged in epoch 1; lower `learning_rate`"):
        DeepClassifier(**SMALL).fit(images, y)


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
