"""The command line, as a person types it: files in, files out, errors in one line."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import fastmm, rows, typed
from sklearn.metrics import roc_auc_score

from fastmm import load_model
from fastmm.commands.columns import check_choices
from fastmm.datasets import make_cohort
from fastmm.jobs import training


@pytest.fixture(scope="module")
def cohort(small_phantoms) -> Path:
    return small_phantoms


TABLES = ("--table", "age,pack_years,sex", "--table", "expression.csv:patient")


@pytest.fixture(scope="module")
def study(cohort, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("study")
    typed(
        "train", cohort, "--label", "malignant", "--group", "patient", "--image", "ct",
        "--image", "mr", "--window", "ct=-600,1500", *TABLES, "--output", output,
    )  # fmt: skip
    return output


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
    singles = ["ct", "mr", "table", "expression"]
    pairs = [f"{a} + {b}" for i, a in enumerate(singles) for b in singles[i + 1 :]]
    assert [s["features"] for s in report["scores"]] == [*singles, *pairs, "fused"]
    assert {r["against"] for r in report["comparisons"]} == set(singles)
    assert report["cohort"]["patients"] == 16
    read = next(s for s in report["stages"] if s["stage"].startswith("read"))
    assert read["images_per_s"] > 0
    assert read["mb_per_s"] > 0


def test_subgroups_are_asked_for_by_column(cohort, tmp_path):
    arguments = ("train", cohort, "--label", "malignant", "--group", "patient", "--table", "age")
    fastmm(*arguments, "--by", "sex", "--by", "pack_years", "-o", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["by"] == ["sex", "pack_years"]
    assert {r["column"] for r in report["subgroups"]} == {"sex", "pack_years"}
    done = fastmm(*arguments, "--by", "patient", "-o", tmp_path / "no", check=False)
    assert done.returncode == 1
    assert "`by` must name columns beside label and patient" in done.stderr


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


def test_predict_tells_what_a_reader_of_its_predictions_should_know(
    cohort, study, tmp_path, monkeypatch
):
    lines = [row | {"ct": "", "sex": "X", "age": ""} for row in rows(cohort)]
    for line in lines:
        line["mr"] = str(cohort.parent / line["mr"]) if line["mr"] else ""
    new = tmp_path / "new.csv"
    with new.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    monkeypatch.chdir(cohort.parent)  # where the table of the training lies, not beside the new one
    told = fastmm("predict", study / "model.fastmm", new, "-o", tmp_path / "p.csv").stderr
    assert "Note: table: 16 cells of 'sex' hold a category that training never saw" in told
    assert "blank cells; numbers become the median" in told
    assert "Note: expression: read from" in told
    assert not any(line["patient"] in told for line in lines)


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


def test_info_tells_versions_and_devices():
    text = typed("info").stdout
    for part in ("fastmm", "numba", "NumPy arrays", "compiled kernels"):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("train", "none.csv", "--label", "y", "--image", "ct"),
            "fastmm: none.csv: no such file or directory.",
        ),
        (("train", "{cohort}", "--label", "malignant"), "at least one `--image`"),
        (("train", "{cohort}", "--label", "nope", "--image", "ct"), "lacks the column(s) nope"),
        (
            ("train", "{cohort}", "--label", "malignant", "--image", "ct", "--model", "forest"),
            '`--model` must be one of "ridge", "linear", "lssvm", "svm", "deep", got \'forest\'.',
        ),
        (
            ("train", "{cohort}", "--label", "malignant", "--image", "ct", "--window", "ct=1"),
            "`--window` must be COLUMN=CENTER,WIDTH",
        ),
        (
            ("train", "{cohort}", "--label", "malignant", "--image", "ct", "--channel", "ct=3"),
            "`--channel` must be COLUMN=N with N 0, 1 or 2, got 'ct=3'.",
        ),
        (
            ("train", "{cohort}", "--label", "malignant", "--image", "ct", "--channel", "mr=1"),
            "`--channel` names mr, which is no `--image` column.",
        ),
        (
            ("train", "{cohort}", "--label", "malignant", "--image", "ct", "--suv", "pet"),
            "`--suv` names pet, which is no `--image` column.",
        ),
        (
            ("train", "{cohort}", "--label", "malignant", "--image", "ct", "--suv", "ct"),
            "must be PT for SUV, got CT.",
        ),
        (("predict", "{cohort}", "{cohort}"), "damaged or no model file"),
        (
            ("train", "{cohort}", "--label", "age", "--image", "ct"),
            "different numbers; say whether they are to be predicted as numbers",
        ),
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


def test_a_process_ends_with_the_message_and_status(cohort, tmp_path):
    arguments = ("predict", cohort, cohort, "--output", tmp_path / "out")
    own, here = typed(*arguments, check=False), fastmm(*arguments, check=False)
    assert (own.returncode, own.stdout, own.stderr) == (1, here.stdout, here.stderr)


def test_an_end_in_the_middle_of_writing_leaves_the_former_files(cohort, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    output = tmp_path / "out"
    asked = {"label": "malignant", "group": "patient", "images": [], "tables": ["age,sex"]}
    monkeypatch.setattr(training, "write_report", stop)
    with pytest.raises(KeyboardInterrupt):
        training.train_job(cohort, output, **asked)
    assert list(tmp_path.iterdir()) == []
    output.mkdir()
    (output / "model.fastmm").write_text("of an earlier run")
    with pytest.raises(KeyboardInterrupt):
        training.train_job(cohort, output, **asked)
    assert [p.name for p in output.iterdir()] == ["model.fastmm"]
    assert (output / "model.fastmm").read_text() == "of an earlier run"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (("ridge", "kernel", False, "auto"), "`--fusion kernel` needs `--model lssvm`"),
        (("ridge", "stack", True, "auto"), "`--interactions` needs `--fusion kernel`, got stack"),
        (("svm", "stack", False, "regression"), "`--task regression` needs `--model ridge`"),
        (("deep", "kernel", False, "auto"), "fused by `--fusion stack` or `--fusion late`"),
        (("ridge", "side", False, "auto"), "`--fusion` must be one of"),
        (("ridge", "stack", False, "numbers"), "`--task` must be one of"),
    ],
)
def test_choices_are_refused_in_the_words_of_the_command(choice, message):
    with pytest.raises(ValueError, match=message):
        check_choices(*choice)
    check_choices("lssvm", "kernel", True, "auto")


def test_help_is_quick_to_import():
    code = (
        "import sys\nfrom fastmm.cli import app\n"
        "print([m for m in ('numba', 'sklearn', 'cupy', 'pandas', 'matplotlib', 'torch') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_explaining_into_one_file_is_refused(study, cohort, tmp_path):
    done = fastmm(
        "predict", study / "model.fastmm", cohort, "--explain", "-o", tmp_path / "p.csv",
        check=False,
    )  # fmt: skip
    assert "`--explain` writes several files" in done.stderr
