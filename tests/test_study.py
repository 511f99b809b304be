"""What a study reports, against scikit-learn on its own predictions and slow plain versions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    roc_auc_score,
    roc_curve,
)

from fastmm import TableModality
from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource
from fastmm.errors import CohortError
from fastmm.findings import learning, permuting, scoring
from fastmm.findings.describing import describe_cohort
from fastmm.findings.learning import learning_curve
from fastmm.findings.permuting import permute_set
from fastmm.findings.scoring import score_set
from fastmm.findings.subgroups import split_levels, subgroup_scores
from fastmm.findings.validation import Plan, Validated, plan_sets
from fastmm.reporting import write_report
from fastmm.study import run_study
from fastmm.validate.comparison import compare_auc
from fastmm.validate.out_of_fold import OutOfFold
from fastmm.validate.score_permutation import permute_scores
from fastmm.validate.shuffles import Shuffles


def write_cohort(folder: Path, n=24, classes=2, seed=0) -> Path:
    """Three tables: two that tell, one that does not; some rows lack the second."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % classes
    a, b, c = (rng.normal(size=n) for _ in range(3))
    lines = ["patient,ill,a,b,c,sex,age"]
    for i in range(n):
        second = "" if i % 9 == 4 else f"{b[i] + label[i]:.4f}"
        lines.append(
            f"p{i},{label[i]},{a[i] + 1.2 * label[i]:.4f},{second},{c[i]:.4f},"
            f"{'fm'[(i // classes) % 2]},{40 + i}"
        )
    file = folder / "cohort.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def study(file: Path, tables="abc", **options):
    sources = {name: TableSource((name,)) for name in tables}
    cohort = read_cohort(file, label="ill", group="patient", tables=sources, by=["sex", "age"])
    return cohort, run_study(cohort, {name: TableModality() for name in tables}, **options)


