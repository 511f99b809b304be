"""The command ``fastmm demo``: the whole job on a synthetic cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastmm.commands.choices import Output
from fastmm.commands.options import NOTICE, typed

__all__ = ["demo"]


def demo(
    output: Output = Path("fastmm-demo"),
    patients: Annotated[int, typer.Option(help="How many synthetic patients to make.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic cohort.")] = 0,
) -> None:
    """Run the whole job on a synthetic cohort."""
    from fastmm.commands.console import progress_bars, show_study
    from fastmm.jobs.training import demo_cohort, train_job
    from fastmm.stopwatch import Stopwatch

    watch = Stopwatch()
    folder = output / f"cohort-{patients}-seed{seed}"
    with progress_bars() as task:
        with watch("make the cohort (DICOM files)"):
            progress = task("make the synthetic cohort")
            file = demo_cohort(folder, patients, seed, progress)
        study = train_job(
            file,
            output,
            label="malignant",
            group="patient",
            images=["ct", "mr"],
            tables=["age,pack_years,sex", "expression.csv:patient"],
            windows={"ct": (-600.0, 1500.0)},
            models=("ridge", "lssvm"),
            by=["sex", "age"],
            watch=watch,
            task=task,
            title="Synthetic cohort",
            synthetic=True,
            command=typed(),
        )
    show_study(study.results, output)
    typer.echo(NOTICE)
