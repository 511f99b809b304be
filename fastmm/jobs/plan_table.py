"""What ``fastmm plan`` shows in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fastmm.bench.tables import duration
from fastmm.planning.outlook import Outlook
from fastmm.planning.sizes import StudySize
from fastmm.streams.limits import say_bytes

if TYPE_CHECKING:
    from fastmm.planner import Plan

__all__ = ["say_seconds", "show_plan"]

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


def show_plan(found: Plan, console: Console) -> None:
    """Print what was counted, and the stages, memory and mends on each device."""
    _show_size(found.size, console)
    console.print(Text(f"{found.model}, {found.fusion}: {found.solver}."))
    for outlook in found.outlooks:
        console.print()
        _show_outlook(outlook, found, console)


def say_seconds(seconds: float) -> str:
    """Return a time as a person reads it.

    Examples
    --------
    >>> say_seconds(0.25), say_seconds(90), say_seconds(10_000), say_seconds(1e6)
    ('250 ms', '1.5 min', '2.8 h', '11.6 days')
    """
    for unit, size in (("days", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return duration(seconds) if seconds > 0 else "0 s"


def _show_size(size: StudySize, console: Console) -> None:
    kind = "a number to predict" if size.numbers else f"{size.classes} classes"
    read = f"; headers of {size.sampled:,} examinations were read" if size.sampled else ""
    console.print(Text(f"{size.rows:,} rows of {size.patients:,} patients, {kind}{read}."))
    table = _table(("modality",), ("examinations", "slices", "files", "to read", "features"))
    for image in size.images:
        table.add_row(
            Text(image.name),
            f"{image.examinations:,}",
            f"{image.slices:,}",
            f"{image.files:,}",
            say_bytes(image.file_bytes),
            f"{image.width:,}",
        )
    for one in size.tables:
        table.add_row(Text(one.name), f"{size.rows:,}", "", "", "", f"{one.width:,}")
    console.print(table)


def _show_outlook(outlook: Outlook, found: Plan, console: Console) -> None:
    where = outlook.gpu or outlook.host
    measured = "measured here" if outlook.measured else "stated, not measured"
    console.print(Text(f"{outlook.device}: {where.name} ({measured})", style="bold"))
    table = _table(("stage",), ("time", "flops", "memory"))
    table.add_column("")
    needs = outlook.needs
    for stage in outlook.stages:
        memory = needs.stages.get(stage.name.split(" ")[0]) or needs.stages.get(stage.name)
        table.add_row(
            Text(stage.name),
            say_seconds(stage.seconds),
            f"{stage.flops:.2g}" if stage.flops else "",
            say_bytes(int(memory)) if memory else "",
            Text(stage.detail),
        )
    console.print(table)
    peak, arrays = say_bytes(int(needs.peak)), say_bytes(int(needs.arrays))
    console.print(Text(f"In all about {say_seconds(outlook.seconds)}, {outlook.flops:.2g} flops."))
    console.print(Text(f"Memory: {peak}, of which arrays and tables {arrays}."))
    if found.threads:
        worker = say_bytes(int(needs.worker))
        console.print(
            Text(
                f"Reading and features: {found.threads:,} threads of a cluster, each taken for a "
                f"core like those here; images take {worker} for each thread of a worker."
            )
        )
    for image in found.size.images:
        count = needs.chunks[image.name]
        how = f"{count:,} at a time"
        if found.threads:
            how = f"{count:,} a task"
        elif count >= image.examinations:
            how = "all at once"
        console.print(Text(f"{image.name}: {image.examinations:,} examinations, {how}."))
    if outlook.gpu is not None:
        console.print(Text(f"Memory of the GPU: {say_bytes(int(needs.device))}."))
    room = say_bytes(int(outlook.limit))
    if outlook.fits:
        console.print(Text(f"It fits into {room}.", style="green"))
        return
    console.print(Text(f"It does not fit into {room}.", style="bold red"))
    for mend in outlook.mends:
        console.print(
            Text(f"{mend.option}: fits; {say_bytes(int(mend.peak))}, {say_seconds(mend.seconds)}.")
        )
    if not outlook.mends:
        console.print(Text("No option alone mends that: a larger machine, or fewer rows."))


def _table(words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in words:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table
