"""Stand in for pytest-benchmark where it is not installed.

The same fixture and JSON, as far as the benchmarks here use them, so that a machine with
only pytest can be measured. With pytest-benchmark installed this file is not loaded.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

__all__ = ["Benchmark", "benchmark"]

_RECORDS: list[dict[str, Any]] = []


class Benchmark:
    """Time calls of one benchmark."""

    def __init__(self, name: str, *, disabled: bool) -> None:
        self.name, self.disabled = name, disabled
        self.group: str | None = None
        self.extra_info: dict[str, Any] = {}
        self.stats: Any = None

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Time `function` for a second, five rounds at least."""
        start = time.perf_counter()
        result = function(*args, **kwargs)
        once = time.perf_counter() - start
        rounds = max(5, min(1000, int(1 / max(once, 1e-6))))
        return result if self.disabled else self.pedantic(function, args, kwargs, rounds=rounds)

    def pedantic(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """Time `rounds` of `iterations` calls each, after untimed ones."""
        times, result = [], None
        for turn in range(1 if self.disabled else warmup_rounds + rounds):
            called, named = (setup() if setup else None) or (args, kwargs or {})
            start = time.perf_counter()
            for _ in range(iterations):
                result = target(*called, **named)
            seconds = (time.perf_counter() - start) / iterations
            if turn >= warmup_rounds:
                times.append(seconds)
        if not self.disabled:
            self.stats = SimpleNamespace(stats=SimpleNamespace(**_statistics(times)))
        return result


@pytest.fixture
def benchmark(request: pytest.FixtureRequest) -> Any:
    """Time calls, as pytest-benchmark's fixture of that name does."""
    disabled = request.config.getoption("benchmark_disable")
    fixture = Benchmark(request.node.name, disabled=disabled)
    yield fixture
    if fixture.stats is not None:
        record = {"name": fixture.name, "group": fixture.group, "extra_info": fixture.extra_info}
        _RECORDS.append(record | {"stats": vars(fixture.stats.stats)})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Accept the options of pytest-benchmark that the benchmarks need."""
    parser.addoption("--benchmark-json", type=Path, default=None)
    parser.addoption("--benchmark-disable", action="store_true")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was measured."""
    path = session.config.getoption("benchmark_json")
    if path is not None and _RECORDS:
        from fastmm.bench.machine import describe

        found = {"machine_info": describe(), "benchmarks": _RECORDS}
        path.write_text(json.dumps(found, indent=1) + "\n")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line for each benchmark."""
    for record in _RECORDS:
        milliseconds = record["stats"]["median"] * 1e3
        terminalreporter.write_line(f"{record['name']:60} {milliseconds:12.3f} ms (median)")


def _statistics(times: list[float]) -> dict[str, float]:
    quarter = statistics.quantiles(times, n=4) if len(times) > 1 else [times[0]] * 3
    return {
        "min": min(times),
        "max": max(times),
        "mean": statistics.fmean(times),
        "median": statistics.median(times),
        "stddev": statistics.stdev(times) if len(times) > 1 else 0.0,
        "iqr": quarter[2] - quarter[0],
        "rounds": len(times),
    }
