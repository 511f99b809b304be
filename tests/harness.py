"""What several test files need beside fixtures: the kernels there are, fresh interpreters."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def all_kernels() -> dict[str, Any]:
    """Find every kernel in the modules of fastmm.kernels, as "module.name"."""
    from fastmm.kernels._jit import Kernel

    import fastmm.kernels

    found: dict[str, Any] = {}
    for info in pkgutil.iter_modules(fastmm.kernels.__path__):
        module = importlib.import_module(f"fastmm.kernels.{info.name}")
        for name, value in vars(module).items():
            builds = value.items() if isinstance(value, dict) else [("", value)]
            for key, kernel in builds:
                if isinstance(kernel, Kernel):
                    found[f"{info.name}.{name}" + (f".{key}" if key else "")] = kernel
    return found


def run_python(
    code: str, *, cwd: Path | None = None, timeout: float = 120, **environ: str | None
) -> str:
    """Run code in a fresh interpreter and return what it printed; fail as it fails.

    Variables of the environment are replaced, or removed where the value is None.
    """
    settings: dict[str, str | None] = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=cwd,
        env={name: value for name, value in settings.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
