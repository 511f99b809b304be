"""The command ``fastmm predict``: apply a model to new examinations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastmm.commands.choices import Device, Ids, MemoryLimit
from fastmm.commands.options import NOTICE

__all__ = ["predict"]


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="File model.fastmm of a training.")
    ],
    cohort: Annotated[
        Path, typer.Argument(metavar="COHORT.csv", help="With the columns of the training.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for predictions.csv; or a .csv file."
        ),
    ] = Path("fastmm-predict"),
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE.csv[:KEY]",
            help="File of a table that the training joined, by its name in the report. Default: "
            "the training's file name and key. May be repeated.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Write what modalities, columns and pixels add to the scores."
        ),
    ] = False,
    device: Device = "auto",
    memory_limit: MemoryLimit = None,
    ids: Ids = False,
) -> None:
    """Apply a trained model to new examinations."""
    from fastmm.commands.console import progress_bars
    from fastmm.jobs.prediction import predict_job

    notes: list[str] = []
    with progress_bars() as task:
        file = predict_job(
            model, cohort, output, tables=table or (), ids=ids, explain=explain, device=device,
            memory_limit=memory_limit, task=task, tell=notes.append,
        )  # fmt: skip
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
    typer.echo(f"Predictions are in {file}. {NOTICE}")
