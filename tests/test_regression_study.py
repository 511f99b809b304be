"""Numbers from a cohort file: labels, scores, intervals, report, and the command."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import mean_absolute_error, r2_score

from fastmm import load_model
from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource
from fastmm.errors import CohortError
from fastmm.jobs.prediction import predict_job
from fastmm.jobs.training import train_job
from fastmm.validate.number_scores import (
    bootstrap_error,
    bootstrap_error_difference,
    bootstrap_r2,
)

RNG = np.random.default_rng(0)
Y = RNG.normal(10, 4, 40)
FOUND = Y + RNG.normal(0, 2, 40)
GROUPS = np.arange(40) // 2


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def naive(statistic):
    """Draw the same patients one resample at a time."""
    drawn = np.random.default_rng(0).integers(0, 20, (300, 20))
    found = []
    for own in drawn:
        at = np.concatenate([np.flatnonzero(g == GROUPS) for g in own])
        found.append(statistic(at))
    return np.percentile(found, [2.5, 97.5])


@pytest.mark.parametrize(
    ("compute", "oracle"),
    [
        (lambda **how: bootstrap_r2(Y, FOUND, GROUPS, **how), lambda i: r2_score(Y[i], FOUND[i])),
        (
            lambda **how: bootstrap_error(Y, FOUND, GROUPS, **how),
            lambda i: mean_absolute_error(Y[i], FOUND[i]),
        ),
        (
            lambda **how: bootstrap_error_difference(Y, FOUND, Y + 1.5, GROUPS, **how),
            lambda i: mean_absolute_error(Y[i], FOUND[i]) - 1.5,
        ),
    ],
)
def test_scores_and_intervals_are_those_of_scikit_learn_on_drawn_patients(compute, oracle):
    found = compute(n_resamples=300)
    assert found.value == pytest.approx(oracle(np.arange(40)))
    np.testing.assert_allclose([found.low, found.high], naive(oracle), rtol=1e-9)


def test_scores_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="must hold different numbers for R2"):
        bootstrap_r2(np.ones(4), np.ones(4))
    with pytest.raises(ValueError, match=r"of one shape \(n,\), got \(3,\) and \(2,\)"):
        bootstrap_error([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="NaN"):
        bootstrap_error([1.0, np.nan], [1.0, 2.0])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Patients whose months fall with age, and with the brightness of their picture."""
    folder, rng = tmp_path_factory.mktemp("numbers"), np.random.default_rng(1)
    lines = ["case,months,age,scan"]
    for i in range(24):
        age, bright = rng.uniform(30, 80), rng.uniform(0, 60)
        pixels = np.clip(rng.integers(0, 60, (32, 32)) + bright, 0, 255)
        pixels[:8] = 0  # against which it is bright
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
        months = 100 - age - 0.3 * bright + rng.normal(0, 2)
        picture = "" if i == 5 else f"{i}.png"
        lines.append(f"p{i // 2},{months:.2f},{age:.1f},{picture}")
    file = folder / "cohort.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def train(cohort, output, **more):
    given = {
        "label": "months", "group": "case", "images": ["scan"], "tables": ["age"], "title": "t",
        "kind": "regression", "device": "cpu",
    }  # fmt: skip
    return train_job(cohort, output, **(given | more))


def test_a_number_is_predicted_reported_and_applied(cohort, tmp_path):
    study = train(cohort, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "report.html", "report.json", "predictions.csv", "model.fastmm",
    }  # fmt: skip
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    y = np.array([float(row["months"]) for row in rows(cohort)])
    held_out = rows(tmp_path / "out" / "predictions.csv")
    assert list(held_out[0]) == ["row", "prediction", "low 90%", "high 90%"]
    predicted = np.array([float(row["prediction"]) for row in held_out])
    fused = next(s for s in report["scores"] if s["features"] == "fused")
    assert fused["r2"] == pytest.approx(r2_score(y, predicted))
    assert fused["mae"] == pytest.approx(mean_absolute_error(y, predicted))
    assert fused["r2"] > 0.8
    assert fused["mae_low"] <= fused["mae"] <= fused["mae_high"] < fused["mae_guess"]
    assert report["comparison"]["single"] in ("scan", "table")
    # By hand, without the first patient.
    own = study.model.__class__(**study.model.get_params())
    table = {"age": [row["age"] for row in rows(cohort)]}
    images = [None if not row["scan"] else cohort.parent / row["scan"] for row in rows(cohort)]
    own.fit({"scan": images[2:], "table": {"age": table["age"][2:]}}, y[2:], groups=GROUPS[2:24])
    alone = own.predict({"scan": images[:2], "table": {"age": table["age"][:2]}})
    np.testing.assert_allclose(predicted[:2], alone, rtol=1e-6)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Observed against predicted" in page
    assert "mean absolute error of" in page
    assert "http" not in page.replace("http-equiv", "")
    predict_job(tmp_path / "out" / "model.fastmm", cohort, tmp_path / "p", explain=True, ids=True)
    applied = rows(tmp_path / "p" / "predictions.csv")
    assert list(applied[0]) == [
        "row", "case", "prediction", "low 90%", "high 90%", "present", "leverage", "far",
    ]  # fmt: skip
    inside = [
        float(r["low 90%"]) <= v <= float(r["high 90%"]) for r, v in zip(applied, y, strict=True)
    ]
    assert np.mean(inside) > 0.8
    parts = rows(tmp_path / "p" / "contributions.csv")
    for row, part in zip(applied, parts, strict=True):
        total = sum(float(part[name]) for name in ("scan", "table", "intercept"))
        assert total == pytest.approx(float(row["prediction"]), abs=1e-4)
    assert len(list((tmp_path / "p" / "pictures").iterdir())) == 23
    model = load_model(tmp_path / "out" / "model.fastmm")
    assert type(model).__name__ == "MultimodalRegressor"


def test_labels_are_never_guessed(cohort, tmp_path):
    table = {"t": TableSource(("age",))}
    with pytest.raises(CohortError, match=r"24 different numbers; say whether .*--task regression"):
        read_cohort(cohort, label="months", tables=table)
    with pytest.raises(CohortError, match="24 different values: no class label"):
        read_cohort(cohort, label="months", tables=table, kind="classification")
    with pytest.raises(CohortError, match=r"must be a finite number in each row .* 23 row"):
        read_cohort(cohort, label="scan", tables=table, kind="regression")
    with pytest.raises(ValueError, match='`kind` must be one of "auto"'):
        read_cohort(cohort, label="months", kind="numbers")
    few = tmp_path / "few.csv"
    few.write_text("p,y,age\na,1.5,3\nb,1.5,4\nc,1.5,5\n")
    with pytest.raises(CohortError, match="at least 2 different numbers, got 1") as caught:
        read_cohort(few, label="y", group="p", tables=table, kind="regression")
    assert "at least 5 patients" in str(caught.value)
    y = read_cohort(cohort, label="months", tables=table, kind="regression").y
    assert y.dtype == np.float64
    with pytest.raises(ValueError, match='`solver` must be one of "ridge", "linear", "lssvm"'):
        train(cohort, tmp_path / "o", models=("svm",))
    with pytest.raises(ValueError, match="`--by` tells of classes"):
        train(cohort, tmp_path / "o", by=["age"])
    assert not (tmp_path / "o").exists()
