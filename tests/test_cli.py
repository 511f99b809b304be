"""The command line, as a person types it: files in, files out, errors in one line."""

import csv
import io
import json
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from dicom_files import image, write
from PIL import Image
from sklearn.metrics import roc_auc_score

from fastmm import cli, load_model
from fastmm.commands.columns import check_choices, check_reading
from fastmm.datasets import make_cohort
from fastmm.jobs import training


def typed(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does, in a process of its own."""
    command = [sys.executable, "-m", "fastmm", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=300)


def fastmm(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which spares its imports (seconds each time)."""
    out, err, code = io.StringIO(), io.StringIO(), None
    with (
        mock.patch.object(sys, "argv", ["fastmm", *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),  # main shows them in its own way
    ):
        warnings.simplefilter("default")
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
    done = subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
    if check:
        assert code == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    return make_cohort(folder / "data", n_patients=16, seed=1, slices=3, shape=(64, 64))


TABLES = ("--table", "age,pack_years,sex", "--table", "expression.csv:patient")


@pytest.fixture(scope="module")
def study(cohort, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("study")
    typed(
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


def test_demo_runs_the_whole_job(tmp_path):
    done = typed("demo", "--output", tmp_path / "demo", "--patients", 12)
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


def small_cohort(folder: Path, files: list[str]) -> Path:
    lines = [f"p{i},{i % 2},{name}" for i, name in enumerate(files)]
    file = folder / "cohort.csv"
    file.write_text("\n".join(["patient,ill,scan", *lines]) + "\n")
    return file


def test_train_on_a_channel_of_colour_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(8):
        pixels = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
        pixels[:20, :, 2] //= 1 + 3 * (i % 2)  # only blue tells
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    file = small_cohort(tmp_path, [f"{i}.png" for i in range(8)])
    arguments = ("train", file, "--label", "ill", "--group", "patient", "--image", "scan")
    refused = fastmm(*arguments, "-o", tmp_path / "out", check=False)
    assert "picture is in colour" in refused.stderr
    assert not (tmp_path / "out").exists()
    fastmm(*arguments, "--channel", "scan=2", "-o", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["channels"] == {"scan": 2}
    assert report["cohort"]["modalities"][0]["detail"].startswith("blue channel, ")
    assert report["scores"][0]["auc"] == 1
    assert load_model(tmp_path / "out" / "model.fastmm").modalities["scan"].channel == 2
    fastmm("predict", tmp_path / "out" / "model.fastmm", file, "-o", tmp_path / "p.csv")
    assert [row["prediction"] for row in rows(tmp_path / "p.csv")] == ["0", "1"] * 4


def test_warnings_of_reading_stand_in_the_report_and_in_one_line(tmp_path):
    for i in range(6):
        write(tmp_path / f"{i}.dcm", image(i, (40, 40)), RescaleSlope=None, RescaleIntercept=None)
    file = small_cohort(tmp_path, [f"{i}.dcm" for i in range(6)])
    fastmm(
        "train", file, "--label", "ill", "--group", "patient", "--image", "scan",
        "-o", tmp_path / "out",
    )  # fmt: skip
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any("no rescale (6 files)" in note for note in report["cohort"]["notes"])
    done = fastmm("predict", tmp_path / "out" / "model.fastmm", file, "-o", tmp_path / "p.csv")
    assert "fastmm: warning: " in done.stderr
    assert ".py" not in done.stderr


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


def test_ctrl_c_is_one_line_and_status_130(monkeypatch, capsys, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_job", interrupt)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
    monkeypatch.setattr(sys, "argv", ["fastmm", "train", "c.csv", "--label", "y"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err.endswith("fastmm: interrupted; nothing half-written is left.\n")


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


def test_real_patients_with_ct_pet_and_mr(real_data, tmp_path):
    fastmm(
        "train", real_data / "sts" / "cohort.csv", "--label", "lung_mets", "--group", "patient",
        "--image", "ct", "--image", "pet", "--image", "mr_t1",
        "--suv", "pet", "--table", "age,sex,mskcc_type,grade", "--output", tmp_path,
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["cohort"]["classes"] == {"0": 21, "1": 13}
    scores = {s["features"]: s["auc"] for s in report["scores"]}
    assert {"ct", "pet", "mr_t1", "table", "ct + pet", "fused"} < set(scores)
    # What is known of these patients: PET tells, a crude statistic reaches about 0.74.
    assert scores["pet"] > 0.6
    details = {m["name"]: m["detail"] for m in report["cohort"]["modalities"]}
    assert details["ct"].startswith("window 0/2000 HU")
    assert details["pet"].startswith("SUV by body weight")
    assert "zscore" not in details["pet"]  # which would take the scale away again
    assert "zscore" in details["mr_t1"]


MODELS = [("linear", "late"), ("svm", "stack"), ("lssvm", "kernel"), ("ridge", "stack")]


@pytest.mark.parametrize(
    "wrong", [("median", "blank", "cpu"), ("max", "grey", "cpu"), ("max", "keep", "tpu")]
)
def test_choices_for_images_are_checked_where_there_are_none_too(wrong):
    check_reading("stack", "keep", "cuda")
    with pytest.raises(ValueError, match="must be one of"):
        check_reading(*wrong)


@pytest.mark.parametrize(("model", "fusion"), MODELS)
def test_train_predict_and_explain_with_every_model(model, fusion, cohort, tmp_path):
    fastmm(
        "train", cohort, "--label", "malignant", "--group", "patient", "--image", "ct",
        "--table", "age,pack_years,sex", "--model", model, "--fusion", fusion,
        "--pool", "max", "--device", "cpu", "-o", tmp_path / "m",
    )  # fmt: skip
    report = json.loads((tmp_path / "m" / "report.json").read_text())
    assert {(s["model"], s["features"]) for s in report["scores"]} == {
        (model, "ct"), (model, "table"), (model, "fused"),
    }  # fmt: skip
    done = fastmm(
        "predict", tmp_path / "m" / "model.fastmm", cohort, "-o", tmp_path / "p", "--explain",
        "--ids",
    )  # fmt: skip
    assert "predictions.csv" in done.stdout
    found = rows(tmp_path / "p" / "predictions.csv")
    assert list(found[0]) == [
        "row", "patient", "prediction", "score", "probability", "set 90%", "present",
        "leverage", "far",
    ]  # fmt: skip
    assert len(found) == 16
    for row in found:
        assert row["present"] == "ct|table"
        assert row["far"] == ("yes" if float(row["leverage"]) > 1 else "no")
        assert set(row["set 90%"].split("|")) <= {"", "0", "1"}
    assert {r["far"] for r in found} == {"no"}  # the training patients themselves
    names = {path.name for path in (tmp_path / "p").iterdir()}
    expected = {"contributions.csv", "features.csv", "explanation.txt", "pictures"}
    expected |= {"similar.csv"} if model in ("svm", "lssvm") else set()
    assert names == {"predictions.csv"} | expected
    parts = rows(tmp_path / "p" / "contributions.csv")
    for row, own in zip(found, parts, strict=True):
        total = sum(float(value) for name, value in own.items() if name != "row")
        assert total == pytest.approx(float(row["score"]), abs=1e-5)
        assert abs(float(own.get("unexplained", 0))) < 1e-5
    exact = {"row", "ct", "table", "intercept"}
    assert set(parts[0]) == (
        {"row", "ct", "table", "baseline", "unexplained"} if model == "svm" else exact
    )
    features = rows(tmp_path / "p" / "features.csv")
    assert {"age", "pack_years", "sex = male"} <= {r["feature"] for r in features}
    if model != "lssvm" and fusion == "stack":  # what a table adds is what its columns do
        own = [float(r["contribution"]) for r in features if r["row"] == "3"]
        assert sum(own) == pytest.approx(float(parts[3]["table"]), abs=1e-5)
    assert len(list((tmp_path / "p" / "pictures").iterdir())) == 16
    if "similar.csv" in names:
        near = rows(tmp_path / "p" / "similar.csv")
        assert {r["rank"] for r in near} == {"1", "2", "3"}
        labels = [r["malignant"] for r in rows(cohort)]
        assert all(labels[int(r["training row"])] == r["label"] for r in near)
        twins = [r for r in near if r["rank"] == "1" and r["row"] == r["training row"]]
        assert len(twins) >= 8  # the training cohort itself
    patients = {r["patient"] for r in rows(cohort)}
    for name in names - {"pictures", "predictions.csv"}:  # only that was to have them
        text = (tmp_path / "p" / name).read_text()
        assert not any(patient in text for patient in patients)


def test_masks_by_column_and_by_path(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["id,case,ill,scan,seg"]
    for i in range(10):
        pixels, mask = rng.integers(0, 90, (40, 40)), np.zeros((40, 40), np.uint8)
        mask[8:20, 9:24] = 1
        pixels[8:20, 9:24] += 70 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{i}.png")
        Image.fromarray(mask).save(tmp_path / f"{i}_seg.png")
        lines.append(f"r{i},p{i},{i % 2},{i}.png,{i}_seg.png")
    file = tmp_path / "my patients.csv"
    file.write_text("\n".join(lines) + "\n")
    arguments = ("train", file, "--label", "ill", "--group", "case", "--image", "scan")
    found = []
    for i in range(10):
        copied = (tmp_path / f"{i}_seg.png").read_bytes()
        (tmp_path / f"{i}.png.mask.png").write_bytes(copied)
    for text in ("scan=seg", "scan={scan}.mask.png"):
        fastmm(*arguments, "--mask", text, "-o", tmp_path / "out")
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert report["scores"][0]["auc"] == 1
        assert report["settings"]["features"] == {"scan": "statistics"}
        assert "cropped to the mask" in report["cohort"]["modalities"][0]["detail"]
        fastmm("predict", tmp_path / "out" / "model.fastmm", file, "-o", tmp_path / "p")
        found.append(rows(tmp_path / "p" / "predictions.csv"))
    assert found[0] == found[1]
    wrong = {
        "scan": "`--mask` must be IMAGE=COLUMN",
        "scan=none": "lacks the column(s) none",
        "scan={scan}.nii": "10 row(s)",
        "mr=seg": "`--mask` names mr, which is no `--image` column.",
    }
    for text, message in wrong.items():
        done = fastmm(*arguments, "--mask", text, "-o", tmp_path / "bad", check=False)
        assert done.returncode == 1
        assert message in " ".join(done.stderr.split())


def test_explaining_into_one_file_is_refused(study, cohort, tmp_path):
    done = fastmm(
        "predict", study / "model.fastmm", cohort, "--explain", "-o", tmp_path / "p.csv",
        check=False,
    )  # fmt: skip
    assert "`--explain` writes several files" in done.stderr
