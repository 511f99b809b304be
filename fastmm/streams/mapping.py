"""An operator applied in chunks: from any source, within a limit, to any place."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result
from fastmm._memory import made_in
from fastmm._space import enter
from fastmm.streams.chunks import Needs, plan_chunks
from fastmm.streams.costs import Cost
from fastmm.streams.limits import check_limit
from fastmm.streams.masks import Mask
from fastmm.streams.pipeline import flow
from fastmm.streams.side_by_side import side_by_side
from fastmm.streams.sinks import Sink, open_sink
from fastmm.streams.sources import Region, Source, open_source
from fastmm.streams.uploads import UploadedSource, uploaded

__all__ = ["map_in_chunks"]

# Bytes read and made for one chunk: large enough to hide what a chunk costs in Python, small
# enough that the allocator hands the same memory out again, and that a cache keeps some of it.
_CAP = {"cpu": 1 << 25, "simulator": 1 << 25, "cuda": 1 << 28}
_CAP_UPLOADED = 1 << 26  # of pinned memory, and on the device of each of two buffers
# From memory to memory nothing is made between: only that what a chunk costs is to be hidden,
# some 0.4 ms once its images have taken the cache.
_CAP_WITHIN = 1 << 27

Function = Callable[..., Any]


def map_in_chunks(
    function: Function,
    images: Any,
    named: Mapping[str, Any],
    *,
    spatial: int | None,
    cost: Cost,
    memory_limit: Any = None,
    out: Any = None,
) -> Any:
    """Return ``function(images, **named)``, some images at a time.

    Parameters
    ----------
    function : callable
        Treats each image by itself.
    images : array, memory-mapped array, chunked store, or list of arrays
        Batch axes first.
    named : mapping
        Its other arguments; `mask` is cut as the images are, and ``per="batch"`` keeps all
        images together.
    spatial : int or None
        How many trailing axes make an image; None: all but the first.
    cost : Cost
        What `function` needs beside input and result.
    memory_limit : int, str or None
        Bytes that the call may take in addition to what is in memory already.
    out : array, memory-mapped array, chunked store, or None
        Where the result goes; None: a new array. On a GPU: images on disk go up to it.

    Returns
    -------
    array
        `out`, or what ``function(images, **named)`` would return.

    Raises
    ------
    ValueError, TypeError
        As `function`; if the limit is too small, or `out` cannot take the result.

    Examples
    --------
    >>> images = np.arange(12.0).reshape(3, 2, 2)
    >>> map_in_chunks(np.negative, images, {}, spatial=2, cost=Cost(), memory_limit=200)[2, 1]
    array([-10., -11.])
    """
    limit, source = check_limit(memory_limit), uploaded(open_source(images), out)
    shape, rank = source.shape, len(source.shape)
    own_axes = max(0, rank - (rank - 1 if spatial is None else spatial))
    shape_out, dtype_out = _probe(function, source, named, own_axes)
    together = named.get("per") == "batch"
    batch = () if together else shape[:own_axes]
    mask = Mask(named["mask"], shape) if named.get("mask") is not None else None
    sink = open_sink(out, shape_out, dtype_out, source)
    needs = _needs(source, sink, len(batch), (shape_out, dtype_out), cost, mask)
    grains, cap = (source.grain, sink.grain), _cap(source, sink)
    chunks = plan_chunks(batch, needs, limit, cap, grains)
    cores = _cores(source, needs, limit) if cost.by_core and len(chunks) > 1 else 1
    if cores > 1:
        each, moved = cores * needs.each, cores * needs.moved
        chunks = plan_chunks(batch, replace(needs, each=each, moved=moved), limit, cap, grains)
    if len(chunks) == 1 and sink.own:
        part = source.read(()), mask and mask.read(())
        result = source.way_out(_apply(function, part, named))
        source.drop(())
        return result
    sink.make()
    source.make(chunks.images * math.prod(shape[len(batch) :]) * source.dtype.itemsize)

    def read(region: Region) -> tuple[Any, Any]:
        source.fetch(region)
        return source.read(region), mask and mask.read(region)

    def compute(region: Region, part: tuple[Any, Any]) -> Any:
        with made_in(sink.place(region)):
            made = _apply(function, part, named)
        if source.space.kind == "simulator":
            _, (made,), _ = enter(made=made)
        source.drop(region)
        wanted = (*(s.stop - s.start for s in region), *shape_out[len(region) :])
        if tuple(made.shape) != wanted or made.dtype != dtype_out:
            raise ValueError(
                "`images` must give results of one shape and dtype, got "
                f"{tuple(made.shape)} {made.dtype} where {wanted} {dtype_out} was expected."
            )
        return made

    if cores > 1:
        side_by_side(chunks, read, compute, sink.write, cores=cores, together=sink.in_memory)
        return sink.finish()
    flow(
        chunks, read, compute, sink.write,
        reads=not source.in_memory, writes=not sink.in_memory,
    )  # fmt: skip
    return sink.finish()


def _cores(source: Source, needs: Needs, limit: int | None) -> int:
    """Return how many chunks are made at a time, each by a core."""
    if source.space.kind != "cpu":
        return 1
    from fastmm.kernels._jit import cpu_threads

    cores: int = cpu_threads()
    return (
        cores if limit is None else max(1, min(cores, (limit - needs.fixed) // max(needs.each, 1)))
    )


def _cap(source: Source, sink: Sink) -> int:
    if source.is_view and sink.own:  # comes without a copy, and goes nowhere
        return sys.maxsize
    if isinstance(source, UploadedSource):
        return _CAP_UPLOADED
    cap = _CAP[source.space.kind]
    return max(cap, _CAP_WITHIN) if source.in_memory and sink.in_memory else cap


def _apply(function: Function, part: tuple[Any, Any], named: Mapping[str, Any]) -> Any:
    images, mask = part
    return (
        function(images, **named) if mask is None else function(images, **{**named, "mask": mask})
    )


def _probe(
    function: Function, source: Source, named: Mapping[str, Any], own_axes: int
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Learn shape and dtype of the result from no images at all; bad arguments show here."""
    plain = dict(named)
    if "mask" in plain:
        plain["mask"] = None
    if "per" in plain and plain["per"] == "batch":
        plain["per"] = "image"
    made = function(source.empty(own_axes > 0), **plain)
    shape = tuple(int(size) for size in made.shape[1:])
    return ((source.shape[0], *shape) if own_axes else shape), np.dtype(made.dtype)


def _needs(
    source: Source,
    sink: Sink,
    batch: int,
    result: tuple[tuple[int, ...], np.dtype[Any]],
    cost: Cost,
    mask: Mask | None,
) -> Needs:
    pixels = math.prod(source.shape[batch:])
    before = pixels * source.dtype.itemsize
    floats = pixels * dtype_of_result(source.dtype).itemsize
    after = math.prod(result[0][batch:]) * result[1].itemsize
    made = math.prod(result[0]) * result[1].itemsize if sink.own else 0
    size = cost.device_size if source.space.kind == "cuda" else cost.size
    fixed = made + int(cost.images * floats) + size + source.extra + sink.extra
    each = source.copies * before + cost.inputs * floats + (1 + cost.outputs + sink.copies) * after
    if mask is not None:
        fixed, each = fixed + mask.extra, each + pixels * (1 + mask.itemsize)
    return Needs(fixed, int(each), before + after, made)
