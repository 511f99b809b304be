"""What the launch of a kernel costs the host: as fastmm does it, and by Numba's dispatcher.

``python benchmarks/launching.py [FILE]`` prints the time of the launches by both ways, and of
the public call that makes them, for small images, and writes them to FILE as JSON. Needs a
GPU. Exit code 1: both ways give different results.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fastmm.kernels._jit import Kernel, numba_cuda

import fastmm

__all__ = ["compare", "small_calls"]

_ROUNDS, _LAUNCHES, _BLOCK = 9, 300, 256


def small_calls(image: Any) -> dict[str, Callable[[], Any]]:
    """Return public calls on a small image, by what they are called in the table."""
    return {
        "resize 64 x 64 -> 32 x 32": lambda: fastmm.resize(image, (32, 32)),
        "window 64 x 64": lambda: fastmm.window(image, 40, 400),
        "z-score 64 x 64": lambda: fastmm.normalize(image),
    }


def through_numba(kernel: Kernel, work: int, args: tuple[Any, ...]) -> Callable[[], None]:
    """Return what launches a kernel by Numba's dispatcher, on the default stream."""
    module = numba_cuda()
    grid = (-(-work // _BLOCK), _BLOCK, module.default_stream())

    def launch() -> None:
        # Wrapping is part of the cost: arrays are others in each call.
        taken = (module.as_cuda_array(a, sync=False) if hasattr(a, "data") else a for a in args)
        kernel._device[grid](work, *taken)

    return launch


def compare(call: Callable[[], Any]) -> dict[str, Any]:
    """Measure the launches of a call, and the call."""
    import cupy

    launches: list[Any] = []
    original = Kernel.run_cuda
    Kernel.run_cuda = lambda self, *given: launches.append((self, *given)) or original(self, *given)
    try:
        right = call().copy()
    finally:
        Kernel.run_cuda = original
    ours = [lambda one=one: original(*one) for one in launches]
    theirs = [through_numba(kernel, work, args) for kernel, work, _, *args in launches]
    out = next(arg for arg in launches[-1][3:] if _same(arg, right))
    out[...] = 0
    for launch in theirs:
        launch()
    agrees = _same(out, right)
    ways = {"fastmm": lambda: [f() for f in ours], "numba": lambda: [f() for f in theirs]}
    times: dict[str, list[float]] = {name: [] for name in (*ways, "call")}
    for _ in range(_ROUNDS):
        for name, way in (*ways.items(), ("call", call)):
            cupy.cuda.runtime.deviceSynchronize()
            start = time.perf_counter()
            for _ in range(_LAUNCHES):
                way()
            times[name].append((time.perf_counter() - start) / _LAUNCHES)
    found: dict[str, Any] = {name: statistics.median(t[1:]) for name, t in times.items()}
    return {**found, "launches": len(launches), "agrees": agrees}


def _same(arg: Any, right: Any) -> bool:
    alike = getattr(arg, "size", -1) == right.size and arg.dtype == right.dtype
    return alike and bool((arg.ravel() == right.ravel()).all())


def main() -> int:
    import cupy

    # Hounsfield units, so that the window cuts some off and the result tells them apart.
    image = np.random.default_rng(0).uniform(-1000, 1000, (64, 64)).astype(np.float32)
    found = {name: compare(call) for name, call in small_calls(cupy.asarray(image)).items()}
    for name, row in found.items():
        ours, theirs, call = (1e6 * row[way] for way in ("fastmm", "numba", "call"))
        print(f"{name}: {row['launches']} launches, {ours:.1f} µs, by Numba {theirs:.1f} µs;")
        print(f"  the call {call:.1f} µs; results agree: {row['agrees']}")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(row["agrees"] for row in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
