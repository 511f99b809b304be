"""The options of ``train``, which ``plan`` takes, too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "By",
    "Channels",
    "CohortFile",
    "Device",
    "Features",
    "Fusion",
    "Group",
    "Ids",
    "Images",
    "Interactions",
    "Label",
    "Masks",
    "MemoryLimit",
    "Model",
    "Output",
    "Outside",
    "Pool",
    "Scheduler",
    "Store",
    "Suv",
    "Tables",
    "Task",
    "Windows",
]

CohortFile = Annotated[Path, typer.Argument(metavar="COHORT.csv", help="One row an examination.")]
Label = Annotated[str, typer.Option(help="Column with the class, or number, of each row.")]
Group = Annotated[
    str | None,
    typer.Option(help="Column with the patient; rows of one patient are left out together."),
]
Images = Annotated[
    list[str] | None,
    typer.Option(help="Column with image files or folders; repeat for each modality."),
]
Tables = Annotated[
    list[str] | None,
    typer.Option(
        help="Columns COL,COL of the cohort, those with a comma in double quotes, or "
        "FILE.csv:KEY; may be repeated."
    ),
]
Masks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="IMAGE=COLUMN",
        help="Column with the region of interest of an image column, a mask in the same "
        "space; or a path with columns in braces, as ct={ct}_mask.nii.gz.",
    ),
]
Outside = Annotated[str, typer.Option(help="What surrounds a mask within its box: blank or keep.")]
Features = Annotated[
    list[str] | None,
    typer.Option(
        metavar="IMAGE=NAME",
        help="Features of an image column: patches, pixels or statistics. Default: patches; "
        "statistics of the region where there is a mask.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="ridge; linear: least squares; lssvm and svm: machines with RBF kernels; deep: a "
        "network that sees the pixels."
    ),
]
Fusion = Annotated[
    str,
    typer.Option(
        help="stack: features side by side; kernel: weighted sum of kernels (lssvm, svm); "
        "late: linear combination of the scores of single modalities. Networks: stack or late."
    ),
]
Interactions = Annotated[
    bool, typer.Option("--interactions", help="With --fusion kernel: products of kernels, too.")
]
Windows = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=CENTER,WIDTH",
        help="Intensity window of an image column. Default: 0,2000 for CT in HU; other "
        "images are normalised slice by slice.",
    ),
]
Channels = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=N",
        help="Channel of an image column in colour: 0 red, 1 green, 2 blue.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Read images and compute features on the workers of this dask scheduler, such as "
        "tcp://host:8786. They must see the files under the same paths (shared storage).",
    ),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory for arrays, as 2GB or 500MB: examinations are read in turn, their features "
        "go to a file, and models are fitted within it. Default: all is in memory.",
    ),
]
Store = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder that keeps the features of images: an interrupted run that is started again "
        "goes on where it was, and damaged parts are made anew.",
    ),
]
Suv = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Convert PET of an image column to SUV by body weight, and keep its scale.",
    ),
]
Task = Annotated[
    str,
    typer.Option(
        help="classification, or regression: the label is a number to be predicted, with "
        "ridge, linear or lssvm. auto: classification; many different numbers are an error."
    ),
]
Pool = Annotated[
    str,
    typer.Option(help="How slices become one row: mean, max or stack; rows: each is its own."),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Report the scores within the levels of this column, too: numbers are cut at "
        "their median or thirds. May be repeated.",
    ),
]
Device = Annotated[str, typer.Option(help="Where images are processed: auto, cpu, cuda.")]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder for report.html, report.json, predictions.csv and model.fastmm.",
    ),
]
Ids = Annotated[bool, typer.Option("--ids", help="Write the patient column to predictions.csv.")]
