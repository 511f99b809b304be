"""How DeepClassifier trains: held-out rows, early stopping, weights, seeds, failures."""

from __future__ import annotations

import numpy as np
import pytest
from deep_cohorts import SMALL, cohort, lesions
from sklearn.base import clone

from fastmm import DeepClassifier

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


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


def test_training_that_diverges_says_so(monkeypatch):
    from fastmm.deep import training

    monkeypatch.setattr(training, "schedule", lambda step, steps: 1e30)
    images, y = lesions(40)
    with pytest.raises(ValueError, match="Training diverged in epoch 1; lower `learning_rate`"):
        DeepClassifier(**SMALL).fit(images, y)
