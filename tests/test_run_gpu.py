"""run_gpu.sh: one record of all its parts, whatever fails, within its time."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from benchmark_runs import FOLDER, run

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not here")


def _need_shell() -> None:
    if shutil.which("bash") is None or shutil.which("timeout") is None:
        pytest.skip("run_gpu.sh needs bash and timeout")


@pytest.fixture(scope="module")
def gpu_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Run run_gpu.sh with a failing test and without pytest-benchmark; folder, exit code."""
    _need_shell()
    folder = tmp_path_factory.mktemp("run")
    (folder / "pytest_benchmark.py").write_text("raise ImportError('hidden')\n")
    (folder / "test_planted.py").write_text("def test_wrong():\n    assert False\n")
    out = folder / "with a space"
    done = run(
        *("bash", "benchmarks/run_gpu.sh", str(out)),
        PYTHON=sys.executable,
        SIZES="small",
        TESTS=str(folder / "test_planted.py"),
        BENCHMARKS="benchmarks/bench_fuse.py",
        PYTHONPATH=str(folder),
        PYTEST_ADDOPTS="-p no:benchmark",
    )
    assert (out / "gpu-run.json").is_file(), done.stdout + done.stderr
    return out, done.returncode


def test_run_gpu_writes_one_json_and_one_text(gpu_run: tuple[Path, int]) -> None:
    out, _ = gpu_run
    assert sorted(p.name for p in out.iterdir()) == ["gpu-run.json", "gpu-run.txt"]
    found = json.loads((out / "gpu-run.json").read_text())
    states = {part["part"]: part for part in found["parts"]}
    for name in ("environment", "limits", "bench_fuse"):
        assert (states[name]["state"], states[name]["exit_code"]) == ("passed", 0)
    assert found["limits"]["cpu"]["copy"] > 0
    names = {record["name"] for record in found["benchmarks"]}
    assert names >= {"bench_stack[numpy]", "bench_stack_sklearn"}


def test_run_gpu_goes_on_after_a_failing_part(gpu_run: tuple[Path, int]) -> None:
    out, code = gpu_run
    assert code == 1
    found = json.loads((out / "gpu-run.json").read_text())
    states = {part["part"]: part for part in found["parts"]}
    assert (states["tests"]["state"], states["tests"]["exit_code"]) == ("FAILED", 1)
    assert found["tests"]["failures"] == 1
    # Where the checkout and the temporary folder share a parent, the name starts from there.
    [failed] = found["tests"]["failed"]
    assert failed.endswith("test_planted::test_wrong")
    assert "assert False" in (out / "gpu-run.txt").read_text()


def test_run_gpu_says_that_there_is_no_gpu(gpu_run: tuple[Path, int]) -> None:
    out, _ = gpu_run
    found = json.loads((out / "gpu-run.json").read_text())
    if found["machine"]["gpu"] is not None:
        pytest.skip("there is a GPU here")
    states = {part["part"]: part["state"] for part in found["parts"]}
    tools = ("memcheck", "racecheck", "initcheck", "synccheck")
    for name in (*(f"sanitizer, {tool}" for tool in tools), "benchmarks on the GPU"):
        assert states[name] == "no GPU"
    assert "There is no GPU to run on" in (out / "gpu-run.txt").read_text()


def test_run_gpu_without_a_gpu_and_without_failures_succeeds(tmp_path: Path) -> None:
    _need_shell()
    done = run(
        "bash",
        "benchmarks/run_gpu.sh",
        str(tmp_path),
        "limits",
        PYTHON=sys.executable,
        SIZES="small",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "gpu-run.json").read_text())
    assert found["parts"][0]["state"] == "passed"
    assert found["benchmarks"] == []


def test_run_gpu_stops_in_time(tmp_path: Path) -> None:
    _need_shell()
    command = ("bash", "benchmarks/run_gpu.sh", str(tmp_path), "limits")
    done = run(*command, PYTHON=sys.executable, SECONDS_ALLOWED="0")
    assert done.returncode == 1
    found = json.loads((tmp_path / "gpu-run.json").read_text())
    assert found["parts"][0]["state"] == "no time left"
