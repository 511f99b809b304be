"""Copies of a slice: files of one place that hold the same pixels and the same rescale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastmm.read.dicom.header import Header
from fastmm.read.dicom.slices import read_pixels
from fastmm.read.dicom.timepoints import INSTANCE_NUMBER, Marks
from fastmm.read.source import Slice

__all__ = ["first_other", "without_copies"]


def first_other(same: Sequence[Header], channel: int | None) -> Header | None:
    """Return the first slice that differs from the first of all in pixels or rescale."""
    if len(same) == 1:
        return None
    first: Slice | None = None
    for header in same:
        other = read_pixels(header, channel=channel)
        first = first or other
        if not (
            np.array_equal(first.stored, other.stored)
            and np.array_equal(first.header.slope, header.slope)
            and np.array_equal(first.header.intercept, header.intercept)
        ):
            return header
    return None


def without_copies(
    headers: Sequence[Header], marks: Sequence[Marks], place: Sequence[int], channel: int | None
) -> list[int]:
    """Return the images of one place without those that are copies of an earlier one.

    Images without contrast may be equal at all times, so that marks must be equal too; but
    for InstanceNumber, by which copies may be counted.
    """
    kept: list[int] = []
    for i in place:
        twins = (j for j in kept if _bare(marks[j]) == _bare(marks[i]))
        if all(first_other([headers[j], headers[i]], channel) is not None for j in twins):
            kept.append(i)
    return kept


def _bare(marks: Marks) -> Marks:
    return {tag: mark for tag, mark in marks.items() if tag != INSTANCE_NUMBER}
