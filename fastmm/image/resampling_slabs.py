"""Volumes on another grid, some slices at a time: from arrays on disk, within a limit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastmm._interp import canonical
from fastmm._space import Space
from fastmm.errors import GeometryError
from fastmm.image.interpolating import interpolate, supported
from fastmm.image.places import Places, no_overlap
from fastmm.streams.limits import refuse_below
from fastmm.streams.sinks import open_sink
from fastmm.streams.sources import Region, Source, open_source

__all__ = ["resample_slabs"]

_COPIES = 4  # of a part of the source, as it is read and turned
_MOST = 1 << 26  # bytes of a slab where there is no limit


def resample_slabs(
    array: Any,
    mask: Any,
    places: Places,
    interpolation: str,
    fill: float | None,
    dtype: np.dtype[Any],
    limit: int | None,
    out: Any,
) -> tuple[Any, Any]:
    """Return the resampled array (.., z, y, x), which is `out` if that is given, and what is valid.

    Of each slab of slices the source is read where its voxels lie; all the arithmetic is that
    of the whole, of which it is a part, in fixed point.
    """
    source = open_source(array)
    masks = None if mask is None else open_source(mask)
    shape = (*source.shape[:-3], *places.after)
    sink = open_sink(out, shape, dtype, source)
    partial = mask is not None or not places.all_inside()
    held = (math.prod(shape) * dtype.itemsize if sink.own else 0) + sink.extra + source.extra
    held += math.prod(shape) if partial else 0
    slabs = _slabs(places, source, dtype, held, limit)
    if partial and fill is None:
        fill = _lowest(source, masks)
    sink.make()
    valid = np.zeros(shape, bool) if partial else None
    for part, own, box in slabs:
        for batch in np.ndindex(*source.shape[:-3]):
            at = tuple(slice(i, i + 1) for i in batch)
            try:
                made, inside = _slab(
                    source, masks, (*at, *box), own, interpolation, fill, dtype, partial
                )
            except GeometryError:  # no voxel of the source owns one of these slices
                made = np.full((1, *own.after), fill, dtype)
                inside = np.zeros((1, *own.after), bool)
            if valid is not None:
                valid[(*batch, part)] = inside.reshape(own.after)
            sink.write((*at, part), made.reshape(*[1] * len(at), *own.after))
    if valid is not None:
        if not valid.any():
            raise no_overlap()
        valid = None if valid.all() else valid
    return sink.finish(), valid


def _slab(
    source: Source,
    masks: Source | None,
    box: Region,
    places: Places,
    interpolation: str,
    fill: float | None,
    dtype: np.dtype[Any],
    partial: bool,
) -> tuple[Any, Any]:
    """Return some slices of one volume, (1, z, y, x), and which of their voxels are valid."""
    if places.apart():
        raise no_overlap()
    space, value = Space("cpu"), fill or 0.0
    src = _read(source, box)
    if src.dtype in (np.float16, np.bool_):
        src = src.astype(dtype)
    made = space.empty((1, *places.after), dtype)
    inside = interpolate(
        space, canonical(src, 3), made, places, interpolation, value, marked=partial
    )
    if masks is not None:
        own = canonical(_read(masks, box), 3)
        inside = supported(space, own, made, places, interpolation)
        made[~inside] = value
    return made, inside


def _read(source: Source, box: Region) -> np.ndarray[Any, Any]:
    found = np.array(source.read(box)).reshape([s.stop - s.start for s in box[-3:]])
    source.drop(box[:1])
    return found


def _slabs(
    places: Places, source: Source, dtype: np.dtype[Any], held: int, limit: int | None
) -> list[tuple[slice, Places, Region]]:
    """Cut the new slices into slabs that fit, each with its places, and the box they lie in."""
    size = max(source.dtype.itemsize, dtype.itemsize)

    def needed(step: int) -> int:
        cuts = [places.slab(i, min(i + step, places.after[0])) for i in _starts(places, step)]
        found: int = max(
            size * (_COPIES * math.prod(own.before) + 3 * math.prod(own.after)) for own, _ in cuts
        )
        return found

    step = places.after[0]
    room = _MOST if limit is None else limit - held
    while step > 1 and needed(step) > room:
        step = -(-step // 2)
    refuse_below(held + needed(step), limit, "a slice of the result and what it is made of")
    found = []
    for i in _starts(places, step):
        part = slice(i, min(i + step, places.after[0]))
        own, box = places.slab(part.start, part.stop)
        found.append((part, own, box))
    return found


def _starts(places: Places, step: int) -> range:
    return range(0, places.after[0], step)


def _lowest(source: Source, masks: Source | None) -> float:
    """Return the lowest valid value that is finite, slice by slice."""
    found = []
    whole = tuple(slice(0, n) for n in source.shape[-2:])
    for batch in np.ndindex(*source.shape[:-2]):
        box = (*(slice(i, i + 1) for i in batch), *whole)
        values = np.array(source.read(box))
        kept = np.isfinite(values)
        if masks is not None:
            kept &= np.asarray(masks.read(box), bool)
        if kept.any():
            found.append(float(values[kept].min()))
        source.drop(box[:1])
    if not found:
        raise ValueError(
            "`volume` has no valid voxel of finite value to take `fill` from; give `fill`."
        )
    return min(found)
