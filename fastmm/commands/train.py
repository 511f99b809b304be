"""The command ``fastmm train``: validate and fit a model on a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastmm.cli_options import check_choices, read_channels, read_pairs, read_windows
from fastmm.commands.options import NOTICE, Device, Ids, Output, typed

__all__ = ["train"]


def train(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT.csv", help="One row an examination.")],
    label: Annotated[str, typer.Option(help="Column with the class, or number, of each row.")],
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
    mask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE=COLUMN",
            help="Column with the region of interest of an image column, a mask in the same "
            "space; or a path with columns in braces, as ct={ct}_mask.nii.gz.",
        ),
    ] = None,
    outside: Annotated[
        str, typer.Option(help="What surrounds a mask within its box: blank or keep.")
    ] = "blank",
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE=NAME",
            help="Features of an image column: patches, pixels or statistics. Default: patches; "
            "statistics of the region where there is a mask.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="ridge; linear: least squares; lssvm and svm: machines with RBF kernels; deep: a "
            "network that sees the pixels."
        ),
    ] = "ridge",
    fusion: Annotated[
        str,
        typer.Option(
            help="stack: features side by side; kernel: weighted sum of kernels (lssvm, svm); "
            "late: linear combination of the scores of single modalities."
        ),
    ] = "stack",
    interactions: Annotated[
        bool, typer.Option("--interactions", help="With --fusion kernel: products of kernels, too.")
    ] = False,
    window: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=CENTER,WIDTH",
            help="Intensity window of an image column. Default: 0,2000 for CT in HU; other "
            "images are normalised slice by slice.",
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=N",
            help="Channel of an image column in colour: 0 red, 1 green, 2 blue.",
        ),
    ] = None,
    suv: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Convert PET of an image column to SUV by body weight, and keep its scale.",
        ),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            help="classification, or regression: the label is a number to be predicted, with "
            "ridge, linear or lssvm. auto: classification; many different numbers are an error."
        ),
    ] = "auto",
    pool: Annotated[
        str,
        typer.Option(help="How slices become one row: mean, max or stack; rows: each is its own."),
    ] = "mean",
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Report the scores within the levels of this column, too: numbers are cut at "
            "their median or thirds. May be repeated.",
        ),
    ] = None,
    device: Device = "auto",
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
            ids=ids,
            kind=task,
            task=bars,
            title=cohort.stem if cohort.stem != "cohort" else cohort.resolve().parent.name,
            command=typed(),
        )
    show = show_regression if study.results.get("task") == "regression" else show_study
    show(study.results, output)
    typer.echo(NOTICE)
