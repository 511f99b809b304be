"""The command ``fastmm train``: validate and fit a model on a cohort."""

from __future__ import annotations

from pathlib import Path

import typer

from fastmm.commands.choices import (
    By,
    Channels,
    CohortFile,
    Device,
    Features,
    Fusion,
    Group,
    Ids,
    Images,
    Interactions,
    Label,
    Masks,
    MemoryLimit,
    Model,
    Output,
    Outside,
    Pool,
    Scheduler,
    Suv,
    Tables,
    Task,
    Windows,
)
from fastmm.commands.columns import check_choices, read_channels, read_pairs, read_windows
from fastmm.commands.options import NOTICE, typed

__all__ = ["train"]


def train(
    cohort: CohortFile,
    label: Label,
    group: Group = None,
    image: Images = None,
    table: Tables = None,
    mask: Masks = None,
    outside: Outside = "blank",
    features: Features = None,
    model: Model = "ridge",
    fusion: Fusion = "stack",
    interactions: Interactions = False,
    window: Windows = None,
    channel: Channels = None,
    suv: Suv = None,
    task: Task = "auto",
    pool: Pool = "mean",
    by: By = None,
    device: Device = "auto",
    scheduler: Scheduler = None,
    memory_limit: MemoryLimit = None,
    output: Output = Path("fastmm-train"),
    ids: Ids = False,
) -> None:
    """Train and validate a model on a cohort."""
    check_choices(model, fusion, interactions, task)
    from fastmm.console import progress_bars, show_regression, show_study
    from fastmm.jobs import train_job

    with progress_bars() as bars:
        study = train_job(
            cohort,
            output,
            label=label,
            group=group,
            images=image or [],
            tables=table or [],
            windows=read_windows(window or []),
            channels=read_channels(channel or []),
            suv=suv or [],
            masks=read_pairs(mask or [], "--mask", "IMAGE=COLUMN"),
            outside=outside,
            features=read_pairs(features or [], "--features", "IMAGE=NAME"),
            models=(model,),
            fusion=fusion,
            interactions=interactions,
            pool=pool,
            by=by or [],
            device=device,
            scheduler=scheduler,
            memory_limit=memory_limit,
            ids=ids,
            kind=task,
            task=bars,
            title=cohort.stem if cohort.stem != "cohort" else cohort.resolve().parent.name,
            command=typed(),
        )
    show = show_regression if study.results.get("task") == "regression" else show_study
    show(study.results, output)
    typer.echo(NOTICE)
