"""The command line, as a person types it: files in, files out, errors in one line."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fastmm import load_model
from fastmm.datasets import make_cohort


def fastmm(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastmm", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=300)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    return make_cohort(folder / "data", n_patients=16, seed=1, slices=3, shape=(64, 64))


TABLES = ("--table", "age,pack_years,sex", "--table", "expression.csv:patient")


@pytest.fixture(scope="module")
def study(cohort, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("study")
    fastmm(
        "train", cohort, "--label", "malignant", "--group", "patient", "--image", "ct",
        "--image", "mr", "--window", "ct=-600,1500", *TABLES, "--output", output,
    )  # fmt: skip
    return output


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_train_writes_four_files_without_identifiers(cohort, study):
    assert {p.name for p in study.iterdir()} == {
        "report.html", "report.json", "predictions.csv", "model.fastmm",
    }  # fmt: skip
    patients = [row["patient"] for row in rows(cohort)]
    for file in study.iterdir():
        content = file.read_bytes()
        assert not any(patient.encode() in content for patient in patients), file.name


def test_predictions_are_those_of_the_report(cohort, study):
    predictions = rows(study / "predictions.csv")
    assert list(predictions[0]) == ["row", "prediction", "score", "probability"]
    assert [row["row"] for row in predictions] == [str(i) for i in range(16)]
    y = [int(row["malignant"]) for row in rows(cohort)]
    report = json.loads((study / "report.json").read_text())
    fused = next(s for s in report["scores"] if s["features"] == "fused")
    auc = roc_auc_score(y, [float(row["score"]) for row in predictions])
    assert fused["auc"] == pytest.approx(auc)
    assert fused["auc_low"] <= fused["auc"] <= fused["auc_high"]
    assert {s["features"] for s in report["scores"]} == {"ct", "mr", "table", "expression", "fused"}
    assert report["cohort"]["patients"] == 16
    read = next(s for s in report["stages"] if s["stage"].startswith("read"))
    assert read["images_per_s"] > 0
    assert read["mb_per_s"] > 0


def test_predict_applies_the_model_to_new_patients(study, tmp_path):
    new = make_cohort(tmp_path / "new", n_patients=6, seed=9, slices=3, shape=(64, 64))
    fastmm("predict", study / "model.fastmm", new, "--output", tmp_path / "p.csv", "--ids")
    found = rows(tmp_path / "p.csv")
    assert [row["patient"] for row in found] == [row["patient"] for row in rows(new)]
    probability = np.array([float(row["probability"]) for row in found])
    score = np.array([float(row["score"]) for row in found])
    assert ((probability > 0) & (probability < 1)).all()
    assert [row["prediction"] for row in found] == [str(int(s > 0)) for s in score]
    model = load_model(study / "model.fastmm")
    np.testing.assert_allclose(model.probabilities(score)[:, 1], probability, rtol=1e-9)


def test_predict_on_the_training_cohort_differs_from_out_of_fold(cohort, study, tmp_path):
    fastmm("predict", study / "model.fastmm", cohort, "--output", tmp_path / "p.csv")
    fitted = [float(row["score"]) for row in rows(tmp_path / "p.csv")]
    held_out = [float(row["score"]) for row in rows(study / "predictions.csv")]
    assert np.abs(np.subtract(fitted, held_out)).max() > 1e-3


def test_kernel_fusion_with_the_lssvm(cohort, tmp_path):
    fastmm(
        "train", cohort, "--label", "malignant", "--group", "patient", "--image", "ct",
        *TABLES, "--model", "lssvm", "--fusion", "kernel", "-o", tmp_path,
    )  # fmt: skip
    fastmm("predict", tmp_path / "model.fastmm", cohort, "-o", tmp_path / "p.csv")
    assert len(rows(tmp_path / "p.csv")) == 16


def test_demo_runs_the_whole_job(tmp_path):
    done = fastmm("demo", "--output", tmp_path / "demo", "--patients", 12)
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {
        "cohort-12-seed0", "report.html", "report.json", "predictions.csv", "model.fastmm",
    }  # fmt: skip
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["synthetic"] is True
    assert {s["model"] for s in report["scores"]} == {"ridge", "lssvm"}
    assert "For research only; not a medical device." in done.stdout
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "demo").rglob("*.dcm")}
    fastmm("demo", "--output", tmp_path / "demo", "--patients", 12)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "demo").rglob("*.dcm")} == before


def test_info_tells_versions_and_devices():
    text = fastmm("info").stdout
    for part in ("fastmm", "numba", "NumPy arrays", "compiled kernels"):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "none.csv", "--label", "y", "--image", "ct"), "none.csv"),
        (("train", "{cohort}", "--label", "malignant"), "at least one `--image`"),
        (("train", "{cohort}", "--label", "nope", "--image", "ct"), "lacks the column(s) nope"),
        (
            ("train", "{cohort}", "--label", "malignant", "--image", "ct", "--model", "forest"),
            '`model` must be one of "ridge", "lssvm", got \'forest\'.',
        ),
        (
            ("train", "{cohort}", "--label", "malignant", "--image", "ct", "--window", "ct=1"),
            "`--window` must be COLUMN=CENTER,WIDTH",
        ),
        (("predict", "{cohort}", "{cohort}"), "damaged or no model file"),
    ],
)
def test_mistakes_are_one_line_and_status_1(arguments, message, cohort, tmp_path):
    arguments = [a.format(cohort=cohort) for a in arguments]
    done = fastmm(*arguments, "--output", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "validate" not in done.stderr  # found before the long work
    assert not (tmp_path / "out").exists()


def test_help_is_quick_to_import():
    code = (
        "import sys\nfrom fastmm.cli import app\n"
        "print([m for m in ('numba', 'sklearn', 'cupy', 'pandas', 'matplotlib', 'torch') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_patients_with_ct_pet_and_mr(real_data, tmp_path):
    fastmm(
        "train", real_data / "sts" / "cohort.csv", "--label", "lung_mets", "--group", "patient",
        "--image", "ct", "--image", "pet", "--image", "mr_t1",
        "--table", "age,sex,mskcc_type,grade", "--output", tmp_path,
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["cohort"]["classes"] == {"0": 21, "1": 13}
    scores = {s["features"]: s["auc"] for s in report["scores"]}
    assert set(scores) == {"ct", "pet", "mr_t1", "table", "fused"}
    # What is known of these patients: PET tells, a crude statistic reaches about 0.74.
    assert scores["pet"] > 0.6
    details = {m["name"]: m["detail"] for m in report["cohort"]["modalities"]}
    assert details["ct"].startswith("window 0/2000 HU")
    assert "zscore" in details["pet"]
