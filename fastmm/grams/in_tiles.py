"""Gram matrices made in tiles: from memory or disk, within a limit, to any place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np

from fastmm._blas import NUMPY, numpy_threads
from fastmm._space import Space, enter
from fastmm.grams.tile_grid import Grid, Place, tile_side
from fastmm.grams.tile_pairs import Pair, pair_up
from fastmm.grams.tile_sources import variance_of
from fastmm.grams.tile_work import Tile, Work
from fastmm.streams.limits import check_limit, refuse_below, say_bytes
from fastmm.streams.pipeline import flow
from fastmm.streams.side_by_side import side_by_side
from fastmm.streams.sinks import Sink, open_sink
from fastmm.streams.sources import MemorySource

__all__ = ["Tiling", "gram_in_tiles"]

_CAP = 1 << 29  # bytes beyond which larger tiles are no faster
_FIXED = 1 << 16  # what threads and tables take, whatever the tiles are
_SIDE = 512  # of a tile below which reading its rows and Python cost more than cores gain
_CHECKED = 1 << 24  # bytes that are looked at for NaN at once


class Tiling(NamedTuple):
    """How a kernel function is applied to tiles.

    `work` counts the bytes of a tile and `check` refuses shapes of X and Y. `width` returns the
    number that `gamma` stands for, where the kernel has any, of (options, name of a modality,
    shape of a row, function that returns the variance). Rows of `images` lie along the first
    axis, others along the last but one.
    """

    work: Work
    check: Callable[[Any, Any], Any]
    width: Callable[..., Any] | None = None
    images: bool = False


def gram_in_tiles(
    function: Callable[..., Any],
    X: Any,
    Y: Any,
    options: Mapping[str, Any],
    tiling: Tiling,
    *,
    memory_limit: Any = None,
    out: Any = None,
) -> Any:
    """Return ``function(X, Y, **options)``, made in tiles.

    Parameters
    ----------
    function : callable
        Kernel function, each value of which depends on two rows and `gamma` alone.
    X, Y : array, memory-mapped array, chunked store, or dict of them
        Rows, or images; `Y` may be None.
    options : mapping
        Its other arguments, none missing.
    tiling : Tiling
        How it is applied.
    memory_limit : int, str or None
        Bytes that the call may take in addition to what is in memory already.
    out : array, memory-mapped array, chunked store, or None
        Where the result goes; None: a new array.

    Returns
    -------
    array
        `out`, or what ``function(X, Y, **options)`` would return.

    Raises
    ------
    ValueError, TypeError
        As `function`; if the limit is too small, or `out` cannot take the result.

    Examples
    --------
    >>> from fastmm.grams.matrices import check_rows
    >>> from fastmm.grams.tile_work import linear_work
    >>> inner = lambda X, Y=None: X @ (X if Y is None else Y).T
    >>> gram_in_tiles(inner, np.eye(2), None, {}, Tiling(linear_work, check_rows))
    array([[1., 0.],
           [0., 1.]])
    """
    limit = check_limit(memory_limit)
    pairs, space, leave = pair_up(X, Y, out, tiling.images, tiling.check)
    run = partial(_run, function, space, leave, [pair.name for pair in pairs])
    dtype = np.dtype(run([pair.probe(space) for pair in pairs], options).dtype)
    like = MemorySource(space.empty((0,), dtype), space, leave)
    sink = open_sink(out, pairs[0].result, dtype, like)
    several = max(pairs[0].result[-2:]) >= 2 * _SIDE and not tiling.images
    cores = numpy_threads() if several and space.kind == "cpu" else 1
    grid, cores = _plan(pairs, space, tiling.work, options, sink, dtype, limit, cores)
    if grid is None:
        return like.leave(run([pair.everything() for pair in pairs], options))
    most = _CHECKED if limit is None else min(_CHECKED, max(1, limit // 8))
    for side in [side for pair in pairs for side in pair.sides]:
        side.refuse_nonfinite(most)
    options = _with_widths(pairs, options, tiling, most)
    sink.make()

    def read(place: Place) -> list[tuple[Any, Any]]:
        return [pair.read(place) for pair in pairs]

    def compute(place: Place, parts: list[tuple[Any, Any]]) -> Any:
        made = run(parts, options)
        for pair in pairs:
            pair.drop(place)
        return made[(None,) * len(place.leading)]

    def write(place: Place, made: Any) -> None:
        sink.write(place.region, made)
        if grid.mirrored and place.rows != place.columns:
            sink.write(place.mirrored.region, made.swapaxes(-1, -2))

    if cores > 1:
        with NUMPY:
            side_by_side(grid, read, compute, write, cores=cores, together=sink.in_memory)
    else:
        on_disk = any(pair.on_disk for pair in pairs)
        flow(grid, read, compute, write, reads=on_disk, writes=not sink.in_memory)
    return sink.finish()


def _plan(
    pairs: list[Pair], space: Space, work: Work, options: Mapping[str, Any], sink: Sink,
    dtype: np.dtype[Any], limit: int | None, cores: int,
) -> tuple[Grid | None, int]:  # fmt: skip
    """Choose the tiles, None where there is room for all at once, and how many at a time."""
    *leading, n, m = pairs[0].result
    made = prod(pairs[0].result) * dtype.itemsize if sink.own else 0
    fixed = _FIXED + sink.extra + sum(pair.extra for pair in pairs)

    def needs(side: int) -> float:
        rows, columns = min(side, n), min(side, m)
        cells = rows * columns * dtype.itemsize
        tiles = [Tile(rows, columns, p.shape, p.size, space.kind) for p in pairs]
        read = sum(pair.bytes_read(rows, columns, space) for pair in pairs)
        sums = 2 * cells if len(pairs) > 1 else 0
        most = max(float(work(tile, options)) for tile in tiles)
        return float(most + read + sums + (1 + sink.copies) * cells)

    least = fixed + made + max(needs(1), *(pair.least for pair in pairs))
    spare = f", of which the result takes {say_bytes(made)}; `out` on disk spares that"
    # In one piece, the result is that of the only tile.
    budget = limit
    if limit is None or sink.copies or not sink.own or any(p.on_disk for p in pairs):
        budget = min(_CAP + fixed + made, limit or _CAP + fixed + made)
    assert budget is not None
    whole = sink.own and fixed + prod(leading) * needs(max(n, m)) <= budget
    if not whole:
        what = f"one row and one column at a time take that much{spare if made else ''}"
        refuse_below(least, limit, what)
    else:
        return None, 1
    room = budget - fixed - made
    grains = [sink.grain[-2:], *(grain for pair in pairs for grain in pair.grains)]

    def largest(cores: int) -> int:
        # Enough of them that no core waits long for the last ones.
        most = longest if cores == 1 else max(_SIDE, ceil(longest / (2 * cores)))
        return tile_side(longest, lambda s: s <= most and cores * needs(s) <= room, grains)

    longest = max(n, m)
    cores = max(1, min(cores, longest // _SIDE))
    while cores > 1 and largest(cores) < _SIDE:
        cores //= 2
    return Grid(tuple(leading), n, m, largest(cores), pairs[0].same), cores


def _with_widths(
    pairs: list[Pair], options: Mapping[str, Any], tiling: Tiling, most: int
) -> Mapping[str, Any]:
    """Return options with the widths that depend on all rows."""
    if tiling.width is None:
        return options
    found = {
        pair.name: tiling.width(
            options, pair.name, pair.shape, partial(variance_of, pair.left, most)
        )
        for pair in pairs
    }
    return {**options, "gamma": found.get(None, found)}


def _run(
    function: Callable[..., Any], space: Space, leave: Callable[[Any], Any],
    names: list[str | None], parts: list[tuple[Any, Any]], options: Mapping[str, Any],
) -> Any:  # fmt: skip
    """Apply the function to native arrays, and return one."""
    brought = [[_brought(rows, space, leave) for rows in pair] for pair in parts]
    X, Y = brought[0]
    if names[0] is not None:
        Y = None if Y is None else {n: y for n, (_, y) in zip(names, brought, strict=True)}
        X = {n: x for n, (x, _) in zip(names, brought, strict=True)}
    made = function(X, Y, **options)
    return enter(made=made)[1][0] if space.kind == "simulator" else made


def _brought(rows: Any, space: Space, leave: Callable[[Any], Any]) -> Any:
    """Return rows as the function takes them, those of a disk on the device of the result."""
    if rows is None or space.kind == "cpu":
        return rows
    if space.kind == "simulator":
        return leave(np.ascontiguousarray(rows))
    return space.asarray(np.array(rows)) if isinstance(rows, np.ndarray) else rows
