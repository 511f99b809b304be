"""The command ``fastmm info``: versions and devices."""

from __future__ import annotations

import typer

from fastmm.commands.options import NOTICE

__all__ = ["info"]


def info() -> None:
    """Print versions and devices, and what would run where."""
    from fastmm._space import _cuda_fault
    from fastmm.commands.console import show_facts
    from fastmm.environment import environment
    from fastmm.kernels._cache import cache_folder

    fault = _cuda_fault()
    show_facts(
        {
            **environment(),
            "NumPy arrays": "run on the CPU",
            "CuPy arrays": "run on their GPU" if fault is None else f"not here: {fault}",
            'device="auto"': "cpu" if fault else "cuda",
            "compiled kernels": cache_folder() or "not kept, no folder is writable",
        }
    )
    typer.echo(NOTICE)
