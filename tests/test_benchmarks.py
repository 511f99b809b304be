"""The benchmarks run, check their results, and their figures are put together rightly.

No time is judged here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not here")


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = ("NUMBA_ENABLE_CUDASIM", "PYTEST_XDIST_")  # no worker of this run, no simulator
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def summary() -> Any:
    return load("summary")


def _need_shell() -> None:
    if shutil.which("bash") is None or shutil.which("timeout") is None:
        pytest.skip("run_gpu.sh needs bash and timeout")


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Run every benchmark once at a small size, by the command of benchmarks/README.md."""
    result = tmp_path_factory.mktemp("small") / "result.json"
    options = ("--sizes", "small", f"--benchmark-json={result}")
    done = run(sys.executable, "-m", "pytest", "benchmarks", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(result.read_text())
    assert "node" not in found["machine_info"]
    assert found["machine_info"]["versions"]["numpy"]
    return found["benchmarks"]  # type: ignore[no-any-return]


def test_every_benchmark_runs(small_run: list[dict[str, Any]]) -> None:
    ran = {record["name"].partition("[")[0] for record in small_run}
    assert ran >= {
        "bench_resize",
        "bench_window_resize",
        "bench_patches",
        "bench_patches_views",
        "bench_patches_copy",
        "bench_stack",
        "bench_stack_sklearn",
        "bench_call_cost",
        "bench_ridge_cv",
        "bench_ridge_cv_sklearn",
    }


def test_every_benchmark_checks_its_result(small_run: list[dict[str, Any]]) -> None:
    for record in small_run:
        assert record["stats"]["median"] > 0
        if "peer_area" in record["extra_info"]:
            continue  # another model: the benchmark compares how well both rank
        if "task" in record["extra_info"]:
            assert 0 <= record["extra_info"]["parity"] <= 1e-4, record["name"]


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


def test_a_wrong_result_fails_its_benchmark(tmp_path: Path) -> None:
    for name in ("conftest.py", "plain_benchmark.py"):
        shutil.copy(FOLDER / name, tmp_path)
    (tmp_path / "pytest.ini").write_text(
        (FOLDER / "pytest.ini").read_text().replace("pythonpath = . ..", f"pythonpath = . {ROOT}")
    )
    (tmp_path / "bench_wrong.py").write_text(
        "import numpy as np\n"
        "def bench_wrong(timed, pick):\n"
        "    timed(np.copy, np.ones(3), group='g', check=lambda out: 0.1, tolerance=0.01)\n"
        "def bench_large(timed):\n"
        "    raise AssertionError\n"
    )
    done = run(sys.executable, "-m", "pytest", str(tmp_path), "--sizes", "small")
    assert done.returncode == 1
    assert "fastmm is off by 0.1, over 0.01" in done.stdout
    assert "has one size, too large for this check" in done.stdout
    assert "1 failed, 1 skipped" in done.stdout


def test_sanitizer_script_launches_every_kernel() -> None:
    pytest.importorskip("numba.cuda", reason="numba has no CUDA simulator here")
    done = run(
        *(sys.executable, "benchmarks/sanitize.py", "--simulator"),
        NUMBA_ENABLE_CUDASIM="1",
        PYTHONPATH=str(ROOT),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not launched" not in done.stdout


PLANTED_PTX = """
import sys
sys.path.insert(0, "benchmarks")
import numba
from numba import cuda
from sanitize import faults
for tool, function in faults().items():
    array = numba.int32[::1]
    text, _ = cuda.compile_ptx(function, numba.void(array, array), cc=(9, 0))
    print(tool, "st.shared" in text, "bar.sync" in text or "barrier.sync" in text)
"""


@pytest.mark.ptx
def test_planted_faults_survive_the_compiler() -> None:
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    done = run(sys.executable, "-c", PLANTED_PTX, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "memcheck False False",
        "racecheck True False",
        "initcheck False False",
        "synccheck True True",
    ]


def test_small_calls_are_calls_that_work() -> None:
    import numpy as np

    image = np.linspace(-1000, 1000, 64 * 64, dtype=np.float32).reshape(64, 64)
    for call in load("launching").small_calls(image).values():
        found = call()
        assert found.min() < found.max()


def result(name: str, median: float, group: str, **info: Any) -> dict[str, Any]:
    return {"name": name, "group": group, "stats": {"median": median}, "extra_info": info}


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Return a result file with known ratios."""
    task = "resize float32 1 x 2 x 2 -> 1 x 1"
    rate = {"GB/s": 4.0, "copy_limit_GB/s": 16.0}
    records = [
        result("bench_resize_opencv", 0.26, f"{task}, CPU", task=task, peer="OpenCV", device="CPU"),
        result("bench_resize[numpy]", 0.2, f"{task}, CPU", task=task, peer="fastmm", **rate),
        result("bench_resize[cupy]", 0.01, f"{task}, GPU", task=task, peer="fastmm", device="GPU"),
        result("bench_ridge_cv", 1e-4, "ridge search 1 x 1"),
        result("bench_ridge_cv_sklearn", 0.01, "ridge search 1 x 1"),
    ]
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"machine_info": {"cpu": "C", "cores": 2}, "benchmarks": records}))
    return path


def test_ratios_compare_within_task_and_device(summary: Any, measured: Path) -> None:
    _, records = summary.load([measured])
    assert [(r["peer"], r["device"]) for r in records[:3]] == [
        ("fastmm", "CPU"),
        ("OpenCV", "CPU"),
        ("fastmm", "GPU"),
    ]
    opencv, sklearn = summary.ratios(records)
    assert (opencv["ratio"], opencv["target"], opencv["reached"]) == (1.3, 1.3, True)
    assert (sklearn["ratio"], sklearn["target"], sklearn["reached"]) == (100, 150, False)


def test_table_shows_ratio_target_and_share(summary: Any, measured: Path) -> None:
    rows = summary.table(*summary.load([measured])).splitlines()
    opencv = next(row for row in rows if "| OpenCV |" in row)
    assert "| 260.00 ms |" in opencv
    assert "| 1.30 x | 1.3 x: reached |" in opencv
    assert any("| 4.0 GB/s | 25 % |" in row for row in rows)
    assert any("| 100.00 x | 150 x: missed |" in row for row in rows)


def test_check_and_record(summary: Any, measured: Path, tmp_path: Path, capsys: Any) -> None:
    record = tmp_path / "record.json"
    assert summary.main([str(measured), "--check", "--json", str(record)]) == 1
    assert summary.main([str(measured)]) == 0
    first = capsys.readouterr().out
    summary.main([str(record)])
    assert capsys.readouterr().out in first


def test_readme_table_is_replaced(summary: Any, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{summary.BEGIN}\nold\n{summary.END}\nbelow\n")
    summary.put_into_readme("new", readme)
    summary.put_into_readme("newer", readme)
    assert readme.read_text() == f"above\n{summary.BEGIN}\n\nnewer\n\n{summary.END}\nbelow\n"
    readme.write_text("no markers")
    with pytest.raises(SystemExit, match="lacks the markers"):
        summary.put_into_readme("new", readme)


def test_readme_has_the_markers(summary: Any) -> None:
    text = (FOLDER / "README.md").read_text()
    assert text.count(summary.BEGIN) == 1
    assert text.count(summary.END) == 1
    assert text.index(summary.BEGIN) < text.index(summary.END)
