"""Enhanced multi-frame objects: what their functional groups say of each frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import DicomError
from fastmm.read.dicom.frame_order import order_frames
from fastmm.read.dicom.place import read_orientation, read_position, read_spacing, read_thickness
from fastmm.read.dicom.tags import Tags, label

__all__ = ["Frames", "Groups", "is_enhanced", "place_frames"]

_SHARED, _EACH = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_T = TypeVar("_T")


class Frames(NamedTuple):
    """Where the frames of one file lie, in their order; see `Header` for each of the names."""

    positions: NDArray[np.float64] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, float]
    thickness: float
    order: NDArray[np.intp] | None
    times: NDArray[np.intp] | None
    notes: tuple[str, ...]


def is_enhanced(tags: Tags) -> bool:
    """Say whether a file has functional groups."""
    return tags.has(_SHARED) or tags.has(_EACH)


class Groups:
    """The functional groups of a file, frame by frame.

    A group may stand once for all frames or in each of them; what each frame has wins. What
    neither has is looked for among the tags of the whole file, where conversions from
    classic objects leave it.
    """

    def __init__(self, tags: Tags, frames: int) -> None:
        self.top, self.frames = tags, frames
        shared = tags.items(_SHARED, " of all frames")
        if len(shared) > 1:
            raise tags.fault(_SHARED, f"must have one item, got {len(shared)}")
        self.shared = shared[0] if shared else None
        self.each: list[Tags | None] = [*tags.items(_EACH)]
        if tags.has(_EACH) and len(self.each) != frames:
            raise tags.fault(
                _EACH,
                f"must have one item for each of the {frames} frames that "
                f"{label('NumberOfFrames')} says, got {len(self.each)}",
            )
        for number, group in enumerate(self.each):
            if group is not None:
                group.where = f" of frame {number + 1}"
        # Without a sequence for each frame, which slides of pathology have, all are alike.
        self.each = self.each or [None] * frames

    def values(
        self, macro: str, name: str, read: Callable[[Tags], _T | None], *, fall_back: bool = True
    ) -> list[_T] | None:
        """Return what `read` finds in a group of each frame; None where no frame has it.

        Frames with the same bytes are read once.
        """
        common = self._one(self.shared, macro)
        if (
            common is None
            and fall_back
            and not any(g is not None and g.filled(macro) for g in self.each)
        ):
            common = self.top
        known: dict[Any, _T | None] = {}
        found: list[_T | None] = []
        for group in self.each:
            source = self._one(group, macro) or common
            key = source.content if source is not None and source is not common else id(source)
            if key not in known:
                known[key] = None if source is None else read(source)
            found.append(known[key])
        lacking = [number for number, value in enumerate(found) if value is None]
        if len(lacking) == len(found):
            return None
        if lacking:
            raise DicomError(
                f"{self.top.path}: {label(name)} of frame {lacking[0] + 1} is missing, though "
                f"{len(found) - len(lacking)} of {len(found)} frames have it."
            )
        return [value for value in found if value is not None]

    def _one(self, group: Tags | None, macro: str) -> Tags | None:
        items = group.items(macro) if group is not None else []
        if len(items) > 1:
            raise items[0].fault(macro, f"must have one item, got {len(items)}")
        return items[0] if items else None


def place_frames(groups: Groups) -> Frames:
    """Find where the frames lie, and order them by time and along their normal."""
    notes: list[str] = []
    spacings = groups.values("PixelMeasuresSequence", "PixelSpacing", read_spacing)
    spacing = _common(spacings, "PixelSpacing", 1e-4, notes, rtol=True)
    thick = groups.values("PixelMeasuresSequence", "SliceThickness", read_thickness)
    thickness = thick[0] if thick and np.unique(thick).size == 1 else math.nan
    orientations = groups.values(
        "PlaneOrientationSequence", "ImageOrientationPatient", read_orientation
    )
    orientation = _common(orientations, "ImageOrientationPatient", 1e-3, notes)
    places = groups.values(
        "PlanePositionSequence", "ImagePositionPatient", read_position, fall_back=groups.frames == 1
    )
    positions = None if places is None else np.array(places, np.float64).reshape(-1, 3)
    order = times = None
    if notes:
        orientation = None  # no two of these frames belong to one grid
    elif positions is not None and orientation is not None:
        order, times = order_frames(positions, orientation, *_indices(groups))
        positions = positions[order]
        if (order == np.arange(order.size)).all():
            order = None
    pixel = (math.nan, math.nan) if spacing is None else (spacing[0], spacing[1])
    return Frames(positions, orientation, pixel, thickness, order, times, tuple(notes))


def _indices(groups: Groups) -> tuple[list[int | None], list[tuple[int, ...] | None]]:
    """Return TemporalPositionIndex and DimensionIndexValues of each frame."""
    temporal: list[int | None] = []
    dimensions: list[tuple[int, ...] | None] = []
    for group in groups.each:
        content = group.items("FrameContentSequence")[:1] if group is not None else []
        time = content[0].binary("TemporalPositionIndex") if content else ()
        index = content[0].binary("DimensionIndexValues") if content else ()
        temporal.append(int(time[0]) if time else None)
        dimensions.append(tuple(map(int, index)) or None)
    return temporal, dimensions


def _common(
    values: Sequence[tuple[float, ...]] | None,
    name: str,
    tolerance: float,
    notes: list[str],
    *,
    rtol: bool = False,
) -> tuple[float, ...] | None:
    """Return the value all frames share, or None with a note."""
    if values is None:
        return None
    table = np.array(values)
    scale = table[0] if rtol else 1.0
    if (np.abs(table - table[0]) > tolerance * scale).any():
        notes.append(f"the frames differ in {label(name)} and form no volume; they stay as stored")
        return None
    return values[0]
