"""The slices of one DICOM series, or the frames of one file, as a volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import DicomError, LimitError
from fastmm.read import limits
from fastmm.read.dicom.geometry import Grid, affine_of, check_grid
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.plain import plain_series
from fastmm.read.dicom.slices import read_pixels
from fastmm.read.dicom.stacking import Stack, stack_slices
from fastmm.read.dicom.values import as_asked
from fastmm.read.source import Slice
from fastmm.read.volume import Volume

__all__ = ["Options", "dicom_volume"]


@dataclass(frozen=True)
class Options:
    """What `read_volume` was asked for; each value is checked."""

    nonfinite: str | float = "raise"
    gaps: str = "raise"
    tilt: str = "raise"
    time: str | int = "raise"
    channel: int | None = None
    suv: bool = False
    invert: bool = True


def dicom_volume(headers: Sequence[Header], options: Options) -> tuple[Volume, list[str]]:
    """Read the pixels of one series; return the volume, and what to warn of."""
    stack = stack_slices(headers, options.time, options.channel)
    used = stack.headers
    asked = [as_asked(header, suv=options.suv, invert=options.invert) for header in used]
    used = [header for header in asked if isinstance(header, Header)]
    first = used[0]
    grid = _grid(stack, options)
    array, valid = _assemble(used, stack.frames, options)
    if options.time == "stack":
        shape = (stack.n_times, -1, *array.shape[1:])
        array, valid = array.reshape(shape), None if valid is None else valid.reshape(shape)
    spacing = (grid.step, *first.spacing)
    positions = stack.positions
    volume = Volume(
        array=array,
        units=first.units,
        spacing=spacing,
        affine=affine_of(
            first.orientation, None if positions is None else positions[0], spacing, grid.way
        ),
        valid=valid,
        modality=first.modality,
        source=tuple(h.path for h in used),
        positions=positions,
        time_axis=stack.time_axis,
    )
    return volume, [*stack.notes, *(note for h in used for note in h.notes)]


def _grid(stack: Stack, options: Options) -> Grid:
    first, positions = stack.headers[0], stack.positions
    if positions is None or len(positions) == 1:
        # One slice is as thick as it says; frames without places may lie anywhere.
        step = first.thickness if first.frames == 1 or positions is not None else math.nan
        return Grid(step, None, 0.0)
    names = [h.path.name for h in stack.headers]
    if len(names) == 1:
        names = [f"{names[0]}, image {i}" for i in range(len(positions))]
    return check_grid(
        names,
        positions,
        first.orientation or (),
        min(first.spacing),
        uneven=options.gaps,
        tilt=options.tilt,
    )


def _assemble(
    headers: Sequence[Header], frames: slice | None, options: Options
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    layout = headers[0].layout
    depth = (
        len(range(headers[0].frames)[frames or slice(None)]) if len(headers) == 1 else len(headers)
    )
    shape = (depth, layout.rows, layout.columns)
    if math.prod(shape) * 4 > limits.MAX_BYTES:
        raise LimitError(
            f"{headers[0].path.parent}: {depth} slices of {shape[1]} x {shape[2]} pixels need more "
            f"than the {limits.MAX_BYTES} bytes of fastmm.read.limits.MAX_BYTES."
        )
    plain = plain_series(headers)
    if plain is not None:
        array, valid, lowest = plain
        return _padded(headers, array, valid, lowest)
    array = np.empty(shape, np.float32)
    valid = None
    lowest, bad, start = math.inf, 0, 0
    for header in headers:
        part = read_pixels(header, channel=options.channel)
        values, good = _values(part, frames)
        here = slice(start, start := start + len(values))
        array[here] = values
        if good is not None:
            valid = np.ones(shape, bool) if valid is None else valid
            valid[here] = good
        bad += _fill(array[here], good, part, options.nonfinite)
        kept = array[here] if good is None else array[here][good]
        lowest = min(lowest, float(kept.min(initial=math.inf)))
    if bad and options.nonfinite == "raise":
        raise DicomError(
            f"{headers[0].path}: {bad} of {array.size} voxels of the volume are NaN or infinite; "
            "read_volume(..., nonfinite=0) fills them with 0, or with another number."
        )
    return _padded(headers, array, valid, lowest)


def _padded(
    headers: Sequence[Header],
    array: NDArray[np.float32],
    valid: NDArray[np.bool_] | None,
    lowest: float,
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Give padding the lowest valid value."""
    if valid is not None:
        if math.isinf(lowest):
            raise DicomError(f"{headers[0].path}: every pixel is padding.")
        array[~valid] = lowest
    return array, valid


def _values(
    part: Slice, frames: slice | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    with np.errstate(over="ignore", invalid="ignore"):
        values = part.values()
    if part.stored.dtype.kind == "f" and (np.isinf(values) & np.isfinite(part.stored)).any():
        raise DicomError(f"{part.header.path}: its values exceed float32.")
    if frames is None:
        return values, part.valid
    return values[frames], None if part.valid is None else part.valid[frames]


def _fill(
    values: NDArray[np.float32],
    valid: NDArray[np.bool_] | None,
    part: Slice,
    nonfinite: str | float,
) -> int:
    """Fill and count what is neither finite nor padding."""
    if part.stored.dtype.kind != "f":
        return 0
    bad = ~np.isfinite(values)
    if valid is not None:
        bad &= valid
    if not isinstance(nonfinite, str):
        values[bad] = nonfinite
    return int(bad.sum())
