"""Interpolate arrays at places on another grid: the choice of kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastmm._interp import canonical
from fastmm._space import Space
from fastmm.image.places import Places, cubic_table, linear_table, no_overlap

__all__ = ["interpolate", "supported"]

_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}


def interpolate(
    space: Space,
    src: Any,
    out: Any,
    places: Places,
    interpolation: str,
    outside: float,
    *,
    marked: bool,
) -> Any:
    """Fill `out` (batch, z, y, x); return, if `marked`, where the source owns a place."""
    axes = places.axes()
    if axes is not None and interpolation != "nearest":
        return _along_axes(space, src, out, places, axes, interpolation, outside, marked)
    kernel = _kernels()[interpolation]

    inside = space.empty(places.after if marked else (1, 1, 0), bool)
    constants = np.array([outside, math.ldexp(1.0, -places.shift)], out.dtype)
    space.launch(
        kernel,
        out.size,
        src,
        out,
        inside,
        space.asarray(places.matrix),
        places.shift,
        space.asarray(constants),
    )
    return inside if marked else None


def _kernels() -> dict[str, Any]:
    from fastmm.kernels.resampling import linear, nearest
    from fastmm.kernels.resampling_cubic import turned

    return {"nearest": nearest, "linear": linear, "cubic": turned}


def _along_axes(
    space: Space,
    src: Any,
    out: Any,
    places: Places,
    axes: tuple[int, ...],
    interpolation: str,
    outside: float,
    marked: bool,
) -> Any:
    from fastmm.kernels.resampling_axes import linear
    from fastmm.kernels.resampling_cubic import along_axes

    runs = np.array([places.run(o, a) for o, a in enumerate(axes)], np.int64)
    if (runs[:, 0] == runs[:, 1]).any():
        raise no_overlap()
    if axes != (0, 1, 2):
        src = canonical(src.transpose(0, *(a + 1 for a in axes)), 3)
    make = linear_table if interpolation == "linear" else cubic_table
    tables = [
        space.asarray(table)
        for o, a in enumerate(axes)
        for table in make(places.along(o, a), places.before[a], places.shift, out.dtype)
    ]
    kernel = linear if interpolation == "linear" else along_axes
    value = space.asarray(np.array([outside], out.dtype))
    space.launch(kernel, out.size, src, out, value, space.asarray(runs), *tables)
    if not marked:
        return None
    inside = space.xp.zeros(places.after, bool)
    inside[tuple(slice(int(a), int(b)) for a, b in runs)] = True
    return inside


def supported(space: Space, mask: Any, out: Any, places: Places, interpolation: str) -> Any:
    """Return where all that a voxel of `out` is interpolated from is true in `mask`."""
    from fastmm.kernels.support import support

    valid = space.empty(out.shape, bool)
    taps = _TAPS[interpolation]
    space.launch(support, out.size, mask, valid, space.asarray(places.matrix), places.shift, taps)
    return valid
