"""Cells of the table of treacherous inputs: what makes a file, and what calls give for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastmm.errors import (
    DicomError,
)

Make = Callable[[Path, int], Path]


class Case(NamedTuple):
    """One cell of the table.

    `values` is what `read_volume` gives (slices, rows, columns), or the file is wrong with
    `error` and a message that matches. `load` has the same for `load_images` where it
    differs, `problem` what `scan` says of it.
    """

    row: str
    make: Make
    values: Any = None
    error: type[Exception] | None = None
    match: str = ""
    units: str | None = None
    note: str = ""
    valid: Any = None
    spacing: tuple[float, ...] | None = None
    affine: Any = None
    load: Any = "same"
    problem: str = ""
    volume: dict[str, Any] = {}  # noqa: RUF012
    both: dict[str, Any] = {}  # noqa: RUF012


class Cases(list[Case]):
    """The cells of one part of the table."""

    def ok(self, row: str, make: Make, values: Any, **more: Any) -> None:
        self.append(Case(row, make, values, **more))

    def bad(
        self, row: str, make: Make, match: str, error: type[Exception] = DicomError, **more: Any
    ) -> None:
        self.append(Case(row, make, None, error, match, **more))


def every_call(cases: Iterable[Case], *counts: int) -> pytest.MarkDecorator:
    """Run a test of (case, n) for each case, n the slices of those that are series."""
    runs = [(case, n) for n in counts or (4,) for case in cases]
    return pytest.mark.parametrize(("case", "n"), runs, ids=lambda of: getattr(of, "row", of))
