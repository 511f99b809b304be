"""The network as a solver of the multimodal classifier."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from fastmm import (
    DeepClassifier,
    ImageModality,
    MultimodalClassifier,
    TableModality,
    load_model,
    save_model,
)
from fastmm.blocks import Block
from fastmm.explanation import contributions, integrated_gradients
from fastmm.findings.networks import validate_network
from fastmm.fusion import deep_fusion
from fastmm.fusion.deep_fusion import epochs_for
from fastmm.fusion.novelty import leverage
from fastmm.validate.dealing import deal_rows

pytest.importorskip("torch", reason="the network needs PyTorch")


def test_a_network_learns_from_images_and_tables_with_missing_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(deep_fusion, "_MOST", 25)
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    images = [rng.normal(size=(2, 8, 8)).astype("float32") for _ in y]
    for own, ill in zip(images, y, strict=True):
        own[:, 2:6, 2:6] += 2.5 * ill
    data = {
        "ct": [None if i == 4 else own for i, own in enumerate(images)],
        "case": {"age": [str(50 + i % 7) for i in range(24)], "sex": ["f", "m", "m"] * 8},
    }
    modalities = {"ct": ImageModality(shape=(8, 8), features="pixels"), "case": TableModality()}
    model = MultimodalClassifier(modalities, solver="deep")
    model.fit(data, y, groups=np.arange(24) // 2)
    score = model.decision_function(data)
    assert ((score > 0) == y).mean() > 0.85
    assert ((model.cv_decision_ > 0) == y).mean() > 0.6
    np.testing.assert_allclose(model.predict_proba(data).sum(axis=1), 1)
    assert np.isnan(leverage(model, data)).all()
    with pytest.raises(ValueError, match='another `solver` than "deep"'):
        contributions(model, data)
    path = integrated_gradients(model, data)
    parts = sum(own.sum(axis=-1) for own in path.parts.values())
    np.testing.assert_allclose(parts + path.baseline + path.error, score, atol=1e-4)
    assert abs(path.error).max() < 0.05 * np.ptp(score)  # it has kinks
    np.testing.assert_array_equal(path.parts["ct"][4], 0)
    lesion = path.parts["ct"].reshape(24, 8, 8)[y == 1]
    assert abs(lesion[:, 2:6, 2:6]).mean() > 2 * abs(lesion[:, [0, 1, 6, 7]]).mean()
    loaded = load_model(save_model(model, tmp_path / "m.fastmm"))
    np.testing.assert_allclose(loaded.decision_function(data), score)
    with pytest.raises(ValueError, match='leave `fusion` at "stack", or "late"'):
        MultimodalClassifier(modalities, solver="deep", fusion="kernel").fit(data, y)


def tables(n=40, seed=0):
    """Two tables that tell, of which some rows lack one; patients of two rows."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) // 2 % 2
    blocks = {}
    for name, shift in {"a": 2.0, "b": 1.0}.items():
        values = (rng.normal(size=(n, 3)) + shift * y[:, None]).astype("float32")
        blocks[name] = Block(values, np.ones(n, bool))
    blocks["b"] = Block(blocks["b"].values, np.arange(n) % 7 != 3)
    return blocks, y, np.arange(n) // 2


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(deep_fusion, "_MOST", 5)


TWO = {"a": ImageModality(features="statistics"), "b": ImageModality(features="statistics")}


def test_scores_out_of_fold_are_those_of_networks_without_the_patient(short):
    blocks, y, groups = tables()
    model = MultimodalClassifier({"a": TWO["a"]}, solver="deep")
    model.fit({"a": blocks["a"]}, y, groups=groups)
    fold = deal_rows(y, groups, 5)
    for each in (0, 3):
        train, test = fold != each, fold == each
        assert not set(groups[train]) & set(groups[test])
        network = DeepClassifier(
            class_weight="balanced", validation_fraction=0, max_epochs=5, table_encoder="linear"
        )
        network.fit({"a": blocks["a"].values[train]}, y[train])
        alone = network.decision_function({"a": blocks["a"].values[test]})
        np.testing.assert_allclose(model.cv_decision_[test], alone, atol=1e-4)


def test_late_fusion_takes_the_networks_that_are_there(short, monkeypatch):
    blocks, y, groups = tables()
    blocks["b"] = Block(blocks["b"].values, np.ones(40, bool))  # else class weights differ
    told = []
    fresh = MultimodalClassifier(TWO, solver="deep", fusion="late")
    fresh.fit(blocks, y, groups=groups, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    singles = {}
    for name, own in TWO.items():
        here = blocks[name].present
        singles[name] = MultimodalClassifier({name: own}, solver="deep").fit(
            {name: blocks[name].take(here)}, y[here], groups=groups[here]
        )
    monkeypatch.setattr(deep_fusion.DeepFusion, "fit", None)
    taken = MultimodalClassifier(TWO, solver="deep", fusion="late")
    taken.fit(blocks, y, groups=groups, members=singles)
    np.testing.assert_array_equal(taken.cv_decision_, fresh.cv_decision_)
    np.testing.assert_array_equal(taken.decision_function(blocks), fresh.decision_function(blocks))
    assert roc_auc_score(y, taken.cv_decision_) > 0.8
    parts = taken.contributions(blocks)
    np.testing.assert_allclose(sum(parts.values()), taken.decision_function(blocks), atol=1e-6)
    path = integrated_gradients(taken, blocks, nodes=32)
    sums = sum(own.sum(axis=-1) for own in path.parts.values()) + path.baseline
    np.testing.assert_allclose(sums + path.error, taken.decision_function(blocks), atol=1e-4)
    assert abs(path.error).max() < 1e-4  # without two layers, a sum


def test_validation_of_a_network_calibrates_by_other_folds(short):
    blocks, y, groups = tables()
    model = MultimodalClassifier(TWO, solver="deep")
    held_out, fitted = validate_network(model, blocks, y, groups)
    assert fitted is model
    assert held_out.folds == 5
    np.testing.assert_allclose(held_out.decision, model.cv_decision_, atol=1e-9)
    np.testing.assert_array_equal(held_out.prediction, (held_out.decision > 0).astype(int))
    fold = deal_rows(y, groups, 5)
    for each in range(5):
        test = fold == each
        by_hand = LogisticRegression(C=100, tol=1e-10).fit(held_out.decision[~test, None], y[~test])
        expected = by_hand.predict_proba(held_out.decision[test, None])
        np.testing.assert_allclose(held_out.probability[test], expected, atol=1e-3)


@pytest.mark.parametrize("n_folds", [2, 5])
def test_folds_hold_whole_patients_and_every_class(n_folds):
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 30, 90)
    codes = (groups % 3 == 0).astype(int)
    fold = deal_rows(codes, groups, n_folds)
    for one in range(n_folds):
        assert not set(groups[fold == one]) & set(groups[fold != one])
    for code in (0, 1):
        own = [len(set(groups[(fold == f) & (codes == code)])) for f in range(n_folds)]
        assert max(own) - min(own) <= 1
    assert deal_rows(np.array([0, 1, 1]), None, 5).tolist() == [0, 1, 2] or n_folds == 2


def test_too_few_patients_of_a_class_are_told():
    blocks, _, groups = tables()
    y = (groups == 3).astype(int)
    with pytest.raises(ValueError, match="Each class must keep a patient"):
        MultimodalClassifier({"a": TWO["a"]}, solver="deep").fit(
            {"a": blocks["a"]}, y, groups=groups
        )


def test_epochs_fall_with_the_rows():
    assert [epochs_for(n) for n in (20, 200, 10_000)] == [60, 30, 10]
