"""The slices of one series in the order of their places, and of time where that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastmm.errors import GeometryError
from fastmm.read.dicom.copies import first_other, without_copies
from fastmm.read.dicom.geometry import order_along_normal
from fastmm.read.dicom.header import Header
from fastmm.read.dicom.tags import label
from fastmm.read.dicom.timepoints import TimeAxis, find_time_axis, read_marks

__all__ = ["Stack", "sort_slices", "stack_slices"]

# How far images of one place may lie apart in mm, in whatever direction.
_ONE_PLACE_MM = 0.01


@dataclass(frozen=True, eq=False)
class Stack:
    """Images in order: all places of one time point, then those of the next.

    `frames` says which frames of a single multi-frame file are wanted, None all;
    `positions` are those of the places, (z, 3), None where they are not known.
    """

    headers: list[Header]
    positions: NDArray[np.float64] | None
    n_times: int = 1
    time_axis: str = ""
    frames: slice | None = None
    notes: list[str] = field(default_factory=list)


def sort_slices(headers: Sequence[Header]) -> tuple[list[Header], list[str]]:
    """Order the slices of one time point along their normal; drop copies, which the notes tell."""
    stack = stack_slices(headers)
    return stack.headers, stack.notes


def stack_slices(
    headers: Sequence[Header], time: str | int = "raise", channel: int | None = None
) -> Stack:
    """Order slices of one series by time and along their normal, or the frames of one file.

    Several images at one place are copies, which are dropped, or time points: an error
    with ``time="raise"``, all of them with ``time="stack"``, one of them with a number.
    """
    if len(headers) == 1:
        return _stack_frames(headers[0], time)
    positions = _positions(headers)
    order, runs = order_along_normal(positions, headers[0].orientation or ())
    if not runs:
        _pick(headers[0], 1, time)
        return Stack([headers[i] for i in order], positions[order])
    places = _places(order, runs)
    _check_places(headers, positions, places)
    if time == "raise":
        dropped = _drop_copies(headers, places, channel)
        axis = None
    else:
        dropped, axis = _tell_apart(headers, places, channel)
    notes = [f"{dropped} slices are copies of others and were dropped"] if dropped else []
    rows = axis.order if axis else [place[:1] for place in places]
    n_times = len(rows[0])
    times = range(n_times) if time in ("raise", "stack") else [_pick(headers[0], n_times, time)]
    return Stack(
        headers=[headers[row[t]] for t in times for row in rows],
        positions=positions[[row[times[0]] for row in rows]],
        n_times=len(times),
        time_axis=axis.keyword if axis else "",
        notes=notes,
    )


def _stack_frames(header: Header, time: str | int) -> Stack:
    """Check the frames of one file, which are in order; say which of them are wanted."""
    positions, frames = header.positions, header.frames
    if frames == 1:
        _pick(header, 1, time)
        return Stack([header], positions)
    times = header.times
    if positions is None:
        _pick(header, 1, time)
        return Stack([header], None)
    if header.orientation is None:
        raise GeometryError(
            f"{header.path}: its {frames} frames have no common orientation and spacing, so they "
            "form no volume; load_images reads them one by one."
        )
    n_times = 1 if times is None else int(times.max()) + 1
    depth, rest = divmod(frames, n_times)
    if rest or (times is not None and (np.bincount(times) != depth).any()):
        raise GeometryError(
            f"{header.path}: its {n_times} time points differ in their number of frames."
        )
    placed = positions.reshape(n_times, depth, 3)
    if np.abs(placed - placed[0]).max() > _ONE_PLACE_MM:
        raise GeometryError(f"{header.path}: its {n_times} time points lie at different places.")
    if order_along_normal(placed[0], header.orientation)[1]:
        raise GeometryError(
            f"{header.path}: several of its {frames} frames lie at one place, and nothing tells "
            "their time points apart."
        )
    if time == "raise" and n_times > 1:
        raise GeometryError(_several(str(header.path), depth, n_times, ""))
    picked = slice(None)
    if not isinstance(time, str):
        number = _pick(header, n_times, time)
        picked = slice(number * depth, (number + 1) * depth)
    kept = n_times if time == "stack" else 1
    axis = "FrameContentSequence" if n_times > 1 else ""
    return Stack([header], placed[0], kept, axis, frames=picked)


def _positions(headers: Sequence[Header]) -> NDArray[np.float64]:
    for name in ("positions", "orientation"):
        lacking = next((h for h in headers if getattr(h, name) is None), None)
        if lacking is not None:
            tag = f"Image{name.removesuffix('s').capitalize()}Patient"
            raise GeometryError(
                f"{lacking.path}: {label(tag)} is missing, so its place in the series of "
                f"{len(headers)} slices is not known."
            )
    return np.array([h.positions[0] for h in headers if h.positions is not None])


def _places(order: NDArray[np.intp], runs: Sequence[Sequence[int]]) -> list[list[int]]:
    """Group all slices by place, in the order of the places."""
    run_of = {run[0]: list(run) for run in runs}
    members = {i for run in runs for i in run[1:]}
    return [run_of.get(i, [i]) for i in order.tolist() if i not in members]


def _drop_copies(
    headers: Sequence[Header], places: Sequence[list[int]], channel: int | None
) -> int:
    """Leave one slice at each place where all are copies; anything else is an error."""
    dropped = 0
    for place in places:
        if (other := first_other([headers[i] for i in place], channel)) is not None:
            same = [headers[i] for i in place]
            raise GeometryError(
                f"{same[0].path} and {other.path} lie at the same place but differ in their "
                f"pixels.{_hint(headers, places)}"
            )
        dropped += len(place) - 1
    return dropped


def _tell_apart(
    headers: Sequence[Header], places: list[list[int]], channel: int | None
) -> tuple[int, TimeAxis | None]:
    """Find the axis of time; copies, which would have no place on it, are dropped."""
    marks = [read_marks(h.path) for h in headers]
    names = [h.path.name for h in headers]
    if _even(places) and (axis := find_time_axis(names, marks, places)) is not None:
        return 0, axis
    dropped = 0
    for number, place in enumerate(places):
        places[number] = without_copies(headers, marks, place, channel)
        dropped += len(place) - len(places[number])
    counts = sorted({len(place) for place in places})
    if len(counts) > 1:
        few = next(place for place in places if len(place) == counts[0])
        raise GeometryError(
            f"The time points are incomplete: the places hold from {counts[0]} to {counts[-1]} "
            f"images, the fewest at that of {headers[few[0]].path}."
        )
    if counts == [1]:
        return dropped, None
    axis = find_time_axis(names, marks, places)
    if axis is None:
        first, second = (headers[i].path for i in places[0][:2])
        raise GeometryError(
            f"{first} and {second} lie at the same place but differ in their pixels, and no tag "
            "tells their time points apart."
        )
    return dropped, axis


def _check_places(
    headers: Sequence[Header], positions: NDArray[np.float64], rows: Sequence[Sequence[int]]
) -> None:
    for row in rows:
        apart = np.abs(positions[list(row)] - positions[row[0]]).max(axis=1)
        if apart.max() > _ONE_PLACE_MM:
            raise GeometryError(
                f"{headers[row[0]].path} and {headers[row[int(apart.argmax())]].path} lie in one "
                f"plane but {apart.max():.4g} mm apart; they are no time points of one place."
            )


def _even(places: Sequence[Sequence[int]]) -> bool:
    return len({len(place) for place in places}) == 1


def _hint(headers: Sequence[Header], places: Sequence[Sequence[int]]) -> str:
    if not _even(places):
        return ""
    try:
        axis = find_time_axis(
            [h.path.name for h in headers], [read_marks(h.path) for h in headers], places
        )
    except GeometryError:
        axis = None
    return " " + _several("", len(places), len(places[0]), axis.keyword if axis else "")


def _several(where: str, depth: int, n_times: int, keyword: str) -> str:
    by = f", told apart by {keyword}" if keyword else ""
    return (
        f"{where + ': all' if where else 'All'} {depth} places hold {n_times} images each: time "
        f'points, echoes or b-values{by}; read_volume(..., time="stack") reads them as '
        f"(t, z, y, x), time=0 to {n_times - 1} one of them."
    )


def _pick(header: Header, n_times: int, time: str | int) -> int:
    if isinstance(time, str):
        return 0
    if time >= n_times:
        raise ValueError(
            f"`time` must lie in 0 to {n_times - 1}, since {header.path.parent} has {n_times} "
            f"time point(s), got {time}."
        )
    return time
