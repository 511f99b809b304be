"""The command ``fastmm bench``: measure, show, keep, draw, compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from fastmm._files import replacing
from fastmm.bench.comparing import compare, read_results
from fastmm.bench.devices import find_spaces
from fastmm.bench.running import run_stages
from fastmm.bench.tables import show_comparison, show_results
from fastmm.errors import FastmmError

__all__ = ["bench_job", "compare_job"]


def bench_job(
    *, device: str, quick: bool, only: Sequence[str], output: Path | None, plot: Path | None
) -> bool:
    """Measure this machine; return whether every result was right."""
    console = Console(stderr=str(output) == "-")  # what is piped is JSON and nothing else

    def keep(so_far: dict[str, Any]) -> None:
        if output is not None and str(output) != "-":
            _write(so_far, output)

    spaces = find_spaces(device)
    with _bar() as progress:
        found = run_stages(spaces, quick=quick, only=only, progress=progress, keep=keep)
    show_results(found, console)
    for row in found["failed"]:
        console.print(f"{row['stage']}, {row['size']}, {row['device']} failed: {row['why']}")
    if output is not None:
        _write(found, output)
    if plot is not None:
        from fastmm.bench.roofline import plot_roofline

        plot_roofline(found, plot)
    return not found["failed"] and all(row["right"] for row in found["results"])


def compare_job(first: Path, second: Path) -> None:
    """Print two results side by side."""
    before, after = read_results(first), read_results(second)
    pairs = compare(before, after)
    if not pairs:
        raise FastmmError(f"{first} and {second} have no task in common.")
    names = (first.stem, second.stem) if first.stem != second.stem else ("first", "second")
    show_comparison(pairs, names, Console())


def _write(found: dict[str, Any], output: Path) -> None:
    text = json.dumps(found, indent=1, allow_nan=False)
    if str(output) == "-":
        print(text)
        return
    with replacing(output) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


@contextmanager
def _bar() -> Iterator[Any]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:32}", markup=False), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with shown as bar:
        task = bar.add_task("", total=None)
        yield lambda name, done, total: bar.update(
            task, description=name, completed=done, total=total
        )
