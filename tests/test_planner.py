"""The planner: what it counts is there, and a run then takes the memory that it said."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from harness import ROOT

import fastmm
from fastmm import ImageModality
from fastmm.datasets import make_cohort
from fastmm.errors import CohortError
from fastmm.planning.counting import patches_of
from fastmm.planning.fit_costs import Fit, fit_parts, fit_work
from fastmm.planning.machines import STATED_GPU, STATED_NODE, Machine, storage_rate
from fastmm.planning.sizes import ImageSize
from fastmm.planning.work import Work

SMALL = replace(STATED_NODE, memory=8e9)


def numbers(**options):
    return fastmm.plan(**{"machine": STATED_NODE, "device": "cpu", "patients": 200, **options})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "data"
    return make_cohort(folder, n_patients=12, seed=1, slices=3, shape=(64, 64))


def of_file(cohort, **options):
    given = {"label": "malignant", "group": "patient", "images": ["ct", "mr"], "device": "cpu"}
    return fastmm.plan(cohort, **{"machine": STATED_NODE, **given, **options})


def test_what_is_counted_is_in_the_folder(cohort):
    found = of_file(cohort, tables=["age,sex", "expression.csv:patient"])
    for image in found.size.images:
        files = list(cohort.parent.glob(f"P*/{image.name}/*.dcm"))
        assert image.files == image.slices == len(files)
        assert image.file_bytes == sum(file.stat().st_size for file in files)
        assert image.pixel_bytes == len(files) * 64 * 64 * 2
        assert image.width == 2 * patches_of((128, 128), (16, 16), 8) == 450
        assert image.largest == image.per_examination == 3
    assert (found.size.rows, found.size.patients, found.size.classes) == (12, 12, 2)
    assert [table.columns for table in found.size.tables] == [2, 200]
    assert found.read_bytes == sum(image.file_bytes for image in found.size.images)


def test_the_modalities_are_those_of_a_training(cohort, monkeypatch, tmp_path):
    from fastmm.jobs import training

    class CaughtError(Exception):
        pass

    def catch(cohort, modalities, **_):
        caught.update(modalities)
        raise CaughtError

    monkeypatch.setattr(training, "run_study", catch)
    for model in ("ridge", "deep"):
        caught = {}
        with pytest.raises(CaughtError):
            training.train_job(
                cohort, tmp_path / "out", label="malignant", group="patient", images=["ct"],
                tables=[], models=(model,),
            )  # fmt: skip
        (image,) = of_file(cohort, images=["ct"], model=model).size.images
        assert (image.shape, image.features) == (caught["ct"].shape, caught["ct"].features)
        assert image.patch == np.prod(caught["ct"].patch_size)


def test_a_sample_stands_for_a_large_cohort(cohort, tmp_path):
    lines = cohort.read_text().splitlines()
    whole = [line for line in lines[1:] if "/ct," in line]
    copies = [f"X{i:04d},{whole[i % len(whole)].split(',', 1)[1]}" for i in range(600)]
    file = cohort.parent / "many.csv"
    file.write_text("\n".join([lines[0], *copies]) + "\n")
    found = of_file(file, images=["ct"])
    assert found.size.sampled == 48
    (image,) = found.size.images
    assert (image.examinations, image.slices, image.files) == (600, 1800, 1800)


def test_mistakes_of_a_cohort_are_found(cohort):
    with pytest.raises(CohortError, match="lacks the column"):
        of_file(cohort, images=["pet"])
    with pytest.raises(ValueError, match="either `cohort`"):
        fastmm.plan()
    with pytest.raises(ValueError, match="has no kernels"):
        numbers(fusion="kernel")
    with pytest.raises(ValueError, match="memory_limit"):
        numbers(memory_limit="much")
    with pytest.raises(ValueError, match="modalities"):
        numbers(modalities=0)


RUN = """
import json, sys
def memory(kind):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(kind))
start = memory("VmRSS")
import fastmm.cli
from pathlib import Path
from fastmm.jobs.training import train_job
file, model, images, tables = json.loads(sys.argv[1])
train_job(Path(file), Path(file).parent / "out", label="malignant", group="patient",
          title="a run", images=images, tables=tables, models=(model,), device="cpu")
