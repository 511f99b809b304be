"""Stored pixels with padding filled; and which files need no decoding at all."""

from __future__ import annotations

from fastmm.errors import DicomError
from fastmm.read.dicom.header import Header
from fastmm.read.source import Slice, Source
from fastmm.read.sources import read_stored

__all__ = ["is_plain", "read_filled"]

_PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}


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


def is_plain(source: Source) -> bool:
    """Say whether a file holds native little-endian pixels of 8 or 16 bits, one a place."""
    if not isinstance(source, Header) or source.syntax not in _PLAIN:
        return False
    if source.lookup is not None or source.order is not None:
        return False
    layout = source.layout
    narrow = layout.allocated == 16 or (layout.allocated == 8 and not layout.signed)
    return narrow and layout.samples == 1 and not layout.floating
