"""Twins are found, strangers are flagged, sets of labels hold the label."""

import csv

import numpy as np
import pytest
from explained_cohorts import MODALITIES, cohort
from sklearn.metrics.pairwise import rbf_kernel

from fastmm import (
    ImageModality,
    MultimodalClassifier,
    MultimodalRegressor,
    load_model,
    save_model,
)
from fastmm.blocks import Block
from fastmm.explain.similarity import similar_cases
from fastmm.explanation import contributions, feature_contributions
from fastmm.fusion.novelty import leverage
from fastmm.prediction.explanation import explain_predictions


@pytest.mark.parametrize(("solver", "fusion"), [
    ("lssvm", "stack"), ("lssvm", "kernel"), ("svm", "kernel"), ("svm", "stack"), ("lssvm", "late"),
])  # fmt: skip
def test_the_most_similar_case_of_a_training_row_is_itself(solver, fusion, tmp_path):
    data, y = cohort()
    labels = np.array(["well", "ill"])[y]
    model = MultimodalClassifier(MODALITIES, solver=solver, fusion=fusion).fit(data, labels)
    model = load_model(save_model(model, tmp_path / "m.fastmm"))
    name = "ct" if fusion == "late" else None
    found = similar_cases(model, data, 4, modality=name)
    assert found.rows.shape == found.labels.shape == (48, 4)
    there = np.arange(48) % 7 != 5 if fusion == "late" else np.ones(48, bool)
    np.testing.assert_array_equal(found.rows[~there], -1)
    own = there & np.isin(np.arange(48), found.rows[:, 0])  # of "svm": support vectors
    assert own.sum() > 20
    np.testing.assert_array_equal(found.rows[own, 0], np.arange(48)[own])
    np.testing.assert_allclose(found.similarity[own, 0], 1, atol=1e-5)
    assert (np.diff(found.similarity[there], axis=1) <= 0).all()
    np.testing.assert_array_equal(found.labels[there], labels[found.rows[there]])
    assert similar_cases(model, data, 400, modality=name).rows.shape[1] <= 48


def test_similar_cases_of_slices_are_examinations():
    rng = np.random.default_rng(2)
    y = np.arange(20) % 2
    counts = rng.integers(1, 4, 20)
    values = (rng.normal(size=(counts.sum(), 3)) + np.repeat(y, counts)[:, None]).astype("float32")
    data = {"ct": Block(values, np.ones(20, bool), counts)}
    modality = {"ct": ImageModality(pool="rows")}
    model = MultimodalClassifier(modality, solver="lssvm").fit(data, y)
    found = similar_cases(model, data, 2)
    kernel = rbf_kernel(
        model.fusion_.transform({"ct": Block(values, np.ones(len(values), bool))}),
        gamma=model.solver_.gamma_,
    )
    owner = np.repeat(np.arange(20), counts)
    means = [[kernel[np.ix_(owner == i, owner == j)].mean() for j in range(20)] for i in range(20)]
    np.testing.assert_array_equal(found.rows[:, 0], np.argmax(means, axis=1))
    np.testing.assert_allclose(found.similarity[:, 0], np.max(means, axis=1), atol=1e-5)


CHECKED = [
    ("ridge", "stack"), ("linear", "stack"), ("lssvm", "stack"), ("lssvm", "kernel"),
    ("ridge", "late"),
]  # fmt: skip


@pytest.mark.parametrize(("solver", "fusion"), CHECKED)
def test_strangers_are_flagged_and_new_patients_of_the_kind_mostly_not(solver, fusion, tmp_path):
    rng = np.random.default_rng(9)
    y = np.arange(120) % 2
    values = (rng.normal(size=(120, 8)) + y[:, None]).astype("float32")
    values[:, 5:] = values[:, :3] + 0.1 * values[:, 5:]  # some columns go together
    modality = {"ct": ImageModality()}
    model = MultimodalClassifier(modality, solver=solver, fusion=fusion)
    model.fit({"ct": Block(values[:90], np.ones(90, bool))}, y[:90])
    new = values[90:].copy()
    ordinary = leverage(model, {"ct": Block(new, np.ones(30, bool))})
    assert (ordinary > 1).mean() < 0.2
    far = new + 8
    assert (leverage(model, {"ct": Block(far, np.ones(30, bool))}) > 1).all()
    new[:, 5] += 3  # within the range of each column, but together as never before
    assert (leverage(model, {"ct": Block(new, np.ones(30, bool))}) > 1).mean() > 0.6
    loaded = load_model(save_model(model, tmp_path / "m.fastmm"))
    block = {"ct": Block(far, np.ones(30, bool))}
    np.testing.assert_allclose(leverage(loaded, block), leverage(model, block))


