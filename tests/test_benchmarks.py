"""The benchmarks run and check their results. No time is judged here."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmark_runs import FOLDER, ROOT, load, run

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not here")


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
