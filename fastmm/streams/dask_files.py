"""Images from a dask collection of paths, read where their chunk is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastmm._space import space_for

__all__ = ["map_paths"]


def map_paths(
    load: Callable[..., Any], paths: Any, shape: Sequence[int], options: Mapping[str, Any]
) -> Any:
    """Load the images of each partition of a collection of paths, lazily.

    Parameters
    ----------
    load : callable
        ``load(paths, shape, **options)``, as `fastmm.load_images`.
    paths : dask series, bag, or data frame of one column
        Files and folders, which every worker sees under the same path.
    shape : (height, width)
        Of the result, in pixels.
    options : mapping
        Other arguments. `device` "auto" is what it means here, for all workers.

    Returns
    -------
    dask array of shape (N, height, width), float32
        A chunk for each partition, not computed. A folder holds as many images as it holds,
        so that N is not known (NaN) before ``compute_chunk_sizes()``.

    Raises
    ------
    TypeError
        If `paths` is something else, or an option cannot work on workers.

    Examples
    --------
    >>> import dask.bag as db
    >>> from pydicom.data import get_testdata_file
    >>> from fastmm import load_images
    >>> paths = db.from_sequence([get_testdata_file("CT_small.dcm")] * 2, npartitions=2)
    >>> images = load_images(paths, (32, 32), window=(40, 400), device="cpu")
    >>> images.compute().shape
    (2, 32, 32)
    """
    import dask.array as da
    from dask import delayed

    for name in ("report", "progress", "out", "memory_limit"):
        if options.get(name) not in (None, False):
            raise TypeError(
                f"`{name}` must be left out where `paths` are a dask collection, whose images are "
                "made later and elsewhere."
            )
    parts = _partitions(paths)
    options = {name: value for name, value in options.items() if value is not None}
    space = space_for(options.get("device", "auto"))
    options["device"] = "cuda" if space.kind == "cuda" else "cpu"
    empty = load([], shape, **options)
    task = delayed(_load, pure=False)
    known = (float("nan"), *empty.shape[1:])
    chunks = [
        da.from_delayed(task(load, part, tuple(shape), options), known, meta=empty)
        for part in parts
    ]
    return da.concatenate(chunks, allow_unknown_chunksizes=True)


def _partitions(paths: Any) -> list[Any]:
    if getattr(paths, "ndim", 1) == 2:
        if len(paths.columns) != 1:
            raise TypeError(
                f"`paths` must be one column, got a data frame of {len(paths.columns)}; choose "
                'the column, as in `frame["ct"]`.'
            )
        paths = paths[paths.columns[0]]
    if not hasattr(paths, "to_delayed") or hasattr(paths, "chunks"):
        raise TypeError(
            f"`paths` must be a dask series, bag or data frame, got {type(paths).__name__}."
        )
    return list(paths.to_delayed())


def _load(
    load: Callable[..., Any], part: Any, shape: tuple[int, ...], options: dict[str, Any]
) -> Any:
    return load([_path(item) for item in part], shape, **options)


def _path(item: Any) -> Any:
    if item is None or (isinstance(item, float) and np.isnan(item)):
        raise ValueError("`paths` must not hold missing values; drop those rows first.")
    return item
