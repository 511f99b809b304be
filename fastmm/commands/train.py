"""The command ``fastmm train``: validate and fit a model on a cohort."""

from __future__ import annotations

from typing import Any

import typer

from fastmm.commands.options import NOTICE, typed
from fastmm.commands.training import of_training

__all__ = ["train"]


@of_training
def train(training: dict[str, Any]) -> None:
    """Train and validate a model on a cohort."""
    from fastmm.commands.console import progress_bars, show_regression, show_study
    from fastmm.jobs.training import train_job

    file = training["cohort_file"]
    with progress_bars() as bars:
        study = train_job(
            **training,
            task=bars,
            title=file.stem if file.stem != "cohort" else file.resolve().parent.name,
            command=typed(),
        )
    show = show_regression if study.results.get("task") == "regression" else show_study
    show(study.results, training["output"])
    typer.echo(NOTICE)
