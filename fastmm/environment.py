"""What machine and versions a result comes from."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from fastmm import __version__
from fastmm._space import _cuda_fault

__all__ = ["environment", "gpus", "processor"]

_PACKAGES = (
    "numpy", "scipy", "numba", "numba-cuda", "scikit-learn", "pydicom", "nibabel", "Pillow",
    "cupy-cuda12x", "cupy-cuda13x", "torch", "dask", "safetensors",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """Return versions and the machine, as far as they bear on results and speed."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return {
        "fastmm": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": cores,
        "gpu": ", ".join(gpus()) or "none",
        **versions,
    }


def gpus() -> list[str]:
    """Return the names of the usable GPUs."""
    if _cuda_fault() is not None:
        return []
    import cupy

    runtime = cupy.cuda.runtime
    return [
        runtime.getDeviceProperties(i)["name"].decode() for i in range(runtime.getDeviceCount())
    ]


def processor() -> str:
    """Return the name of the processor, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()
