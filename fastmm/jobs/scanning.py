"""The command ``fastmm scan``: what a folder holds, as a table or as JSON."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from fastmm._files import replacing
from fastmm.read.scanning import SeriesInfo, scan

__all__ = ["scan_job"]

_MOST_PROBLEMS = 40  # lines; the JSON has all
_WIDE = 110  # columns from which the table shows storage and units too


def scan_job(folder: Path, *, ids: bool, output: Path | None) -> None:
    """Scan a folder; print a table, or write JSON to a file ("-": the standard output)."""
    start = time.perf_counter()
    with _sign_of_life():
        found = scan(folder, ids=ids)
    seconds = time.perf_counter() - start
    if output is not None:
        text = json.dumps([_plain(info, ids) for info in found], indent=1, allow_nan=False)
        if str(output) == "-":
            print(text)
            return
        with replacing(output) as draft:
            draft.write_text(text + "\n", encoding="utf-8")
    console = Console()
    series = [info for info in found if info.n_frames]
    if series:
        console.print(_table(folder, series, ids=ids, wide=console.width >= _WIDE))
    _print_problems(console, found)
    console.print(_summary(found, seconds))


def _sign_of_life() -> Progress:
    """Show the seconds on a terminal while headers are read; nothing where there is none."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    shown.add_task("Reading headers", total=None)
    return shown


def _plain(info: SeriesInfo, ids: bool) -> dict[str, Any]:
    fields = asdict(info)
    fields["path"] = str(info.path)
    fields["spacing"] = [None if math.isnan(s) else s for s in info.spacing]
    if not ids:
        del fields["patient"]
    return fields


def _table(folder: Path, series: Sequence[SeriesInfo], *, ids: bool, wide: bool) -> Table:
    table = Table(title=_text(f"Series in {folder}"), title_justify="left", box=box.SIMPLE_HEAD)
    table.pad_edge, table.collapse_padding = False, True
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("where", ratio=1, overflow="fold", min_width=16)
    table.add_column("what")
    if wide:
        table.add_column("files", justify="right", no_wrap=True)
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("spacing, mm", justify="right", no_wrap=True)
    if wide:
        table.add_column("stored as")
        table.add_column("units")
    if ids:
        table.add_column("patient", overflow="fold")
    for number, info in enumerate(series):
        first = Text(str(number), style="yellow" if info.problems else "")
        where = _text(_relative(info.path, folder))
        what = f"{info.modality or info.kind} {info.orientation}"
        cells = [_size(info), _spacing(info.spacing)]
        if wide:
            cells = [str(info.n_files), *cells, info.syntax, info.units]
        patient = (_text(info.patient or ""),) if ids else ()
        table.add_row(first, where, what, *cells, *patient)
    return table


def _size(info: SeriesInfo) -> str:
    """Write time points x slices x rows x columns, as far as they are known."""
    times = info.n_frames // info.slices if info.slices else 1
    parts = [times] if times > 1 else []
    parts += [info.slices, *info.shape] if any(info.shape) else [info.slices]
    return "x".join(map(str, parts))


def _spacing(spacing: Sequence[float]) -> str:
    """Write z, y and x, the last two as one where they are equal."""
    z, y, x = ("?" if math.isnan(s) else f"{s:.3g}" for s in spacing)
    if (z, y, x) == ("?", "?", "?"):
        return ""
    return f"{z}, {y}" if y == x else f"{z}, {y}, {x}"


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _text(text: str) -> Text:
    """Show a name as it is: no markup, and nothing that would steer the terminal."""
    return Text("".join(c if c.isprintable() else "\ufffd" for c in text))


def _print_problems(console: Console, found: Sequence[SeriesInfo]) -> None:
    """Print each problem once, with the rows that have it."""
    rows: dict[str, list[int]] = {}
    number = 0
    for info in found:
        for problem in info.problems:
            if info.n_frames:
                rows.setdefault(problem, []).append(number)
            else:
                rows.setdefault(f"{info.kind}: {problem}", [])
        number += info.n_frames > 0
    if not rows:
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", style="yellow", max_width=24)
    grid.add_column(overflow="fold")
    for problem, numbers in list(rows.items())[:_MOST_PROBLEMS]:
        grid.add_row(f"#{_ranges(numbers)}" if numbers else "-", _text(problem))
    console.print(Text("To know before reading", style="bold"))
    console.print(grid)
    if len(rows) > _MOST_PROBLEMS:
        console.print(f"and {len(rows) - _MOST_PROBLEMS} more; --json FILE lists all.")


def _ranges(numbers: Sequence[int]) -> str:
    """Write 0, 1, 2, 5 as "0-2, 5"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)


def _summary(found: Sequence[SeriesInfo], seconds: float) -> Text:
    def count(kind: str) -> int:
        return sum(info.n_files for info in found if info.kind == kind)

    files = sum(info.n_files for info in found)
    series = sum(info.n_frames > 0 for info in found)
    return Text(
        f"{files} files, {series} series, {count('unreadable')} unreadable, "
        f"{count('other')} without images, {seconds:.1f} s"
    )
