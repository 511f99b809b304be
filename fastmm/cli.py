"""The command ``fastmm``: demo, train, predict and info."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

try:
    import typer
    from rich.console import Console
except ImportError:
    raise ImportError('The command needs typer and rich: pip install "fastmm[app]".') from None

if TYPE_CHECKING:
    from fastmm.study import Task

__all__ = ["main"]

NOTICE = "For research only; not a medical device."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=f"Multimodal learning on medical images, on the GPU and on the CPU. {NOTICE}",
)
console = Console(stderr=True)

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder for report.html, report.json, predictions.csv and model.fastmm.",
    ),
]
Ids = Annotated[bool, typer.Option("--ids", help="Write the patient column to predictions.csv.")]


def main() -> NoReturn:
    """Run the command; what is wrong with the input is one message and exit status 1."""
    try:
        app()
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        # FastmmError is a ValueError. A message may hold brackets, which are no markup.
        console.print(f"fastmm: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("fastmm: interrupted; nothing half-written is left.", style="red")
        sys.exit(130)
    sys.exit(0)


@app.command()
def demo(
    output: Output = Path("fastmm-demo"),
    patients: Annotated[int, typer.Option(help="How many synthetic patients to make.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic cohort.")] = 0,
) -> None:
    """Make a synthetic cohort and run the whole job on it, from DICOM files to a report."""
    from fastmm.datasets import make_cohort
    from fastmm.jobs import train_job
    from fastmm.stopwatch import Stopwatch

    watch = Stopwatch()
    folder = output / "cohort"
    with _progress() as task:
        with watch("make the cohort (DICOM files)"):
            progress = task("make the synthetic cohort")
            file = make_cohort(folder, patients, seed, progress=progress)
        study = train_job(
            file,
            output,
            label="malignant",
            group="patient",
            images=["ct", "mr"],
            tables=["age,pack_years,sex", "expression.csv:patient"],
            windows={"ct": (-600.0, 1500.0)},
            models=("ridge", "lssvm"),
            watch=watch,
            task=task,
            title="Synthetic cohort",
            synthetic=True,
            command=_typed(),
        )
    _show(study.results, output)


@app.command()
def train(
    cohort: Annotated[Path, typer.Argument(help="CSV file, one row an examination.")],
    label: Annotated[str, typer.Option(help="Column with the class of each row.")],
    group: Annotated[
        str | None,
        typer.Option(help="Column with the patient; rows of one patient are left out together."),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(help="Column with image files or folders; repeat for each modality."),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(help="Columns COL,COL of the cohort, or FILE.csv:KEY; may be repeated."),
    ] = None,
    model: Annotated[str, typer.Option(help="ridge or lssvm.")] = "ridge",
    fusion: Annotated[
        str, typer.Option(help="stack: features side by side; kernel: sum of kernels (lssvm).")
    ] = "stack",
    window: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=CENTER,WIDTH",
            help="Intensity window of an image column. Default: 0,2000 for CT in HU; other "
            "images are normalised slice by slice.",
        ),
    ] = None,
    pool: Annotated[
        str, typer.Option(help="How slices become one row: mean, max or stack.")
    ] = "mean",
    output: Output = Path("fastmm-train"),
    ids: Ids = False,
) -> None:
    """Train and validate a model on a cohort, leaving whole patients out."""
    from fastmm.jobs import train_job

    with _progress() as task:
        study = train_job(
            cohort,
            output,
            label=label,
            group=group,
            images=image or [],
            tables=table or [],
            windows=_windows(window or []),
            models=(model,),
            fusion=fusion,
            pool=pool,
            ids=ids,
            task=task,
            title=cohort.stem if cohort.stem != "cohort" else cohort.resolve().parent.name,
            command=_typed(),
        )
    _show(study.results, output)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="File model.fastmm of a training run.")],
    cohort: Annotated[Path, typer.Argument(help="CSV file with the columns of the training.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file to write.")] = Path(
        "predictions.csv"
    ),
    ids: Ids = False,
) -> None:
    """Apply a trained model to new examinations."""
    from fastmm.jobs import predict_job

    with _progress() as task:
        count = predict_job(model, cohort, output, ids=ids, task=task)
    console.print(f"{count} predictions in {output}. {NOTICE}", highlight=False)


@app.command()
def info() -> None:
    """Print versions and devices, and what would run where."""
    from rich.table import Table

    from fastmm._space import _cuda_fault
    from fastmm.environment import environment
    from fastmm.kernels._cache import cache_folder

    table = Table(show_header=False, box=None)
    for name, value in environment().items():
        table.add_row(name, str(value))
    fault = _cuda_fault()
    table.add_row("NumPy arrays", "run on the CPU")
    table.add_row("CuPy arrays", "run on their GPU" if fault is None else f"not here: {fault}")
    table.add_row('device="auto"', "cuda" if fault is None else "cpu")
    table.add_row("compiled kernels", str(cache_folder() or "not kept, no folder is writable"))
    Console().print(table)
    console.print(NOTICE)


@contextmanager
def _progress() -> Iterator[Task]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    columns = (TextColumn("{task.description:26}"), BarColumn(), MofNCompleteColumn(), Elapsed())
    with Progress(*columns, console=console) as progress:

        def task(name: str) -> Callable[[int, int], object]:
            number = progress.add_task(name, total=None)
            return lambda done, total: progress.update(number, completed=done, total=total)

        yield task


def _windows(texts: list[str]) -> dict[str, tuple[float, float]]:
    windows = {}
    for text in texts:
        column, equals, numbers = text.partition("=")
        try:
            center, width = (float(number) for number in numbers.split(","))
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"`--window` must be COLUMN=CENTER,WIDTH, got {text!r}.")
        windows[column] = (center, width)
    return windows


def _typed() -> str:
    return shlex.join(["fastmm", *sys.argv[1:]])


def _show(results: dict[str, Any], output: Path) -> None:
    from rich.table import Table

    scheme = results["validation"]["scheme"]
    table = Table(title=f"AUC, {scheme} (95 % interval over patients)", title_justify="left")
    for column in ("model", "features", "AUC", "interval", "balanced accuracy", "patients"):
        table.add_column(column, justify="left" if column in ("model", "features") else "right")
    for score in results["scores"]:
        table.add_row(
            score["model"],
            score["features"],
            f"{score['auc']:.3f}",
            f"{score['auc_low']:.3f} to {score['auc_high']:.3f}",
            f"{score['balanced_accuracy']:.3f}",
            str(score["patients"]),
        )
    out = Console()
    out.print(table)
    table = Table(title="Stages", title_justify="left")
    for column in ("stage", "seconds", "images/s", "MB/s", "fits"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage in results["stages"]:
        table.add_row(
            stage["stage"],
            f"{stage['seconds']:.2f}",
            *(f"{stage[k]:.0f}" if k in stage else "" for k in ("images_per_s", "mb_per_s")),
            str(stage.get("fits", "")),
        )
    out.print(table)
    out.print(f"Report: {output / 'report.html'}", highlight=False)
    out.print(NOTICE)
