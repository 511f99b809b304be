"""Stored pixels with padding filled."""

from __future__ import annotations

from fastmm.errors import DicomError
from fastmm.read.source import Slice, Source
from fastmm.read.sources import read_stored

__all__ = ["read_filled"]


def read_filled(source: Source, channel: int | None, nonfinite: str | float) -> Slice:
    """Read the pixels of a file, padding filled with the lowest valid value of its image.

    `valid` of the result still tells where padding was. `nonfinite` is what NaN and
    infinite pixels become, or "raise".
    """
    part = read_stored(source, channel=channel, nonfinite=nonfinite)
    if part.valid is None:
        return part
    stored = part.stored.copy()
    for frame, valid, slope in zip(stored, part.valid, source.slope, strict=True):
        good = frame[valid]
        if good.size == 0:
            raise DicomError(f"{source.path}: every pixel is padding.")
        frame[~valid] = good.min() if slope > 0 else good.max()
    return Slice(source, stored, part.valid, part.n_bytes)
