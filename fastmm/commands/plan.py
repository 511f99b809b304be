"""The command ``plan``, which takes the options of ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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

__all__ = ["plan"]


def plan(
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
    output: Output = Path("fastmm-train"),
    ids: Ids = False,
    memory_limit: MemoryLimit = None,
    scheduler: Scheduler = None,
    file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write JSON too; - prints only JSON."),
    ] = None,
) -> None:
    """Tell what a training takes before it runs: bytes, seconds, memory, and what fits.

    Headers of a sample are read, no pixel; rates of this machine are measured.
    """
    check_choices(model, fusion, interactions, task)
    from fastmm.plan_job import plan_job

    # They cost nothing, but a mistake in them shall show now.
    named = {*read_windows(window or []), *read_channels(channel or []), *(suv or [])}
    if unknown := sorted(named - set(image or [])):
        raise ValueError(f"{', '.join(unknown)} is no `--image` column, but an option names it.")
    plan_job(
        cohort,
        output=file,
        label=label,
        group=group,
        images=image or [],
        tables=table or [],
        masks=read_pairs(mask or [], "--mask", "IMAGE=COLUMN"),
        features=read_pairs(features or [], "--features", "IMAGE=NAME"),
        model=model,
        fusion=fusion,
        interactions=interactions,
        pool=pool,
        device=device,
        memory_limit=memory_limit,
    )