def draw_few(patch):
    patch.setattr(scoring, "RESAMPLES", 100)
    patch.setattr(permuting, "PERMUTATIONS", 99)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    draw_few(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        draw_few(patch)
        return study(write_cohort(folder), title="t")


def row_of(results, features, **more):
    wanted = {"features": features, **more}
    return next(r for r in results if all(r.get(k) == v for k, v in wanted.items()))


def test_singles_pairs_and_all_are_validated(made):
    _, found = made
    names = [row["features"] for row in found.results["scores"]]
    assert names == ["a", "b", "c", "a + b", "a + c", "b + c", "fused"]
    assert row_of(found.results["scores"], "b")["n"] == 21
    assert row_of(found.results["scores"], "a + b")["n"] == 24


def test_pairs_are_of_the_first_model_only_and_left_out_where_there_are_too_many():
    names = {name: TableModality() for name in "abcdefg"}
    sets, notes = plan_sets(Plan(names, ("ridge",), "stack", False))
    assert [len(n) for _, n in sets] == [1] * 7 + [7]
    assert "21 pairs" in notes[0]
    three = {name: TableModality() for name in "abc"}
    sets, notes = plan_sets(Plan(three, ("ridge", "lssvm"), "stack", False))
    assert [k for k, n in sets if len(n) == 2] == ["ridge"] * 3
    assert notes == []
    sets, notes = plan_sets(Plan(three, ("deep",), "stack", False))
    assert [len(n) for _, n in sets] == [1, 1, 1, 3]
    assert len(notes) == 2
    assert "the 3 pairs of modalities were not validated" in notes[0]
    assert "not computed for networks" in notes[1]
    sets, notes = plan_sets(Plan(three, ("deep",), "late", False))
    assert [len(n) for _, n in sets] == [1, 1, 1, 2, 2, 2, 3]
    assert len(notes) == 1
    two = {name: TableModality() for name in "ab"}
    assert len(plan_sets(Plan(two, ("ridge",), "stack", False))[0]) == 3


def test_scores_are_those_of_scikit_learn(made):
    cohort, found = made
    row, held_out = row_of(found.results["scores"], "fused"), found.held_out
    y, score, p = cohort.y, held_out.score, held_out.probability[:, 1]
    assert row["auc"] == pytest.approx(roc_auc_score(y, score))
    assert row["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(y, held_out.prediction)
    )
    assert row["brier"] == pytest.approx(brier_score_loss(y, p))
    assert row["brier_guess"] == pytest.approx(brier_score_loss(y, np.full(24, y.mean())))
    fpr, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    for name, most in (("sensitivity_at_90", 0.1), ("sensitivity_at_95", 0.05)):
        assert row[name] == pytest.approx(tpr[fpr <= most + 1e-12].max())
        assert (score[y == 0] < row[f"{name}_threshold"]).mean() >= 1 - most
    bins = row_of(found.results["calibration"], "fused")["bins"]
    observed, predicted = calibration_curve(y, p, n_bins=2, strategy="quantile")
    np.testing.assert_allclose([b["observed"] for b in bins], observed)
    np.testing.assert_allclose([b["predicted"] for b in bins], predicted)
    for name in ("auc", "balanced_accuracy", "sensitivity_at_90", "brier", "calibration_slope"):
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


def test_fusion_is_compared_with_each_single_on_the_rows_of_both(made):
    _, found = made
    rows = found.results["comparisons"]
    assert [row["against"] for row in rows] == ["a", "b", "c"]
    aucs = {name: row_of(found.results["scores"], name)["auc"] for name in "abc"}
    assert [row["against"] for row in rows if row["best"]] == [max(aucs, key=aucs.get)]
    own = row_of(rows, "fused", against="b")
    there = np.arange(24) % 9 != 4
    assert own["n"] == there.sum() == 21
    assert own["auc_against"] == pytest.approx(aucs["b"])
    y = np.arange(24) % 2
    assert own["auc"] == pytest.approx(roc_auc_score(y[there], found.held_out.score[there]))
    assert own["difference"] == pytest.approx(own["auc"] - own["auc_against"])
    assert own["difference_low"] < own["difference"] < own["difference_high"]
    assert 0 <= own["pvalue"] <= 1


def test_comparison_is_the_paired_test(made):
    cohort, found = made
    chosen = made[1].held_out
    _, alone = study(cohort.source, tables="a", title="t")
    row = row_of(found.results["comparisons"], "fused", against="a")
    inflation = 1 + row["training_share"]
    expected = compare_auc(
        cohort.y, chosen.score, alone.held_out.score, cohort.groups, inflation=inflation
    )
    assert row["pvalue"] == pytest.approx(expected.pvalue)
    assert row["difference_low"] == pytest.approx(expected.low)
    assert alone.results["comparisons"] == []


def test_subgroups_are_scores_of_their_rows(made):
    cohort, found = made
    rows = found.results["subgroups"]
    assert [(r["column"], r["level"]) for r in rows] == [
        ("sex", "f"), ("sex", "m"), ("age", "≤ 51"), ("age", "> 51"),
    ]  # fmt: skip
    for row in rows:
        cells = np.array(cohort.by[row["column"]])
        inside = cells == row["level"]
        if row["column"] == "age":
            inside = (cells.astype(int) <= 51) == (row["level"] == "≤ 51")
        expected = roc_auc_score(cohort.y[inside], found.held_out.score[inside])
        assert row["auc"] == pytest.approx(expected)
        assert row["n"] == inside.sum()
        assert row["classes"] == {"0": int((cohort.y[inside] == 0).sum()), "1": row["n"] // 2}


def test_levels_of_columns():
    numbers = [str(i) for i in range(90)]
    assert [name for name, _ in split_levels(numbers)] == ["≤ 29", "> 29, ≤ 59", "> 59"]
    assert [int(rows.sum()) for _, rows in split_levels(numbers)] == [30, 30, 30]
    few = split_levels(["1", "2", "", "1"])
    assert [(name, rows.tolist()) for name, rows in few] == [
        ("1", [True, False, False, True]),
        ("2", [False, True, False, False]),
        ("blank", [False, False, True, False]),
    ]
    ends = split_levels(["inf", "-inf", *map(str, range(6)), "nan"])
    assert sum(int(rows.sum()) for _, rows in ends) == 9
    same = split_levels([*["5"] * 20, "1", "2", "3", "4", "6"])
    assert [(name, int(rows.sum())) for name, rows in same] == [("≤ 5", 24), ("> 5", 1)]


def test_small_subgroups_say_too_few(made):
    cohort, found = made
    chosen = Validated(
        "ridge", "fused", ("a",), np.ones(24, bool), cohort.y, cohort.groups, found.held_out
    )
    cells = ["x" if i < 6 else "y" for i in range(24)]
    small, large = subgroup_scores(chosen, {"c": cells})
    assert small["auc"] is None
    assert small["note"].startswith("too few")
    assert large["auc"] is not None


def test_learning_curve_rises_to_the_score(made):
    _, found = made
    curves = found.results["learning_curves"]
    best = next(r["against"] for r in found.results["comparisons"] if r["best"])
    assert [c["features"] for c in curves] == ["fused", best]
    points = curves[0]["points"]
    sizes = [p["patients"] for p in points]
    assert sizes == sorted(set(sizes))
    assert (sizes[0], sizes[-1]) == (6, 19)
    assert all(p["auc_low"] <= p["auc"] <= p["auc_high"] for p in points)
    assert points[-1]["auc"] > points[0]["auc"]


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


def test_three_classes_are_scored_against_the_rest(tmp_path):
    cohort, found = study(write_cohort(tmp_path, n=21, classes=3), tables="ab", title="t")
    results, y = found.results, cohort.y
    row, chances = row_of(results["scores"], "fused"), found.held_out.probability
    assert row["auc"] == pytest.approx(roc_auc_score(y, chances, multi_class="ovr"))
    assert row["brier"] == pytest.approx(brier_score_loss(y, chances))
    assert "sensitivity_at_90" not in row
    classes = [r for r in results["by_class"] if r["features"] == "fused"]
    assert [r["class"] for r in classes] == ["0", "1", "2"]
    for k, own in enumerate(classes):
        assert own["auc"] == pytest.approx(roc_auc_score(y == k, chances[:, k]))
        assert own["brier"] == pytest.approx(brier_score_loss(y == k, chances[:, k]))
        fpr, tpr, _ = roc_curve(y == k, chances[:, k], drop_intermediate=False)
        assert own["sensitivity_at_90"] == pytest.approx(tpr[fpr <= 0.1 + 1e-12].max())
    assert {r["method"] for r in results["comparisons"]} == {"patient bootstrap"}
    page = write_report(results, tmp_path / "r").read_text()
    assert "Each class against the rest, ridge on fused" in page
    assert "fused, 2 against the rest" in page


def test_every_number_of_the_page_is_in_the_json(made, tmp_path):
    _, found = made
    page = write_report(found.results, tmp_path).read_text()
    tree = json.loads((tmp_path / "report.json").read_text())
    for heading in ("Does fusing help?", "In use:", "Subgroups", "Would more patients", "Limits"):
        assert heading in page
    for part in ("scores", "comparisons", "subgroups", "calibration", "learning_curves"):
        assert len(tree[part]) == len(found.results[part]) > 0
    fused = row_of(tree["scores"], "fused")
    for name in ("auc", "sensitivity_at_90", "sensitivity_at_95", "brier", "calibration_slope"):
        assert f"{fused[name]:.3f}" in page
    patients = [f">{name}<" for name in ("p0", "p7", "p23")]
    assert not any(name in page for name in patients)


def test_unknown_and_forbidden_columns_of_subgroups(tmp_path):
    file = write_cohort(tmp_path)
    with pytest.raises(CohortError, match=r"lacks the column\(s\) race"):
        read_cohort(file, label="ill", by=["race"])
    with pytest.raises(ValueError, match="beside label and patient, got 'patient'"):
        read_cohort(file, label="ill", group="patient", by=["patient"])
    with pytest.raises(CohortError, match="at most 12 different texts"):
        read_cohort(file, label="ill", by=["patient"])


def test_scores_that_separate_have_a_slope_without_bound():
    y, groups = np.arange(30) % 2, np.arange(30)
    score = np.where(y, 1.0, -1.0) + np.arange(30) / 100
    found = score_set(validated(y, score, groups, {"x": None}))
    assert found.numbers["auc"] == 1
    assert found.numbers["calibration_slope"] == np.inf
    assert found.notes == []


def test_predictions_file_and_report_agree(made, tmp_path):
    from fastmm.prediction.files import write_predictions

    cohort, found = made
    held_out = found.held_out
    columns = (held_out.prediction, held_out.decision, held_out.probability)
    write_predictions(tmp_path / "p.csv", found.model.classes_, columns)
    with (tmp_path / "p.csv").open(newline="") as opened:
        chances = [float(row["probability"]) for row in csv.DictReader(opened)]
    row = row_of(found.results["scores"], "fused")
    assert brier_score_loss(cohort.y, chances) == pytest.approx(row["brier"])


def test_a_study_of_networks_says_what_it_left_out(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="the network needs PyTorch")
    from fastmm.fusion import deep_fusion

    monkeypatch.setattr(deep_fusion, "_MOST", 3)
    told = []

    def task(name):
        return lambda done, total: told.append((done, total)) if name == "validate" else None

    _, found = study(write_cohort(tmp_path), models=("deep",), fusion="late", task=task, title="t")
    names = [row["features"] for row in found.results["scores"]]
    assert names == ["a", "b", "c", "a + b", "a + c", "b + c", "fused"]
    scheme = found.results["validation"]
    assert scheme["scheme"] == "5 folds of patients, those of each class in turn"
    assert "learned anew without the patients" in scheme["detail"]
    assert "closed-form" not in scheme["detail"]
    assert "out-of-fold scores staying what they are" in scheme["permutation"][0]
    assert any("not computed for networks" in note for note in found.results["cohort"]["notes"])
    assert found.results["learning_curves"] == []
    stages = {row["stage"]: row for row in found.results["stages"]}
    assert stages["validate deep"]["fits"] == 18  # pairs and all combine the scores of singles
    assert "fit the final model" not in stages
    np.testing.assert_allclose(found.held_out.decision, found.model.cv_decision_, atol=1e-9)
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert len(told) > 3 * 6 * 3  # after each epoch
    write_report(found.results, tmp_path)
    assert "not computed for networks" in (tmp_path / "report.html").read_text()
