"""The options of ``train`` and ``plan``, read and checked in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    Store,
    Suv,
    Tables,
    Task,
    Windows,
)
from fastmm.commands.columns import (
    check_choices,
    check_reading,
    read_channels,
    read_pairs,
    read_windows,
)

__all__ = ["of_training"]


def of_training(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a training, which it takes as a dict, before its own."""
    shared = inspect.signature(_read, eval_str=True).parameters
    own = dict(inspect.signature(command, eval_str=True).parameters)
    own.pop(next(iter(own)))

    def run(**given: Any) -> None:
        training = _read(**{name: given.pop(name) for name in shared})
        command(training, **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    parameters = [*shared.values(), *own.values()]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    )
    return run


def _read(
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
    store: Store = None,
    output: Output = Path("fastmm-train"),
    ids: Ids = False,
) -> dict[str, Any]:
    """Return the options as `fastmm.jobs.training.train_job` takes them."""
    check_choices(model, fusion, interactions, task)
    check_reading(pool, outside, device)
    return {
        "cohort_file": cohort,
        "output": output,
        "label": label,
        "group": group,
        "images": image or [],
        "tables": table or [],
        "windows": read_windows(window or []),
        "channels": read_channels(channel or []),
        "suv": suv or [],
        "masks": read_pairs(mask or [], "--mask", "IMAGE=COLUMN"),
        "outside": outside,
        "features": read_pairs(features or [], "--features", "IMAGE=NAME"),
        "models": (model,),
        "fusion": fusion,
        "interactions": interactions,
        "pool": pool,
        "by": by or [],
        "device": device,
        "scheduler": scheduler,
        "memory_limit": memory_limit,
        "store": store,
        "ids": ids,
        "kind": task,
    }
