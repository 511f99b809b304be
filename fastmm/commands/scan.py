"""The command ``fastmm scan``: what a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["scan"]


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
    from fastmm.jobs.scanning import scan_job

    scan_job(folder, ids=ids, output=output)
