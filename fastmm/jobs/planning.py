"""The command ``fastmm plan``: what a training takes, before it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from fastmm._files import replacing
from fastmm.jobs.plan_table import show_plan
from fastmm.planner import plan

__all__ = ["plan_job"]


def plan_job(cohort: Path, *, output: Path | None, **options: Any) -> bool:
    """Plan a training, show it, and write it as JSON; return whether it fits.

    Parameters
    ----------
    cohort : Path
        Cohort file.
    output : Path or None
        Where to write JSON; "-" prints nothing else.
    **options
        As of `fastmm.plan`.

    Returns
    -------
    bool
        Whether it fits on the device that is expected.
    """
    found = plan(cohort, **options)
    if str(output) == "-":
        print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
        return found.fits
    show_plan(found, Console())
    if output is not None:
        with replacing(output) as draft:
            text = json.dumps(found.to_dict(), indent=1, allow_nan=False)
            draft.write_text(text + "\n", encoding="utf-8")
    return found.fits
