"""What the hardware gives at best: copy bandwidth and the rate of matrix products.

``python benchmarks/limits.py [FILE]`` prints both for the CPU and, where there is one,
the GPU, and writes them to FILE as JSON. Operators are judged against these figures and
not against a datasheet.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from machine import cores, gpu_fault

__all__ = ["copy_bandwidth", "gemm_rate", "measure"]

_ROUNDS = 7


def copy_bandwidth(device: str, size: int) -> float:
    """Return the bytes per second, read and written, of copying `size` bytes.

    On the CPU each core copies its share: one core alone does not fill the memory bus.
    """
    count = size // 4
    if device == "GPU":
        import cupy

        src = cupy.ones(count, cupy.float32)
        dst = cupy.empty_like(src)
        return 2 * src.nbytes / _median(lambda: cupy.copyto(dst, src), cupy)
    src, dst = np.ones(count, np.float32), np.zeros(count, np.float32)
    count = cores()
    shares = list(zip(np.array_split(dst, count), np.array_split(src, count), strict=True))
    with ThreadPoolExecutor(count) as pool:
        seconds = _median(lambda: list(pool.map(lambda share: np.copyto(*share), shares)))
    return 2 * src.nbytes / seconds


def gemm_rate(device: str, dtype: str, n: int) -> float:
    """Return the flops per second of an (n, n) by (n, n) matrix product, 2 n^3 flops."""
    xp: Any = np
    if device == "GPU":
        import cupy as xp
    left, right = (
        xp.asarray(np.random.default_rng(seed).standard_normal((n, n)).astype(dtype))
        for seed in (0, 1)
    )
    out = xp.empty_like(left)
    seconds = _median(lambda: xp.matmul(left, right, out=out), xp if device == "GPU" else None)
    return 2 * n**3 / seconds


def measure(sizes: str = "full") -> dict[str, dict[str, float | int]]:
    """Measure each device that is here; rates in GB/s and GFLOP/s."""
    found = {}
    for device in ["CPU"] if gpu_fault() else ["CPU", "GPU"]:
        large = device == "GPU"
        size, n = (2**31, 8192) if large else (2**29, 2048)
        if sizes == "small":
            size, n = 2**20, 64
        found[device] = {
            "copy_bytes": size,
            "copy_GB/s": round(copy_bandwidth(device, size) / 1e9, 2),
            "gemm_n": n,
            "gemm_float32_GFLOP/s": round(gemm_rate(device, "float32", n) / 1e9, 1),
            "gemm_float64_GFLOP/s": round(gemm_rate(device, "float64", n) / 1e9, 1),
        }
    return found


def _median(call: Callable[[], Any], cupy: Any = None) -> float:
    times = []
    for _ in range(_ROUNDS + 2):
        start = time.perf_counter()
        call()
        if cupy is not None:
            cupy.cuda.get_current_stream().synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:]))


def main() -> int:
    found = measure(os.environ.get("SIZES", "full"))
    text = json.dumps(found, indent=1)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
    print(text)
    if "GPU" not in found:
        print(f"no GPU: {gpu_fault()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