print(memory("VmHWM") - start)
"""


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """Cohorts of any number of patients, all of whom share a few scans."""
    folder = tmp_path_factory.mktemp("grown") / "data"
    cohort = make_cohort(folder, n_patients=4, seed=0, slices=30, shape=(64, 64), missing=0)
    lines = cohort.read_text().splitlines()

    def grow(count):
        rng = np.random.default_rng(0)
        rows = [line.split(",") for line in lines[1:]]
        grown = [[f"Q{i}", str(i % 2), *rows[i % 4][2:4]] for i in range(count)]
        cells = [",".join([*row, *map(str, rng.standard_normal(40).round(4))]) for row in grown]
        head = ",".join(["patient", "malignant", "ct", "mr", *(f"x{i}" for i in range(40))])
        file = cohort.parent / f"grown{count}.csv"
        file.write_text("\n".join([head, *cells]) + "\n")
        return file

    return grow


# One thread waits for no other where the machine is shared.
ONE = dict.fromkeys(("OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
# Sizes in which imports, images and kernels have the largest part.
@pytest.mark.parametrize(
    ("patients", "model", "images"),
    [(30, "ridge", ["ct"]), (100, "ridge", ["ct", "mr"]), (400, "lssvm", [])],
)
def test_a_run_takes_the_memory_that_was_planned(repeated, patients, model, images):
    file, tables = repeated(patients), [",".join(f"x{i}" for i in range(40))]
    expected = of_file(file, images=images, tables=tables, model=model).peak_bytes
    told = json.dumps([str(file), model, images, tables])
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, told], capture_output=True, text=True,
        check=False, cwd=ROOT, env={**os.environ, **ONE},
    )  # fmt: skip
    assert not ran.returncode, ran.stderr
    assert 0.8 < expected / int(ran.stdout.split()[-1]) < 1.25


def test_a_limit_is_kept_or_mended():
    large = {"patients": 20_000, "slices": 100, "machine": SMALL}
    assert not numbers(**large).fits
    assert "--memory-limit" in numbers(**large).outlooks[0].mends[0].option
    limited = numbers(**large, memory_limit="2GB")
    assert limited.fits
    (outlook,) = limited.outlooks
    assert 0 < outlook.needs.chunks["image 1"] < 20_000
    assert outlook.needs.arrays <= 2e9


def test_a_kernel_that_does_not_fit_is_told():
    found = numbers(patients=60_000, model="lssvm", machine=SMALL)
    (outlook,) = found.outlooks
    assert not found.fits
    assert outlook.needs.arrays > 60_000**2 * 8
    ridge = next(mend for mend in outlook.mends if mend.option.startswith("--model ridge"))
    alone = numbers(patients=60_000, model="ridge", machine=SMALL)
    assert (ridge.peak, ridge.seconds) == (alone.peak_bytes, alone.seconds)
    assert numbers(patients=60_000, pool="rows", slices=500, machine=SMALL).outlooks[0].mends


def test_costs_grow_as_the_algorithms_do():
    def growth(n, part, width=450, **options):
        first, second = (fit_parts(Fit(k, {"m": width}, **options))[part] for k in (n, 2 * n))
        return second.all_flops / first.all_flops

    assert growth(1000, "factorise", width=5000) == pytest.approx(8)  # n < d: n^3
    assert growth(1000, "factorise", width=100) == pytest.approx(1)  # n > d: d^3
    assert growth(1000, "Gram matrix", width=100) == pytest.approx(2)
    assert growth(1000, "Gram matrix", width=5000) == pytest.approx(4)
    assert growth(2000, "factorise", solver="lssvm") == pytest.approx(8)
    assert growth(2000, "tune weights and widths", solver="lssvm") == pytest.approx(1)  # 1,500 rows
    assert growth(2000, "novelty, calibration") == pytest.approx(1)


def test_flops_of_a_ridge_search_are_those_of_its_algebra():
    n, d = 3000, 200
    parts = fit_parts(Fit(n, {"m": d}))
    assert parts["Gram matrix"].flops == n * d * d
    assert parts["factorise"].flops == 9 * d**3
    assert parts["held-out scores"].flops == 2 * n * d * d + 13 * 2 * n * d * 2


def test_validation_is_a_fit_a_fold():
    few, many = numbers(patients=80), numbers(patients=500)
    fits = [
        next(s.detail for s in plan.outlooks[0].stages if s.name.startswith("validate"))
        for plan in (few, many)
    ]
    assert fits == ["30 fits, 1 modality", "20 fits, 1 modality"]
    both = numbers(patients=80, modalities=2)
    details = {stage.detail for stage in both.outlooks[0].stages}
    assert "90 fits, 3 sets" in details


def test_more_cores_are_no_slower_and_help_no_lone_work():
    one = Machine("one core", 1, 64e9, 20e9, 20e9, 80e9, 40e9, 40e9)
    many = replace(one, cores=16, copy=200e9, float32=1.2e12, float64=6e11)
    lone, shared = Work(lone_steps=1.0, lone_moved=2e10), Work(steps=1.6, flops=1.2e12)
    assert lone.seconds(one) == lone.seconds(many) == 2.0
    assert shared.seconds(many) == pytest.approx(2.1)
    small = fit_work(Fit(300, {"m": 450}))
    assert small.seconds(one) == small.seconds(many)  # few rows take one thread
    assert (
        numbers(patients=5000, machine=many).seconds < numbers(patients=5000, machine=one).seconds
    )


def test_files_are_read_while_others_are_worked_on():
    machine = replace(STATED_NODE, cores=1, storage=1e6)
    assert Work(stored=3e6, steps=2.0).seconds(machine) == 3.0
    assert Work(stored=1e6, steps=2.0).seconds(machine) == 2.0


def test_a_gpu_that_is_not_here_is_stated(cohort):
    found = fastmm.plan(patients=100, machine=STATED_NODE)
    assert [(o.device, o.measured) for o in found.outlooks] == [("cpu", False), ("cuda", False)]
    assert found.outlooks[1].needs.device > 100 * 128 * 128 * 4
    tiny = fastmm.plan(
        patients=10_000, slices=100, machine=STATED_NODE, device="cuda",
        gpu=replace(STATED_GPU, memory=1e9),
    )  # fmt: skip
    assert not tiny.fits


def test_storage_is_tried_by_reading(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(bytes(1 << 22))
    assert storage_rate([file]) > 1e6
    assert storage_rate([]) is None


def test_features_by_pool_and_kind():
    size = ImageSize("ct", 10, 80, 80, 0, 0)
    assert (size.width, size.rows) == (450, 10)
    assert replace(size, pool="stack").width == 8 * 450
    assert replace(size, pool="rows").rows == 80
    assert replace(size, features="pixels").width == 128 * 128
    assert replace(size, features="statistics").width == 8
    own = numbers(modalities={"ct": ImageModality(shape=(64, 64), features="pixels")})
    assert own.size.widths == {"ct": 4096}


def test_a_plan_is_plain_data():
    found = json.loads(json.dumps(numbers(memory_limit=10**9).to_dict(), allow_nan=False))
    assert found["memory_limit"] == 10**9
    assert found["outlooks"][0]["fits"] is True
    assert found["outlooks"][0]["stages"][0]["name"] == "start"
