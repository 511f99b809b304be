"""What the launch of a kernel costs: through Numba, and of the same code through CuPy.

``python benchmarks/launching.py [FILE]`` prints the host's time of one launch by both ways, and
of the public call that makes it, for small images, and writes them to FILE as JSON. Needs a
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

import fastmm

__all__ = ["compare", "flattened", "numba_types", "small_calls"]

_ROUNDS, _LAUNCHES, _BLOCK = 9, 300, 256


def numba_types(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return Numba's types of a launch's arguments, arrays by their dtype, rank and layout."""
    from numba import typeof, types
    from numba.np.numpy_support import from_dtype

    found = []
    for arg in args:
        if hasattr(arg, "strides"):
            flags = arg.flags
            layout = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
            found.append(types.Array(from_dtype(arg.dtype), arg.ndim, layout))
        else:
            found.append(types.int64 if type(arg) is int else typeof(arg))
    return tuple(found)


def flattened(args: tuple[Any, ...]) -> list[Any]:
    """Return the parameters that Numba's code expects: of an array its facts, one by one."""
    found: list[Any] = []
    for arg in args:
        if hasattr(arg, "strides"):
            pointer = arg.data.ptr if hasattr(arg.data, "ptr") else arg.ctypes.data
            found += [np.uint64(0), np.uint64(0), np.int64(arg.size), np.int64(arg.itemsize)]
            found += [np.uint64(pointer), *map(np.int64, arg.shape), *map(np.int64, arg.strides)]
        elif isinstance(arg, bool):
            found.append(np.bool_(arg))
        else:
            found.append(np.int64(arg) if isinstance(arg, int) else arg)
    return found


def through_cupy(kernel: Any, work: int, args: tuple[Any, ...]) -> Callable[[], None]:
    """Load what Numba compiled and linked by CuPy, and return what launches it."""
    import cupy
    from numba import types

    # Not its PTX: a driver older than the compiler would refuse that, but takes linked code.
    compiled = kernel._device.compile((types.int64, *numba_types(args)))
    code = compiled._codelibrary.get_cubin()
    module = cupy.cuda.function.Module()
    module.load(bytes(getattr(code, "code", code)))
    function = module.get_function(compiled.entry_name)
    grid = (-(-work // _BLOCK), 1, 1)
    # Flattening is part of the cost: a caller would have to do it each time.
    return lambda: function(grid, (_BLOCK, 1, 1), tuple(flattened((work, *args))))


def compare(call: Callable[[], Any]) -> dict[str, Any]:
    """Measure the launches of a call, and the call."""
    import cupy
    from fastmm.kernels._jit import Kernel

    launches: list[Any] = []
    original = Kernel.run_cuda
    Kernel.run_cuda = lambda self, *given: launches.append((self, *given)) or original(self, *given)
    try:
        right = call().copy()
    finally:
        Kernel.run_cuda = original
    ours = [lambda one=one: original(*one) for one in launches]
    theirs = [through_cupy(kernel, work, args) for kernel, work, _, *args in launches]
    out = next(arg for arg in launches[-1][3:] if _same(arg, right))
    out[...] = 0
    for launch in theirs:
        launch()
    agrees = _same(out, right)
    ways = {"numba": lambda: [f() for f in ours], "cupy": lambda: [f() for f in theirs]}
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


def small_calls(image: Any) -> dict[str, Callable[[], Any]]:
    """Return public calls on a small image, by what they are called in the table."""
    return {
        "resize 64 x 64 -> 32 x 32": lambda: fastmm.resize(image, (32, 32)),
        "window 64 x 64": lambda: fastmm.window(image, 40, 400),
        "z-score 64 x 64": lambda: fastmm.normalize(image),
    }


def main() -> int:
    import cupy

    # Hounsfield units, so that the window cuts some off and the result tells them apart.
    image = np.random.default_rng(0).uniform(-1000, 1000, (64, 64)).astype(np.float32)
    found = {name: compare(call) for name, call in small_calls(cupy.asarray(image)).items()}
    for name, row in found.items():
        by_numba, by_cupy, call = (1e6 * row[way] for way in ("numba", "cupy", "call"))
        print(f"{name}: {row['launches']} launches, {by_numba:.1f} µs by Numba, {by_cupy:.1f} µs")
        print(f"  by CuPy; the call {call:.1f} µs; results agree: {row['agrees']}")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(row["agrees"] for row in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
