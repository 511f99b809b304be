"""Learning curves and permutations: never trained on whom they predict, flat for noise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    roc_auc_score,
)
from studies import draw_few

from fastmm import TableModality
from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource
from fastmm.findings import learning
from fastmm.findings.describing import describe_cohort
from fastmm.findings.learning import learning_curve
from fastmm.findings.permuting import permute_set
from fastmm.findings.scoring import score_set
from fastmm.findings.validation import Plan, Validated
from fastmm.validate.out_of_fold import OutOfFold
from fastmm.validate.score_permutation import permute_scores
from fastmm.validate.shuffles import Shuffles


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    draw_few(monkeypatch)


def validated(y, score, groups, blocks):
    probability = 1 / (1 + np.exp(-score))
    held_out = OutOfFold(score, np.c_[1 - probability, probability], (score > 0).astype(int), 5)
    names = tuple(blocks)
    return Validated("ridge", "fused", names, np.ones(len(y), bool), y, groups, held_out)


def blocks_of(X):
    modality = TableModality()
    return {"x": modality}, {"x": modality.extract({f"c{i}": X[:, i] for i in range(X.shape[1])})}


def test_learning_curve_never_trains_on_whom_it_predicts(monkeypatch):
    rng = np.random.default_rng(0)
    y, groups = np.repeat(np.arange(20) % 2, 2), np.repeat(np.arange(20), 2)
    modalities, blocks = blocks_of(rng.normal(size=(40, 3)))
    plan, seen = Plan(modalities, ("ridge",), "stack", False), []
    fit = learning._fit

    def watched(design, kernel, targets, codes, owners, train, test):
        assert not set(owners[train]) & set(owners[test])
        per_class = [len(set(owners[train][codes[train] == k])) for k in (0, 1)]
        assert min(per_class) >= 2
        seen.append((len(set(owners[train].tolist())), len(test)))
        return fit(design, kernel, targets, codes, owners, train, test)

    monkeypatch.setattr(learning, "_fit", watched)
    found = learning_curve(plan, validated(y, rng.normal(size=40), groups, blocks), blocks)
    assert {p["patients"] for p in found["points"]} == {size for size, _ in seen}
    assert sum(rows for _, rows in seen) == 40 * len(found["points"]) * 12


def test_learning_curve_of_fewer_patients_than_folds():
    rng = np.random.default_rng(0)
    y = np.arange(4) % 2
    modalities, blocks = blocks_of(rng.normal(size=(4, 2)))
    plan = Plan(modalities, ("ridge",), "stack", False)
    found = learning_curve(plan, validated(y, rng.normal(size=4), np.arange(4), blocks), blocks)
    assert [p["patients"] for p in found["points"]] == [3]


def test_learning_curve_keeps_rare_classes_of_many_rows(monkeypatch):
    monkeypatch.setattr(learning, "MOST_ROWS", 40)
    rng = np.random.default_rng(0)
    for rare in ([398, 399], [7, 200]):
        y = np.isin(np.arange(400), rare).astype(int)
        kept = learning._some(np.arange(400), y, rng)
        assert len(kept) == 40
        assert y[kept].sum() == 2


@pytest.mark.parametrize("many", [9, 10])
def test_intervals_of_few_patients_are_said_to_be_too_narrow(tmp_path, many):
    lines = [f"p{i // 2},{int(i < 2 * many)},{i}" for i in range(60)]
    (tmp_path / "c.csv").write_text("patient,ill,age\n" + "\n".join(lines))
    source = {"case": TableSource(("age",))}
    cohort = read_cohort(tmp_path / "c.csv", label="ill", group="patient", tables=source)
    notes = describe_cohort(cohort, {}, {}, [])["notes"]
    assert [note[:21] for note in notes] == ["9 patients of class 1"] * (many < 10)


def test_learning_curve_of_noise_is_flat():
    rng = np.random.default_rng(1)
    y = np.arange(60) % 3 // 2  # a rare class
    modalities, blocks = blocks_of(rng.normal(size=(60, 4)))
    plan = Plan(modalities, ("ridge",), "stack", False)
    found = learning_curve(plan, validated(y, rng.normal(size=60), np.arange(60), blocks), blocks)
    means = [p["auc"] for p in found["points"]]
    assert abs(np.mean(means) - 0.5) < 0.12


def test_permutations_of_scores_are_those_of_a_plain_loop():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(15), 2)
    for classes in (2, 3):
        y = np.repeat(np.arange(15) % classes, 2)
        score = rng.normal(size=30 if classes == 2 else (30, classes)) + (
            y if classes == 2 else np.eye(classes)[y]
        )
        if classes == 3:
            score = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
        found = permute_scores(y, score, groups, n_permutations=60, seed=3)
        labels = Shuffles(y, groups, 60, 3).labels(slice(None))
        areas = [roc_auc_score(own, score, multi_class="ovr") for own in labels]
        np.testing.assert_allclose([found.score, *found.permuted_scores], areas)
        assert found.pvalue == (1 + np.sum(np.array(areas[1:]) >= areas[0] - 1e-12)) / 61


@pytest.mark.parametrize(
    ("kind", "fusion", "method"),
    [
        ("ridge", "stack", "refitted"), ("linear", "stack", "refitted"),
        ("lssvm", "stack", "refitted"), ("lssvm", "kernel", "refitted"),
        ("svm", "stack", "scores"), ("ridge", "late", "scores"),
    ],
)  # fmt: skip
def test_pvalues_tell_signal_from_noise(kind, fusion, method):
    rng = np.random.default_rng(4)
    y, groups = np.arange(40) % 2, np.arange(40)
    for effect in (0.0, 2.0):
        X = rng.normal(size=(40, 3)) + effect * y[:, None]
        first, one = blocks_of(X[:, :2])
        second, two = blocks_of(X[:, 2:])
        modalities, blocks = {"a": first["x"], "b": second["x"]}, {"a": one["x"], "b": two["x"]}
        score = rng.normal(size=40) + effect * y
        own = validated(y, score, groups, blocks)
        own = Validated(kind, *[getattr(own, n) for n in (
            "features", "names", "rows", "y", "groups", "held_out")])  # fmt: skip
        found, notes = permute_set(Plan(modalities, (kind,), fusion, False), own, blocks)
        assert found["pvalue_method"] == method
        assert (found["pvalue"] <= 0.02) == (effect > 0)
        assert notes == []


def test_scores_that_separate_have_a_slope_without_bound():
    y, groups = np.arange(30) % 2, np.arange(30)
    score = np.where(y, 1.0, -1.0) + np.arange(30) / 100
    found = score_set(validated(y, score, groups, {"x": None}))
    assert found.numbers["auc"] == 1
    assert found.numbers["calibration_slope"] == np.inf
    assert found.notes == []
