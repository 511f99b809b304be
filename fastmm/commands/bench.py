"""The command ``fastmm bench``: what this machine gives, and how much of it is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["bench"]


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes only, under 30 s.")] = False,
    device: Annotated[str, typer.Option(help="cpu; cuda: every GPU; auto: all there is.")] = "auto",
    stage: Annotated[
        list[str] | None, typer.Option(help="Measure only this stage; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write JSON too; - prints only JSON."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the roofline: PNG, SVG or PDF.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A.json B.json", help="Measure nothing; compare two results."),
    ] = None,
) -> None:
    """Measure this machine, and how much of it each stage takes; under 3 minutes."""
    from fastmm.bench.job import bench_job, compare_job

    if compare is not None:
        compare_job(*compare)
    elif not bench_job(device=device, quick=quick, only=stage or [], output=output, plot=plot):
        raise ValueError("a stage failed, or gave a wrong result: its row says WRONG")
