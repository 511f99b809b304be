"""What the hardware gives at best: copies, matrix products, and the cost of a launch.

Operators are judged against these figures, measured in the same run, and not against a
datasheet. ``python -m fastmm.bench.limits [FILE]`` prints them for every device, and writes them
to FILE as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.bench.devices import current, find_spaces, name_of
from fastmm.bench.machine import cores, gpu_fault
from fastmm.bench.timing import time_call, waiter

__all__ = ["Limits", "copy_bandwidth", "gemm_rate", "measure_limits"]

_SECONDS = 0.5  # for each figure


@dataclass(frozen=True)
class Limits:
    """Rates of one device: bytes/s (copies: read and written), flops/s, and seconds.

    ``float32_tf32`` is the rate of float32 products rounded to TF32, ``upload`` and
    ``download`` cross between pinned host memory and the device, ``pageable_upload`` comes
    from ordinary memory; ``launch`` is the time of the smallest piece of work, waited for.
    None: the device has no such thing.
    """

    copy: float
    float32: float
    float64: float
    launch: float
    float32_tf32: float | None = None
    upload: float | None = None
    download: float | None = None
    pageable_upload: float | None = None

    def least_seconds(self, n_bytes: float, flops: float, dtype: str) -> float:
        """Return the time that `n_bytes` and `flops` take at best: the roofline."""
        rate = self.float64 if dtype == "float64" else self.float32
        return max(n_bytes / self.copy, flops / rate)


def measure_limits(space: Space, *, quick: bool = False) -> Limits:
    """Measure one device."""
    large = space.kind == "cuda"
    size, n = (2**31, 8192) if large else (2**29, 2048)
    if quick:
        size, n = size // 4, n // 2
    found: dict[str, Any] = {
        "copy": copy_bandwidth(space, size),
        "float32": gemm_rate(space, "float32", n),
        "float64": gemm_rate(space, "float64", n),
        "launch": _launch(space),
    }
    if large:
        with _tf32(space.xp) as there:
            found["float32_tf32"] = gemm_rate(space, "float32", n) if there else None
        found |= _transfers(space, 2**28 if quick else 2**30)
    return Limits(**found)


def copy_bandwidth(space: Space, size: int) -> float:
    """Return the bytes per second, read and written, of copying `size` bytes.

    On the CPU each core copies its share: one core alone does not fill the memory bus.
    """
    xp = space.xp
    src, dst = xp.ones(size // 4, np.float32), xp.zeros(size // 4, np.float32)
    if space.kind == "cuda":
        return size // 4 * 8 / _median(space, lambda: xp.copyto(dst, src))
    count = cores()
    shares = list(zip(np.array_split(dst, count), np.array_split(src, count), strict=True))
    with ThreadPoolExecutor(count) as pool:
        seconds = _median(space, lambda: list(pool.map(lambda share: np.copyto(*share), shares)))
    return size // 4 * 8 / seconds


def gemm_rate(space: Space, dtype: str, n: int) -> float:
    """Return the flops per second of an (n, n) by (n, n) matrix product, 2 n^3 flops."""
    xp = space.xp
    left, right = (
        xp.asarray(np.random.default_rng(seed).standard_normal((n, n), np.float32).astype(dtype))
        for seed in (0, 1)
    )
    out = xp.empty_like(left)
    return 2 * n**3 / _median(space, lambda: xp.matmul(left, right, out=out))


def _launch(space: Space) -> float:
    # What adding two numbers takes: one launch, or one call of NumPy.
    one = space.xp.ones(1, np.float32)
    return _median(space, lambda: one + one)


def _transfers(space: Space, size: int) -> dict[str, float]:
    import cupyx

    xp, count = space.xp, size // 4
    device = xp.empty(count, np.float32)
    pinned = cupyx.empty_pinned((count,), np.float32)
    pinned.fill(1)
    pageable = np.ones(count, np.float32)
    return {
        "upload": size / _median(space, lambda: device.set(pinned)),
        "download": size / _median(space, lambda: device.get(out=pinned)),
        "pageable_upload": size / _median(space, lambda: device.set(pageable)),
    }


@contextmanager
def _tf32(cupy: Any) -> Any:
    # CuPy has no public switch at run time; without this one the figure is left out.
    try:
        from cupy._core import _routines_linalg as linalg

        before = linalg.get_compute_type(np.float32)
        linalg.set_compute_type(np.float32, linalg.COMPUTE_TYPE_TF32)
    except (ImportError, AttributeError, TypeError):
        yield False
        return
    try:
        yield True
    finally:
        linalg.set_compute_type(np.float32, before)


def _median(space: Space, call: Callable[[], Any]) -> float:
    return time_call(call, [()], waiter(space), _SECONDS).median


def main() -> int:
    """Print the limits of every device, and write them to the file that is named."""
    found = {}
    for space in find_spaces("auto"):
        with current(space):
            found[name_of(space)] = asdict(measure_limits(space, quick="--quick" in sys.argv))
    text = json.dumps(found, indent=1)
    for name in sys.argv[1:]:
        if name != "--quick":
            Path(name).write_text(text + "\n")
    print(text)
    if fault := gpu_fault():
        print(f"no GPU: {fault}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
