"""The figures of the benchmarks are put together rightly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmark_runs import FOLDER, load

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not here")


@pytest.fixture(scope="module")
def summary() -> Any:
    return load("summary")


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
