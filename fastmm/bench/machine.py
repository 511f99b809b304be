"""What a machine is: processor, memory, GPUs, driver and the versions that ran.

``python -m fastmm.bench.machine FILE`` writes it as JSON. Exit code 3: the driver lists a
GPU, but CuPy or Numba cannot use it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastmm import __version__
from fastmm._space import _cuda_fault
from fastmm.environment import processor

__all__ = ["cores", "describe", "gpu_fault", "last_level_cache", "memory"]

# Work of others on the same cores shows here, and makes every time doubtful. Taken before
# the benchmarks themselves are at work.
_LOAD_AT_START = os.getloadavg() if hasattr(os, "getloadavg") else (0.0,)

_PACKAGES = {
    "numpy": ["numpy"],
    "scipy": ["scipy"],
    "numba": ["numba"],
    "numba-cuda": ["numba-cuda"],
    "cupy": ["cupy-cuda13x", "cupy-cuda12x", "cupy"],
    "opencv": ["opencv-python-headless", "opencv-python", "opencv-contrib-python"],
    "scikit-learn": ["scikit-learn"],
    "torch": ["torch"],
    "pytest": ["pytest"],
    "pytest-benchmark": ["pytest-benchmark"],
}
_DRIVER_QUERY = "name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit"


def describe() -> dict[str, Any]:
    """Return what a reader needs to judge a figure measured here."""
    return {
        "fastmm": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": processor(),
        "cores": cores(),
        "memory_gib": round(memory() / 2**30, 1),
        "last_level_cache_mib": round(last_level_cache("CPU") / 2**20, 1),
        "load_average": [round(load, 2) for load in _LOAD_AT_START],
        "gpu": _gpu(),
        "gpu_fault": gpu_fault(),
        "versions": {name: _version(names) for name, names in _PACKAGES.items()},
    }


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """Return the bytes of memory of this machine, or 8 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 8 << 30


def gpu_fault() -> str | None:
    """Say why no GPU can be used, or None where one can."""
    return _cuda_fault()


def last_level_cache(device: str) -> int:
    """Return the size of the largest cache before memory, in bytes."""
    if device == "GPU":
        import cupy

        return int(cupy.cuda.Device().attributes["L2CacheSize"])
    sizes = [64 << 20]  # where the system does not tell: no smaller than most
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = file.read_text().strip()
        sizes.append(int(text[:-1]) << {"K": 10, "M": 20}[text[-1]])
    return max(sizes)


def _gpu() -> dict[str, Any] | None:
    if gpu_fault() is not None:
        return None
    import cupy

    runtime, device = cupy.cuda.runtime, cupy.cuda.Device()
    properties = runtime.getDeviceProperties(device.id)
    return {
        "name": properties["name"].decode(),
        "compute_capability": device.compute_capability,
        "multiprocessors": properties["multiProcessorCount"],
        "memory_gib": round(properties["totalGlobalMem"] / 2**30, 1),
        "l2_mib": round(last_level_cache("GPU") / 2**20, 1),
        "cuda_driver_api": runtime.driverGetVersion(),
        "cuda_runtime": runtime.runtimeGetVersion(),
        "nvidia_smi": _nvidia_smi(),
    }


def _nvidia_smi() -> str | None:
    return _output("nvidia-smi", f"--query-gpu={_DRIVER_QUERY}", "--format=csv,noheader")


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # an installed copy: what lies around it is not fastmm's
        return None
    return _output("git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12")


def _output(program: str, *args: str) -> str | None:
    if shutil.which(program) is None:
        return None
    try:
        done = subprocess.run(
            [program, *args], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _version(names: list[str]) -> str | None:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def main() -> int:
    """Print the description, and write it to the file that is named."""
    found = describe()
    text = json.dumps(found, indent=1)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
    print(text)
    if found["gpu_fault"] is not None:
        print(f"\nno GPU: {found['gpu_fault']}")
        return 3 if _nvidia_smi() else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
