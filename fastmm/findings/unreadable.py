"""Which rows of a cohort hold images that cannot be read: all of them, by row, told together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastmm.errors import FastmmError

__all__ = ["naming_rows"]

_MOST = 10  # rows whose errors are told; the others are counted


@contextmanager
def naming_rows(name: str, modality: Any, scans: Sequence[Any], device: str) -> Iterator[None]:
    """Let errors of images say in which rows they are, and list the other rows that fail.

    A name such as IM0001 alone does not lead to its file where each patient's folder holds
    one. Rows are read again, one by one, only where reading failed.
    """
    try:
        yield
    except FastmmError as error:
        found = [(row, told) for row, told in _tried(modality, scans, device) if told is not None]
        if not found:  # rows that are right on their own, such as those of different units
            raise
        lines = [f"row {row}: {told}" for row, told in found[:_MOST]]
        if len(found) > _MOST:
            lines.append(f"and {len(found) - _MOST} more")
        raise type(error)(
            f"column {name!r}: {len(found)} of {len(scans)} rows cannot be read (rows are counted "
            "from 0; leave the cell blank where an image is missing)\n" + "\n".join(lines)
        ) from None


def _tried(modality: Any, scans: Sequence[Any], device: str) -> Iterator[tuple[int, str | None]]:
    """Read each row alone; yield what went wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they were told when all were read
        for row, scan in enumerate(scans):
            told = None
            if scan is not None:
                try:
                    modality.load([scan], device=device)
                except FastmmError as error:
                    told = str(error)
            yield row, told
