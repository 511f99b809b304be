"""Operators of images on dask arrays: each chunk by itself, nothing before it is asked for.

The same calls take dask arrays::

    import dask.array as da, fastmm
    images = da.from_zarr("scans.zarr")                      # (n, h, w), chunks along n
    small = fastmm.resize(images, (128, 128))                # a dask array, not computed
    features = fastmm.PatchDictionary((8, 8), 64).fit(sample).transform(small)

Chunks may be NumPy or CuPy arrays, and stay what they are: each runs where it lies. Several
GPUs, one worker each, are dask-cuda's; chunks made there stay there::

    from dask.distributed import Client
    from dask_cuda import LocalCUDACluster
    client = Client(LocalCUDACluster())                      # a worker for each GPU
    images = da.from_zarr("scans.zarr").map_blocks(cupy.asarray)
    model = fastmm.RidgeCV().fit(fastmm.resize(images, (64, 64)).reshape(n, -1), y_on_gpu)

Workers on CPUs take one thread each (``Client(n_workers=8, threads_per_worker=1)``), since
the operators use several threads of their own; or set NUMBA_NUM_THREADS to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastmm._space import enter

__all__ = ["map_images"]


def map_images(
    function: Callable[..., Any], images: Any, spatial: int, named: Mapping[str, Any]
) -> Any:
    """Apply an operator to the images of a dask array, chunk by chunk.

    Parameters
    ----------
    function : callable
        Called as ``function(images, **named)`` with the images of a chunk; treats each by
        itself.
    images : dask array
        Batch axes first. Spatial axes in several chunks are joined; with ``per="batch"``,
        the whole array is.
    spatial : int
        How many trailing axes make an image.
    named : mapping
        Its other arguments. A `mask` with the axes of `images` is cut as they are.

    Returns
    -------
    dask array
        With the batch chunks of `images`; not computed. Its dtype, shape and kind of
        chunk are those of the operator.

    Raises
    ------
    ValueError, TypeError
        What `function` says of its arguments, at once.

    Examples
    --------
    >>> import dask.array as da
    >>> from fastmm import resize
    >>> small = resize(da.zeros((6, 64, 64), chunks=(2, 64, 32), dtype="float32"), (16, 16))
    >>> small.chunks, str(small.dtype)
    (((2, 2, 2), (16,), (16,)), 'float32')
    """
    if images.ndim <= spatial:
        single = map_images(function, images[None], spatial, _lifted(named, images.ndim))
        return single[0] if images.ndim == spatial else _refused(function, images, named)
    batch = images.ndim - spatial
    together = named.get("per") == "batch"
    images = images.rechunk(dict.fromkeys(range(0 if together else batch, images.ndim), -1))
    named, mask = dict(named), named.get("mask")
    cut = [] if mask is None or getattr(mask, "ndim", 0) != images.ndim else [_like(mask, images)]
    meta = _meta(function, images, batch, named)
    if cut:
        del named["mask"]
    tail = meta.shape[batch:]
    return images.map_blocks(
        _apply,
        *cut,
        function=function,
        named=named,
        dtype=meta.dtype,
        chunks=(*images.chunks[:batch], *((size,) for size in tail)),
        drop_axis=list(range(batch, images.ndim)),
        new_axis=list(range(batch, batch + len(tail))),
        meta=meta,
    )


def _meta(function: Callable[..., Any], images: Any, batch: int, named: dict[str, Any]) -> Any:
    """Return what the operator makes of no images."""
    space, _, _ = enter(images=images._meta)
    named = {**named, "mask": None} if "mask" in named else named
    named = {**named, "per": "image"} if named.get("per") == "batch" else named
    none = (0,) * batch + images.shape[batch:]
    return function(space.xp.zeros(none, images.dtype), **named)


def _apply(images: Any, *mask: Any, function: Callable[..., Any], named: dict[str, Any]) -> Any:
    return function(images, **named, **({"mask": mask[0]} if mask else {}))


def _like(mask: Any, images: Any) -> Any:
    import dask.array as da

    array = mask if hasattr(mask, "dask") else da.from_array(mask, chunks=images.chunks)
    if array.shape == images.shape:
        return array.rechunk(images.chunks)
    return da.broadcast_to(array, images.shape).rechunk(images.chunks)


def _lifted(named: Mapping[str, Any], rank: int) -> dict[str, Any]:
    """Give a mask of a single image the batch axis that the image got."""
    mask = named.get("mask")
    if mask is None or getattr(mask, "ndim", 0) != rank:
        return dict(named)
    return {**named, "mask": mask[None]}


def _refused(function: Callable[..., Any], images: Any, named: Mapping[str, Any]) -> Any:
    space, _, _ = enter(images=images._meta)
    return function(space.xp.zeros(images.shape, images.dtype), **named)
