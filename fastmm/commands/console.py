"""What the commands show in a terminal: progress bars and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from fastmm.study import Task

__all__ = ["progress_bars", "show_facts", "show_regression", "show_study"]


@contextmanager
def progress_bars() -> Iterator[Task]:
    """Yield ``task(name)``, which adds a bar and returns ``progress(done, total)``.

    Bars go to the error stream, so that the output can be piped.
    """
    columns = (
        TextColumn("{task.description:26}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def task(name: str) -> Callable[[int, int], object]:
            number = bars.add_task(name, total=None)
            return lambda done, total: bars.update(number, completed=done, total=total)

        yield task


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values."""
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name, Text(str(value)))  # brackets in it are no markup
    Console().print(table)


def show_study(results: Mapping[str, Any], output: Path) -> None:
    """Print the scores and the stages of a run, and where its report is."""
    percent = f"{results['validation']['confidence']:.0%}"
    scores = _table(
        f"AUC, {results['validation']['scheme']} ({percent} interval over patients)",
        ("model", "features"),
        ("AUC", "interval", "balanced accuracy", "patients"),
    )
    for score in results["scores"]:
        scores.add_row(
            score["model"],
            Text(score["features"]),
            f"{score['auc']:.3f}",
            f"{score['auc_low']:.3f} to {score['auc_high']:.3f}",
            f"{score['balanced_accuracy']:.3f}",
            str(score["patients"]),
        )
    _show(scores, results, output)


def show_regression(results: Mapping[str, Any], output: Path) -> None:
    """Print the errors of predicted numbers, the stages, and where the report is."""
    percent = f"{results['validation']['confidence']:.0%}"
    scores = _table(
        f"{results['cohort']['label']}, {results['validation']['scheme']} ({percent} intervals "
        "over patients)",
        ("model, features",),
        ("R2", "mean absolute error", "of mean", "covered"),
    )
    for score in results["scores"]:
        scores.add_row(
            Text(f"{score['model']}, {score['features']}"),
            f"{score['r2']:.2f} ({score['r2_low']:.2f} to {score['r2_high']:.2f})",
            f"{score['mae']:.3g} ({score['mae_low']:.3g} to {score['mae_high']:.3g})",
            f"{score['mae_guess']:.3g}",
            f"{score['interval_coverage']:.0%}",
        )
    _show(scores, results, output)


def _show(scores: Table, results: Mapping[str, Any], output: Path) -> None:
    stages = _table("Stages", ("stage",), ("seconds", "images/s", "MB/s", "fits"))
    for stage in results["stages"]:
        rates = (f"{stage[k]:.0f}" if k in stage else "" for k in ("images_per_s", "mb_per_s"))
        stages.add_row(
            stage["stage"], f"{stage['seconds']:.2f}", *rates, str(stage.get("fits", ""))
        )
    out = Console()
    out.print(scores, stages)
    if positive := results.get("cohort", {}).get("positive"):
        out.print(Text(f"Scores above 0, probability and sensitivity are of class {positive}."))
    for note in results.get("cohort", {}).get("notes", ()):
        out.print(Text(f"Note: {note}"))
    out.print(Text(f"Report: {output / 'report.html'}"))


def _table(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in words:
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify="right")
    return table
