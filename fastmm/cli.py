"""The command ``fastmm``: demo, plan, train, predict, scan, bench and info."""

from __future__ import annotations

import shlex
import sys
import warnings
from pathlib import Path
from typing import Annotated, NoReturn

try:
    import typer
except ImportError:
    raise ImportError('The command needs typer: pip install "fastmm[app]".') from None

from fastmm import __version__
from fastmm.cli_choices import (
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
    Windows,
)
from fastmm.cli_options import read_channels, read_pairs, read_windows
from fastmm.cli_plan import plan

__all__ = ["main"]

_INTERRUPTED = 130  # what shells call 128 + SIGINT
NOTICE = "For research only; not a medical device."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=f"Multimodal learning on medical images, on the GPU and on the CPU. {NOTICE}",
)


def main() -> NoReturn:
    """Run the command; what is wrong with the input is one message and exit status 1."""
    warnings.showwarning = _show_warning
    try:
        app()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # typer turns Ctrl-C into this, without a word
            _tell_of_interrupt()
        raise
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        # FastmmError is a ValueError
        typer.secho(f"fastmm: {error}", fg="red", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        _tell_of_interrupt()
        sys.exit(_INTERRUPTED)
    sys.exit(0)


def _tell_of_interrupt() -> None:
    typer.secho("fastmm: interrupted; nothing half-written is left.", fg="red", err=True)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Tell of a warning as of an error: where in the code it arose helps no user."""
    typer.secho(f"fastmm: warning: {message}", fg="yellow", err=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print it."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command()
def demo(
    output: Output = Path("fastmm-demo"),
    patients: Annotated[int, typer.Option(help="How many synthetic patients to make.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic cohort.")] = 0,
) -> None:
    """Run the whole job on a synthetic cohort."""
    from fastmm.console import progress_bars, show_study
    from fastmm.jobs import demo_cohort, train_job
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
            watch=watch,
            task=task,
            title="Synthetic cohort",
            synthetic=True,
            command=_typed(),
        )
    show_study(study.results, output)
    typer.echo(NOTICE)


app.command()(plan)


@app.command()
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
    pool: Pool = "mean",
    device: Device = "auto",
    scheduler: Scheduler = None,
    memory_limit: MemoryLimit = None,
    output: Output = Path("fastmm-train"),
    ids: Ids = False,
) -> None:
    """Train and validate a model on a cohort."""
    from fastmm.console import progress_bars, show_study
    from fastmm.jobs import train_job

    with progress_bars() as task:
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
            device=device,
            scheduler=scheduler,
            memory_limit=memory_limit,
            ids=ids,
            task=task,
            title=cohort.stem if cohort.stem != "cohort" else cohort.resolve().parent.name,
            command=_typed(),
        )
    show_study(study.results, output)
    typer.echo(NOTICE)


@app.command()
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
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Write what modalities, columns and pixels add to the scores."
        ),
    ] = False,
    device: Device = "auto",
    ids: Ids = False,
) -> None:
    """Apply a trained model to new examinations."""
    from fastmm.console import progress_bars
    from fastmm.prediction_job import predict_job

    with progress_bars() as task:
        file = predict_job(
            model, cohort, output, ids=ids, explain=explain, device=device, task=task
        )
    typer.echo(f"Predictions are in {file}. {NOTICE}")


@app.command()
def scan(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, help="Searched with its sub-folders.")
    ],
    ids: Annotated[bool, typer.Option("--ids", help="Show the PatientID of each series.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write JSON too; - prints only JSON."),
    ] = None,
) -> None:
    """List what a folder holds, by series; no pixel is decoded."""
    from fastmm.scan_job import scan_job

    scan_job(folder, ids=ids, output=output)


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes only, under 30 s.")] = False,
    device: Annotated[str, typer.Option(help="cpu; cuda: every GPU; auto: all there is.")] = "auto",
    stage: Annotated[
        list[str] | None, typer.Option(help="Measure only this stage; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write JSON too; - prints only JSON."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the roofline: PNG, SVG or PDF.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A.json B.json", help="Measure nothing; compare two results."),
    ] = None,
) -> None:
    """Measure this machine, and how much of it each stage takes; under 3 minutes."""
    from fastmm.bench.job import bench_job, compare_job

    if compare is not None:
        compare_job(*compare)
    elif not bench_job(device=device, quick=quick, only=stage or [], output=output, plot=plot):
        raise ValueError("a stage gave a wrong result; its row says WRONG")


@app.command()
def info() -> None:
    """Print versions and devices, and what would run where."""
    from fastmm._space import _cuda_fault
    from fastmm.console import show_facts
    from fastmm.environment import environment
    from fastmm.kernels._cache import cache_folder

    fault = _cuda_fault()
    show_facts(
        {
            **environment(),
            "NumPy arrays": "run on the CPU",
            "CuPy arrays": "run on their GPU" if fault is None else f"not here: {fault}",
            'device="auto"': "cpu" if fault else "cuda",
            "compiled kernels": cache_folder() or "not kept, no folder is writable",
        }
    )
    typer.echo(NOTICE)


def _typed() -> str:
    return shlex.join(["fastmm", *sys.argv[1:]])
