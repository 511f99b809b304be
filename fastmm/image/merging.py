"""Put patches back together into images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, number, real, sizes
from fastmm._lazy import Cost, streamed
from fastmm._space import Space, enter_one
from fastmm.image.grid import patch_grid

__all__ = ["merge_patches"]


@streamed("shape", Cost(by_core=True), times=2)
def merge_patches(
    patches: Any,
    shape: Sequence[int],
    *,
    step: int | Sequence[int] = 1,
    pad: int | str | Sequence[Any] = 0,
    fill: float = np.nan,
    memory_limit: int | str | None = None,
    out: Any = None,
) -> Any:
    r"""Average overlapping patches into images: the inverse of `extract_patches`.

    .. math:: y_i = \frac{1}{|C_i|} \sum_{g \in C_i} P_{g,\; i - g s + b}

    where :math:`C_i` are the patches that cover pixel :math:`i`, :math:`s` is the step and
    :math:`b` the padding before the axis.

    Parameters
    ----------
    patches : array of shape (..., \*grid, \*patch_size)
        What `extract_patches` returned for images of `shape`, or anything made of it.
        NumPy, CuPy, or any DLPack array.
    shape : sequence of 1 to 3 ints
        Spatial size of the images in pixels, (height, width) for images. Its length says
        how many axes the grid and the patches have.
    step : int or sequence of ints, default 1
        Distance between neighbouring patches in pixels, as for `extract_patches`.
    pad : int, sequence, or "cover", default 0
        Padding as for `extract_patches`. Pixels of patches beyond the image are dropped.
    fill : float, default NaN
        Value of pixels that no patch covers (steps larger than the patch, and ends of axes
        without padding).
    memory_limit : int or str, optional
        Bytes that the call may take beside what is in memory already, such as "2GB": patches
        go through in chunks that fit. The result counts, unless `out` is given.
    out : array, optional
        Where the result goes: a NumPy, memory-mapped or zarr array of its shape and dtype; or
        one of CuPy's, to which patches on disk go up in chunks.

    Returns
    -------
    array of shape (..., \*shape)
        float32, or float64 where `patches` is float64 or has integers over 16 bits; on the
        device, and of the library, that `patches` came from.

    Raises
    ------
    ValueError
        If the grid of `patches` is not the one that `shape`, `step` and `pad` give.
    TypeError
        If `patches` is no array of real numbers.

    Notes
    -----
    The average of equal numbers is that number, bit by bit, so
    ``merge_patches(extract_patches(images, p, step=s, pad="cover"), shape, step=s,
    pad="cover")`` gives `images` back exactly wherever the result's dtype holds their
    values (integers beyond 2^53 it does not). Differences from the first patch that covers
    a pixel are averaged, in float64 on the CPU and compensated on a GPU. NaN and infinity
    reach the pixels that their patches cover. Each element of `patches` is read once.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import extract_patches, merge_patches
    >>> image = np.arange(12, dtype="float32").reshape(3, 4)
    >>> patches = extract_patches(image, (2, 2))
    >>> bool((merge_patches(patches, (3, 4)) == image).all())
    True
    """
    shape = sizes(shape, "shape")
    # NaN and infinity may stand for what is not there, so finiteness is not asked of it.
    absent = fill if isinstance(fill, float) else number(fill, "fill")
    space, patches, leave = enter_one(patches, "patches")
    real(patches, "patches")
    spatial = len(shape)
    if patches.ndim < 2 * spatial or 0 in patches.shape[-spatial:]:
        raise ValueError(
            f"`patches` must have at least {2 * spatial} axes for `shape` {shape}, the grid "
            f"and the patch, got shape {tuple(patches.shape)}."
        )
    size = tuple(patches.shape[-spatial:])
    batch, given = tuple(patches.shape[: -2 * spatial]), tuple(patches.shape[-2 * spatial :])
    grid = patch_grid(shape, size, step, pad, "images")
    if given[:spatial] != grid.counts:
        raise ValueError(
            f"`patches` must have a grid of {grid.counts} patches of {size} for `shape` {shape} "
            f"and this step and padding, got {given[:spatial]}."
        )
    dtype = dtype_of_result(patches.dtype)
    if patches.dtype == np.float16:  # no arithmetic in kernels on it
        patches = patches.astype(dtype)
    ones, count = (1,) * (3 - spatial), int(np.prod(batch, dtype=np.int64))
    src = patches.reshape((count, *ones, *grid.counts, *ones, *size))
    if not src.flags.c_contiguous:
        src = src.copy(order="C")
    if src.dtype == np.bool_:
        src = src.view(np.uint8)
    out = space.empty((count, *ones, *shape), dtype)
    from fastmm.kernels.merging import merge

    fields = (ones + s for s in (shape, grid.counts, size))
    tables = _covers(space, *fields, tuple(grid.layout()))
    missing = space.asarray(np.array([absent], dtype))
    space.launch(
        merge,
        max(out.size, src.size if space.kind == "cpu" else 0),
        src,
        out,
        space.asarray(grid.layout()),
        *tables,
        missing,
    )
    return leave(out.reshape((*batch, *shape)))


@lru_cache(maxsize=64)
def _covers(
    space: Space,
    shape: tuple[int, ...],
    counts: tuple[int, ...],
    size: tuple[int, ...],
    layout: tuple[int, ...],
) -> tuple[Any, ...]:
    """Return, for each axis, the first patch over each pixel and how many there are."""
    tables: list[Any] = []
    for m, grid, p, s, b in zip(shape, counts, size, layout[:3], layout[3:], strict=True):
        pixel = np.arange(m) + b
        first = np.maximum(-((p - 1 - pixel) // s), 0)  # the ceiling of (pixel - p + 1) / s
        last = np.minimum(pixel // s, grid - 1)
        tables += [first, np.maximum(last - first + 1, 0)]
    return tuple(space.asarray(table) for table in tables)
