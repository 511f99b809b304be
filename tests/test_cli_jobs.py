"""Whole jobs of the command line: every model, colour, masks, warnings, stops."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from cli_runs import fastmm, rows, typed
from dicom_files import image, write
from PIL import Image

from fastmm import cli, load_model
from fastmm.commands.columns import check_reading
from fastmm.jobs import training


@pytest.fixture(scope="module")
def cohort(small_phantoms) -> Path:
    return small_phantoms


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
