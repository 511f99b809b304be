"""The command ``plan``, which takes the options of ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fastmm.commands.training import of_training

__all__ = ["plan"]


@of_training
def plan(
    training: dict[str, Any],
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Plan reading and features for N threads of a dask cluster, without asking one.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write JSON too; - prints only JSON."),
    ] = None,
) -> None:
    """Tell what a training takes before it runs: bytes, seconds, memory, and what fits.

    Headers of a sample are read, no pixel; rates of this machine are measured. With
    --scheduler, reading and features are divided by the threads of its workers.
    """
    from fastmm.jobs.planning import plan_job
    from fastmm.training_options import check_columns

    check_columns(training)
    asked = (
        "label", "group", "images", "tables", "masks", "features", "fusion", "interactions",
        "pool", "by", "device", "scheduler", "memory_limit",
    )  # fmt: skip
    plan_job(
        training["cohort_file"],
        output=file,
        model=training["models"][0],
        task=training["kind"],
        workers=workers,
        **{name: training[name] for name in asked},
    )
