"""The command ``plan``, as a person types it."""

import inspect
import json

import pytest
from typer.testing import CliRunner

from fastmm import cli, planner
from fastmm.commands.plan import plan
from fastmm.datasets import make_cohort
from fastmm.findings import cluster
from fastmm.planning.machines import STATED_NODE, this_machine


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "data"
    return make_cohort(folder, n_patients=8, seed=1, slices=3, shape=(64, 64), missing=0)


@pytest.fixture(autouse=True)
def _known_machine(monkeypatch):
    """Measure nothing: what others do on this machine is not tested here."""
    monkeypatch.setattr(planner, "this_machine", lambda: STATED_NODE)
    monkeypatch.setattr(planner, "measured_gpu", lambda: None)


def typed(cohort, *options):
    images = ("--image", "ct", "--image", "mr", "--table", "age,sex")
    given = ("plan", str(cohort), "--label", "malignant", "--group", "patient", *images)
    return CliRunner().invoke(cli.app, [*given, *options], terminal_width=200)


def test_a_plan_is_shown(cohort):
    done = typed(cohort)
    assert not done.exit_code, done.output
    for text in (
        "8 rows of 8 patients", "read, window, resize", "validate ridge", "56 fits, 7 sets",
        "permutation tests", "learning curve", "factorise", "It fits", "stated, not measured",
        "all at once",
    ):  # fmt: skip
        assert text in done.output
    for line in cohort.read_text().splitlines()[1:]:
        assert line.split(",")[0] not in done.output  # no patient is named


def test_the_options_of_train_are_taken():
    names = inspect.signature(plan).parameters
    of_train = inspect.signature(cli.train).parameters
    assert set(of_train) <= set(names)
    assert all(names[name].default == of_train[name].default for name in of_train)


def test_json_holds_the_plan_and_nothing_else(cohort, tmp_path):
    printed = json.loads(typed(cohort, "--json", "-").output)
    file = tmp_path / "plan.json"
    assert not typed(cohort, "--json", file).exit_code
    written = json.loads(file.read_text())
    assert written["size"] == printed["size"]
    assert [image["slices"] for image in written["size"]["images"]] == [24, 24]
    assert written["outlooks"][0]["seconds"] == sum(
        stage["seconds"]
        for stage in written["outlooks"][0]["stages"]
        if not stage["name"].startswith(" ")
    )


def test_a_limit_is_taken_and_what_does_not_fit_is_said(cohort):
    small = typed(cohort, "--memory-limit", "1MB", "--model", "lssvm", "--device", "cpu")
    assert not small.exit_code
    assert "It does not fit into 1MB" in small.output
    large = typed(cohort, "--memory-limit", "1GB", "--device", "cpu")
    assert "It fits into 1GB" in large.output
    assert "4 at a time" in large.output


def test_threads_of_a_cluster_are_counted(cohort):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=3, processes=False, dashboard_address=None
    ) as cluster:
        asked = typed(cohort, "--scheduler", cluster.scheduler_address)
    assert not asked.exit_code, asked.output
    assert "3 threads of a cluster" in asked.output
    assert "read and features (cluster)" in asked.output
    found = json.loads(typed(cohort, "--workers", "40", "--json", "-").output)
    assert found["threads"] == 40
    assert [image["files"] for image in found["size"]["images"]] == [24, 24]
    assert found["outlooks"][0]["needs"]["worker"] > 3 * 4 * 128 * 128


def test_a_number_as_a_label_is_planned(cohort):
    done = typed(cohort, "--task", "regression", "--json", "-")
    assert not done.exit_code, done.output
    found = json.loads(done.output)
    names = [stage["name"] for stage in found["outlooks"][0]["stages"]]
    assert "permutation tests" not in names
    assert "intervals over patients" in names
    assert "--by" in str(typed(cohort, "--task", "regression", "--by", "sex").exception)


def test_mistakes_are_errors(cohort, monkeypatch):
    monkeypatch.setattr(cluster, "_WAIT", "300ms")
    assert "no dask scheduler" in str(typed(cohort, "--scheduler", "tcp://[::1]:1").exception)
    assert "cuda" in str(typed(cohort, "--workers", "2", "--device", "cuda").exception)
    assert "lacks" in str(typed(cohort, "--by", "grade").exception)
    assert "no kernels" in str(typed(cohort, "--fusion", "kernel").exception)
    assert "--window" in str(typed(cohort, "--window", "ct=wide").exception)
    assert "`--suv` names pet" in str(typed(cohort, "--suv", "pet").exception)
    assert "memory_limit" in str(typed(cohort, "--memory-limit", "much").exception)
    assert "pet" in str(typed(cohort, "--features", "pet=pixels").exception)


def test_this_machine_is_measured():
    found = this_machine()
    assert not found.stated
    assert 0 < found.core_float64 <= found.float64
    assert 1e8 < found.core_copy <= found.copy < 1e13
    assert found.cores >= 1
    assert this_machine() is found
