"""What several commands share: their notice, options of one meaning, what was typed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["NOTICE", "Device", "Ids", "Output", "typed"]

NOTICE = "For research only; not a medical device."

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder for report.html, report.json, predictions.csv and model.fastmm.",
    ),
]
Ids = Annotated[bool, typer.Option("--ids", help="Write the patient column to predictions.csv.")]
Device = Annotated[str, typer.Option(help="Where images are processed: auto, cpu, cuda.")]


def typed() -> str:
    """Return the command as it was typed, for the report."""
    return shlex.join(["fastmm", *sys.argv[1:]])
