"""What the benchmarks share: their sizes, the array libraries, and how a call is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fastmm._space import Space
from fastmm.bench.limits import copy_bandwidth
from fastmm.bench.machine import describe, gpu_fault, last_level_cache

try:
    import pytest_benchmark  # noqa: F401
except ImportError:
    pytest_plugins = ["plain_benchmark"]

_SECONDS = 2.0  # for the timed rounds of one benchmark
_MOST_SETS = 16


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --sizes, which turns the benchmarks into a quick check that they still run."""
    parser.addoption(
        "--sizes",
        choices=("full", "small"),
        default="full",
        help="full: sizes that are measured; small: each benchmark once, in a moment",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, from the quick check, benchmarks that know no small size."""
    if config.getoption("--sizes") == "small":
        for item in items:
            if "pick" not in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="has one size, too large for this check"))


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: Any) -> None:
    """Describe the machine in fastmm's own terms; the host's name is nobody's business."""
    machine_info.clear()
    machine_info.update(describe(), sizes=config.getoption("--sizes"))


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_generate_commit_info(config: pytest.Config) -> dict[str, Any]:
    """Leave the commit to ``machine_info``: the plugin's own holds names of branches."""
    return {}


@dataclass(frozen=True)
class Arrays:
    """One array library: its namespace, and the way back to the host."""

    name: str
    xp: Any

    def asnumpy(self, array: Any) -> np.ndarray:
        """Copy an array to the host."""
        return self.xp.asnumpy(array) if self.name == "cupy" else np.asarray(array)


@pytest.fixture(params=["numpy", pytest.param("cupy", marks=pytest.mark.gpu)])
def arrays(request: pytest.FixtureRequest) -> Arrays:
    """Serve NumPy on the CPU, CuPy on the GPU."""
    if request.param == "numpy":
        return Arrays("numpy", np)
    _need_gpu()
    import cupy

    return Arrays("cupy", cupy)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def torch_from(request: pytest.FixtureRequest) -> Callable[[np.ndarray], Any]:
    """Return a function that brings host arrays to torch, on the CPU or on the GPU."""
    if request.param == "cuda":
        _need_gpu()
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("this build of PyTorch sees no GPU")
    return lambda array: torch.from_numpy(array).to(request.param)


@pytest.fixture
def pick(request: pytest.FixtureRequest) -> Callable[[Any, Any], Any]:
    """Return a function that chooses between the full and the small size."""
    small = request.config.getoption("--sizes") == "small"
    return lambda full, tiny: tiny if small else full


@pytest.fixture(scope="session")
def copy_limit() -> Callable[[str], float]:
    """Return a function that measures, once, a device's copy bandwidth in bytes/s."""
    known: dict[str, float] = {}

    def limit(device: str) -> float:
        if device not in known:
            space = Space("cuda" if device == "GPU" else "cpu")
            known[device] = copy_bandwidth(space, 2**31 if device == "GPU" else 2**29)
        return known[device]

    return limit


@pytest.fixture
def timed(request: pytest.FixtureRequest, benchmark: Any, copy_limit: Any) -> Callable[..., Any]:
    """Return a function that times a call and records what the figure means.

    ``timed(function, *args, group=..., peer=..., bytes=..., flops=..., check=...,
    tolerance=..., calls=..., files=..., on=...)`` calls `function` with copies of `args` in
    turn, so many of them that no call finds its input in a cache, and waits for the device
    within the time taken. `bytes` are those that must be read and written at least. `check`
    turns a result into its error against an oracle, which must not exceed `tolerance`. With
    `calls`, the mean cost of that many calls of a short function, inputs in the cache, is
    taken. `files` are read by one call; `on` names the device of a function that no array
    comes into.
    """
    small = request.config.getoption("--sizes") == "small"

    def run(
        function: Callable[..., Any],
        *args: Any,
        group: str,
        peer: str = "fastmm",
        bytes: int = 0,
        flops: int = 0,
        check: Callable[[Any], float] | None = None,
        tolerance: float = 0.0,
        calls: int = 1,
        files: int = 0,
        on: str | None = None,
    ) -> None:
        wait = _gpu_waiter() if on == "GPU" else _waiter(args)
        device = "CPU" if wait is None else "GPU"
        benchmark.group = f"{group}, {device}"
        info = benchmark.extra_info
        info.update(device=device, peer=peer, task=group, sizes="small" if small else "full")

        def call(*given: Any) -> Any:
            result = function(*given)
            if wait is not None:
                wait()
            return result

        result = call(*args)
        if check is not None:
            info["parity"] = error = float(check(result))
            assert error <= tolerance, f"{peer} is off by {error:.3g}, over {tolerance:g}"
        del result
        start = time.perf_counter()
        call(*args)
        once = max(time.perf_counter() - start, 1e-7)
        rounds = 1 if small else int(np.clip(_SECONDS / (once * calls), 5, 200))
        if calls > 1:
            benchmark.pedantic(call, args, rounds=rounds, iterations=calls, warmup_rounds=1)
        else:
            sets = _rotation(args, 2 if small else _sets_needed(args, device))
            info["input_sets"] = len(sets)
            turn = _turns(sets)
            warm = 0 if small else min(len(sets), 3)
            benchmark.pedantic(
                call, setup=lambda: (next(turn), {}), rounds=rounds, warmup_rounds=warm
            )
        if benchmark.stats is None:
            return
        median = benchmark.stats.stats.median
        if bytes:
            info["bytes"], info["GB/s"] = bytes, round(bytes / median / 1e9, 3)
            if not small:
                info["copy_limit_GB/s"] = round(copy_limit(device) / 1e9, 3)
        if files:
            info["files/s"] = round(files / median)
        if flops:
            info["flops"], info["GFLOP/s"] = int(flops), round(flops / median / 1e9, 3)

    return run


def _need_gpu() -> None:
    fault = gpu_fault()
    if fault is not None:
        pytest.skip(f"no usable GPU: {fault}")


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value] if hasattr(value, "nbytes") else []


def _gpu_waiter() -> Callable[[], None]:
    import cupy

    return cupy.cuda.get_current_stream().synchronize  # type: ignore[no-any-return]


def _waiter(args: Any) -> Callable[[], None] | None:
    for leaf in _leaves(args):
        if type(leaf).__module__.startswith("cupy"):
            return _gpu_waiter()
        if getattr(leaf, "is_cuda", False):
            import torch

            return torch.cuda.synchronize
    return None


def _sets_needed(args: Any, device: str) -> int:
    # By the time a set comes round again, twice the cache has been read.
    size = max(1, sum(leaf.nbytes for leaf in _leaves(args)))
    return int(np.clip(-(-2 * last_level_cache(device) // size), 1, _MOST_SETS))


def _rotation(args: Any, count: int) -> list[Any]:
    return [args, *(_copied(args) for _ in range(count - 1))]


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(item) for item in value)
    if hasattr(value, "nbytes"):
        return value.clone() if hasattr(value, "clone") else value.copy()
    return value


def _turns(sets: list[Any]) -> Any:
    while True:
        yield from sets
