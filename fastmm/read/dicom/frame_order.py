"""The order of the frames of one file: by time point, then by place along the normal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastmm.read.dicom.geometry import order_along_normal

__all__ = ["order_frames"]

Indices = Sequence[tuple[int, ...] | None]


def order_frames(
    positions: NDArray[np.float64],
    orientation: Sequence[float],
    temporal: Sequence[int | None],
    dimensions: Indices,
) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
    """Return the order of the frames, and the time point of each frame in that order.

    Frames that share a place are told apart by their TemporalPositionIndex, else by those
    of their DimensionIndexValues that take the same values at every place (echoes,
    b-values, ...). The time points are None where no two frames share a place, or where
    nothing tells them apart.
    """
    along, runs = order_along_normal(positions, orientation)
    if not runs:
        return along, None
    place = _places(along, runs)
    times = None
    if None not in temporal:
        times = _time_points([(t,) for t in temporal if t is not None], place)
    lengths = {len(index) if index else 0 for index in dimensions}
    if times is None and len(lengths) == 1 and 0 not in lengths:
        times = _time_points(_keys(temporal, dimensions, place), place)
    if times is None:
        return along, None
    order = np.lexsort((place, times))
    return order, times[order]


def _places(along: NDArray[np.intp], runs: Sequence[Sequence[int]]) -> NDArray[np.intp]:
    """Return the number of the place of each frame, counted along the normal."""
    first = np.ones(along.size, bool)
    rank = np.empty(along.size, np.intp)
    rank[along] = np.arange(along.size)
    for run in runs:
        first[rank[list(run)[1:]]] = False
    place = np.empty(along.size, np.intp)
    place[along] = np.cumsum(first) - 1
    return place


def _keys(
    temporal: Sequence[int | None], dimensions: Indices, place: NDArray[np.intp]
) -> list[tuple[int, ...]]:
    """Return what may tell time points apart: the indices that do not depend on the place."""
    table = np.array([index for index in dimensions if index], np.int64)
    if None not in temporal:
        table = np.column_stack([np.array(temporal, np.int64), table])
    order = np.argsort(place, kind="stable")
    sets = [
        [
            set(part.tolist())
            for part in np.split(column[order], np.flatnonzero(np.diff(place[order])) + 1)
        ]
        for column in table.T
    ]
    kept = [number for number, found in enumerate(sets) if all(f == found[0] for f in found)]
    return [tuple(row) for row in table[:, kept].tolist()]


def _time_points(
    keys: Sequence[tuple[int, ...]], place: NDArray[np.intp]
) -> NDArray[np.intp] | None:
    """Return the rank of each key; None unless each comes exactly once at each place."""
    number = {key: i for i, key in enumerate(sorted(set(keys)))}
    times = np.array([number[key] for key in keys], np.intp)
    if times.size != len(number) * (int(place.max()) + 1):
        return None
    cells = times * (int(place.max()) + 1) + place
    return times if np.unique(cells).size == cells.size else None
