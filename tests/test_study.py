"""What a study reports, against scikit-learn on its own predictions and slow plain versions."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    roc_auc_score,
    roc_curve,
)
from studies import draw_few, study, write_cohort

from fastmm import TableModality
from fastmm.cohort import read_cohort
from fastmm.errors import CohortError
from fastmm.findings.subgroups import split_levels, subgroup_scores
from fastmm.findings.validation import Plan, Validated, plan_sets
from fastmm.reporting import write_report
from fastmm.validate.comparison import compare_auc


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