def test_leverage_of_ridge_is_that_of_its_equation():
    rng = np.random.default_rng(11)
    y = np.arange(40) % 2
    values = (rng.normal(size=(40, 6)) + y[:, None]).astype("float32")
    model = MultimodalClassifier({"ct": ImageModality()}, alphas=[0.5])
    model.fit({"ct": Block(values, np.ones(40, bool))}, y)
    new = {"ct": Block(rng.normal(size=(5, 6)).astype("float32") * 3, np.ones(5, bool))}
    X = np.asarray(model.fusion_.transform({"ct": Block(values, np.ones(40, bool))}), float)
    Z = np.asarray(model.fusion_.transform(new), float) - X.mean(axis=0)
    X = X - X.mean(axis=0)
    expected = 0.5 * np.einsum("ij,jk,ik->i", Z, np.linalg.inv(X.T @ X + 0.5 * np.eye(6)), Z)
    left_out = []
    for i in range(40):
        rest = np.delete(X, i, axis=0)
        inverse = np.linalg.inv(rest.T @ rest + 0.5 * np.eye(6))
        left_out.append(0.5 * X[i] @ inverse @ X[i])
    np.testing.assert_allclose(leverage(model, new), expected / max(left_out), rtol=1e-4)


def test_sets_of_labels_hold_the_label_as_often_as_they_say():
    rng = np.random.default_rng(12)
    y = (np.arange(400) % 4 == 0).astype(int)  # one of four is ill
    values = (rng.normal(size=(400, 3)) + 1.2 * y[:, None]).astype("float32")
    model = MultimodalClassifier({"t": ImageModality()})
    model.fit({"t": Block(values[:200], np.ones(200, bool))}, y[:200])
    score = model.decision_function({"t": Block(values[200:], np.ones(200, bool))})
    for confidence in (0.8, 0.9):
        sets = model.label_sets(score, confidence)
        for c in (0, 1):
            covered = sets[y[200:] == c, c].mean()
            assert covered == pytest.approx(confidence, abs=0.1)
    assert model.label_sets(score, 0.9).sum() >= model.label_sets(score, 0.6).sum()


def test_what_has_no_explanation_says_so():
    data, y = cohort()
    joint = MultimodalClassifier(MODALITIES, solver="lssvm").fit(data, y)
    with pytest.raises(ValueError, match='need `fusion` "kernel" or "late"'):
        contributions(joint, data)
    with pytest.raises(ValueError, match='Features add up for "ridge" and "linear", got "lssvm"'):
        feature_contributions(joint, data)
    ridge = MultimodalRegressor(MODALITIES).fit(data, y.astype(float))
    with pytest.raises(ValueError, match='Similar cases need `solver` "lssvm" or "svm"'):
        similar_cases(ridge, data)


@pytest.mark.parametrize(("solver", "fusion"), [("svm", "stack"), ("ridge", "late")])
def test_files_of_three_classes_sum_to_each_score(solver, fusion, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmm.prediction.explanation._AT_ONCE", 4)  # pieces join
    data, y = cohort(3)
    labels = np.array(["a", "b", "c"])[y]
    model = MultimodalClassifier(MODALITIES, solver=solver, fusion=fusion).fit(data, labels)
    few = {name: own[:6] for name, own in data.items() if name != "case"}
    few["case"] = {name: own[:6] for name, own in data["case"].items()}
    blocks = model.extract(few)
    explain_predictions(model, blocks, {"ct": few["ct"], "px": few["px"]}, tmp_path)
    score = model.decision_function(blocks)
    with (tmp_path / "contributions.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [(row["row"], row["class"]) for row in found[2:5]] == [
        ("0", "c"),
        ("1", "a"),
        ("1", "b"),
    ]
    total = [sum(float(v) for n, v in row.items() if n not in ("row", "class")) for row in found]
    np.testing.assert_allclose(np.reshape(total, (6, 3)), score, atol=1e-5)
    with (tmp_path / "features.csv").open() as file:
        assert {row["modality"] for row in csv.DictReader(file)} == {"case"}
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {f"{i} px.png" for i in range(6)} | {f"{i} ct.png" for i in range(5)}
    text = (tmp_path / "explanation.txt").read_text()
    assert ("integrated gradients" in text) == (solver == "svm")
