"""What run_gpu.sh brings home becomes a record, tables and a picture by one command."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not here")

LIMITS = {"copy": 4e12, "float32": 5e13, "float64": 3e13, "launch": 6e-6, "float32_tf32": None,
          "upload": 5e10, "download": 5e10, "pageable_upload": 9e9}  # fmt: skip
ROW = {"stage": "resize", "size": "large", "device": "cuda:0", "dtype": "float32", "spread": 0.02,
       "seconds": {"median": 2e-4}, "rate": 5e6, "unit": "img/s", "share_of_limit": 0.71,
       "peak_bytes": 3 << 20, "error": 1e-7, "right": True, "flops": 1e8, "bytes": 6e8}  # fmt: skip


def run(parts: list[str], **more: Any) -> dict[str, Any]:
    gpu = {"name": "NVIDIA H200", "memory_gib": 141, "cuda_runtime": 13000, "nvidia_smi": "x"}
    states = [{"part": p, "state": "passed", "exit_code": 0, "seconds": 7} for p in parts]
    return {"machine": {"gpu": gpu, "commit": "abc"}, "parts": states, "benchmarks": [], **more}


def bench(peer: str, median: float) -> dict[str, Any]:
    info = {"bytes": 4e8, "GB/s": 2000.0, "copy_limit_GB/s": 4000.0, "parity": 1e-7}
    return {"task": "resize float32 1", "device": "GPU", "peer": peer, "name": "bench_resize",
            "stats": {"median": median}, "info": info}  # fmt: skip


@pytest.fixture
def publish() -> Any:
    spec = importlib.util.spec_from_file_location("publish", FOLDER / "publish.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_runs_become_a_record_tables_and_a_picture(publish: Any, tmp_path: Path) -> None:
    failed = {"tests": 900, "failures": 1, "errors": 0, "skipped": 4}
    devices = [{"device": "cuda:0", "name": "NVIDIA H200", "limits": LIMITS}]
    stages = {"date": "2026-12-01T10:00:00", "failed": [], "results": [ROW], "devices": devices}
    launches = {"z-score": {"fastmm": 1e-5, "numba": 1e-4, "call": 2e-5, "launches": 7,
                            "agrees": True}}  # fmt: skip
    first = run(["environment", "tests on the GPU"], gpu_tests=failed,
                benchmarks=[bench("fastmm", 9.0)])  # fmt: skip
    second = run(["environment", "bench_resizing"], stages=stages, launches=launches,
                 limits={"cuda:0": LIMITS},
                 benchmarks=[bench("fastmm", 2e-4), bench("PyTorch", 6e-4)])  # fmt: skip
    files = []
    for name, found in (("one", first), ("two", second)):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(found))
    cpu = bench("fastmm", 1.0) | {"device": "CPU"}
    (tmp_path / "cpu-1.json").write_text(json.dumps({"benchmarks": [cpu]}))
    readme, picture = tmp_path / "README.md", tmp_path / "roof.svg"
    marks = "<!-- {0}: begin, written by summary.py -->\nold\n<!-- {0}: end -->\n"
    readme.write_text(marks.format("gpu") + marks.format("gpu predictions"))
    options = ("--readme", readme, "--results", tmp_path, "--picture", picture)
    assert publish.main([str(a) for a in (*files, *options)]) == 0

    record = json.loads((tmp_path / "h200-2026-12-01.json").read_text())
    names = ["environment", "tests on the GPU", "bench_resizing"]
    assert [part["part"] for part in record["parts"]] == names
    assert [r["stats"]["median"] for r in record["benchmarks"]] == [2e-4, 6e-4]
    assert record["ratios"][0]["ratio"] == 3
    assert record["gpu_tests"] == failed
    assert "</svg>" in picture.read_text()
    text = readme.read_text()
    assert "old" not in text
    for expected in (
        "GPU: NVIDIA H200", "900 run, 1 failed, 4 skipped", "| 3.00 x |", "50.0 GB/s",
        "| z-score | 7 | 10.0 µs | 100.0 µs | 20.0 µs | yes |",
        "| resize | large | 0.200 ms | ±2% |",
        "| 200.0 µs | 50 % |",
    ):  # fmt: skip
        assert expected in text, expected


def test_runs_without_a_gpu_or_of_two_are_refused(publish: Any) -> None:
    none = run([]) | {"machine": {"gpu": None}}
    other = run([])
    other["machine"]["gpu"]["name"] = "another"
    for runs in ([none], [run([]), other]):
        with pytest.raises(SystemExit, match="must be of one GPU"):
            publish.join(runs)


def test_the_readme_has_the_markers() -> None:
    text = (FOLDER / "README.md").read_text()
    for name in ("gpu", "gpu predictions"):
        assert text.count(f"<!-- {name}: begin, written by summary.py -->") == 1
        assert text.count(f"<!-- {name}: end -->") == 1
