"""Draw patches at random, in the whole image or inside a mask."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmm._check import integer, one_of, real
from fastmm._device_memory import tells_of_memory
from fastmm._interp import canonical
from fastmm._space import Space, enter
from fastmm.image.grid import PatchGrid, patch_grid
from fastmm.streams.limits import check_limit, refuse_below
from fastmm.streams.pages import touch_pages
from fastmm.streams.side_by_side import side_by_side
from fastmm.streams.sources import is_source

__all__ = ["sample_patches"]


@tells_of_memory
def sample_patches(
    images: Any,
    patch_size: Sequence[int],
    max_patches: int,
    *,
    seed: int = 0,
    mask: Any = None,
    inside: str = "center",
    memory_limit: int | str | None = None,
) -> tuple[Any, Any]:
    r"""Draw patches of every image at random, without drawing one twice.

    Parameters
    ----------
    images : array of shape (..., \*spatial)
        One image, a stack, or anything above. NumPy, CuPy, or any DLPack array.
    patch_size : sequence of 1 to 3 ints
        Size of a patch in pixels, (height, width) for images. Its length says how many
        trailing axes of `images` are spatial; all axes before are batch axes.
    max_patches : int
        Patches to draw from each image. One that has fewer places gives all of them.
    seed : int, default 0
        Of the draws, not negative. Each image has a stream of its own, so that its patches
        do not depend on the images after it.
    mask : bool array that broadcasts to `images`, optional
        Where patches may lie.
    inside : {"center", "whole"}, default "center"
        What of a patch must lie in the mask: the pixel at index ``patch_size // 2``, or
        all of it.
    memory_limit : int or str, optional
        Bytes that the call may take, the patches included, such as "2GB": images on disk are
        read some at a time.

    Returns
    -------
    patches : array of shape (n, \*patch_size)
        The patches of the first image, then of the second, and so on; of each in the order
        of their places. Has the dtype of `images`, on the device and of the library it
        came from.
    positions : int64 array of shape (n, images.ndim)
        Index of each patch's first pixel in `images`, batch axes included; where `patches`
        are.

    Raises
    ------
    ValueError
        If a patch is larger than the image, `mask` does not broadcast, or a number is out
        of range.
    TypeError
        If `images` is no array of real numbers.

    Notes
    -----
    The same seed and input give the same patches on every device: places are drawn on the
    host, among as many as the mask leaves. Nothing but the chosen patches is copied; a mask
    costs a few arrays of its size.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import sample_patches
    >>> image = np.arange(30).reshape(5, 6)
    >>> patches, positions = sample_patches(image, (2, 2), 3)
    >>> patches.shape, positions.shape
    ((3, 2, 2), (3, 2))
    >>> bool((patches[:, 0, 0] == image[tuple(positions.T)]).all())
    True
    """
    limit, most = check_limit(memory_limit), integer(max_patches, "max_patches")
    seed = integer(seed, "seed", minimum=0)
    whole = one_of(inside, "inside", ("center", "whole")) == "whole"
    if limit is not None or is_source(images):
        from fastmm.streams.lazy_rows import lazy_rows

        rows = lazy_rows(images, limit or 1)
        if rows is not None:
            real(rows, "images")
            grid = patch_grid(rows.shape, patch_size, 1, 0, "`images`")
            return _from_disk(rows, grid, most, seed, mask, whole, limit)
    space, (images, mask), leave = enter(images=images, mask=mask)
    real(images, "images")
    grid = patch_grid(tuple(images.shape), patch_size, 1, 0, "`images`")
    if mask is not None:
        _check_mask(mask, tuple(images.shape))
    found = _sample(space, images, grid, most, seed, mask, whole)
    return leave(found[0]), leave(found[1])


def _from_disk(
    rows: Any, grid: PatchGrid, most: int, seed: int, mask: Any, whole: bool, limit: int | None
) -> tuple[Any, Any]:
    """Sample images some at a time: each has places of its own, which no pixel decides."""
    spatial, space = len(grid.size), Space("cpu")
    if mask is not None:
        mask = np.asarray(mask)
        _check_mask(mask, rows.shape)
    from fastmm.kernels._jit import cpu_threads

    if rows.ndim == spatial:
        return _sample(space, rows[:], grid, most, seed, mask, whole)
    own = math.prod(rows.shape[1:-spatial])
    pixels = own * math.prod(rows.shape[-spatial:])
    drawn = own * min(most, math.prod(grid.counts))
    # A patch, its position, and its corner with those of other parts and as kernels take it.
    made = drawn * (math.prod(grid.size) * rows.dtype.itemsize + 8 * (3 * rows.ndim + 4))
    # Of the pixels of a mask: what is outside up to each, that again one longer, and places.
    masked = 0 if mask is None else (26 if whole else 10) * pixels
    # Each row of a patch is read with a page; those of many patches are the whole image.
    touched = drawn * math.prod(grid.size[:-1]) * mmap.PAGESIZE
    dense = rows.in_file and touched >= pixels * rows.dtype.itemsize
    cores, grain = cpu_threads(), max(1, min(rows.grain, len(rows)))
    step = -(-len(rows) // (2 * cores * grain)) * grain  # some for each, so that none waits long
    if limit is not None:
        fixed = len(rows) * made
        reading = rows.viewed if rows.as_views else rows.held
        least = reading(grain) + grain * masked
        what = f"{len(rows) * drawn} patches, and {grain} of the images they are drawn from"
        refuse_below(fixed + least, limit, what)
        cores = min(cores, int((limit - fixed) // least))
        each = reading(grain) - reading(0) + grain * masked
        room = (limit - fixed) // cores - least
        step = min(step, grain * (1 + room // max(each, 1)))
    parts = [slice(i, min(i + step, len(rows))) for i in range(0, len(rows), step)]

    def draw(part: slice) -> np.ndarray[Any, Any]:
        cut = mask is not None and mask.ndim == rows.ndim and len(mask) == len(rows)
        shape = (part.stop - part.start, *rows.shape[1:])
        allowed = _allowed(space.xp, mask[part] if cut else mask, shape, grid.size, whole)
        return _draw_all(space, allowed, own * shape[0], grid, most, seed, own * part.start)

    # Without a mask it is known how many there are, so that each thread draws its own.
    known = None if mask is None else [draw(part) for part in parts]
    counts = [(p.stop - p.start) * drawn for p in parts] if known is None else map(len, known)
    ends = np.cumsum([0, *counts])
    patches = space.empty((int(ends[-1]), *grid.size), rows.dtype)
    positions = np.empty((len(patches), rows.ndim), np.int64)

    def read(numbered: tuple[int, slice]) -> Any:
        return rows.view(numbered[1]) if rows.in_file else rows[numbered[1]]

    def take(numbered: tuple[int, slice], lying: Any) -> None:
        turn, part = numbered
        corners = draw(part) if known is None else known[turn]
        there = slice(int(ends[turn]), int(ends[turn + 1]))
        if dense:
            touch_pages(lying)
        _, (images,), _ = enter(images=lying)  # in the byte order of this machine
        _gather(space, canonical(images, spatial), corners, grid.size, patches[there])
        positions[there] = _positions(corners, images.shape[:-spatial])
        positions[there, 0] += part.start
        if rows.in_file:
            rows.drop(part)

    side_by_side(enumerate(parts), read, take, lambda *_: None, cores=cores, together=True)
    return patches, positions


def _sample(
    space: Space, images: Any, grid: PatchGrid, most: int, seed: int, mask: Any, whole: bool
) -> tuple[Any, Any]:
    spatial = len(grid.size)
    src = canonical(images, spatial)
    allowed = _allowed(space.xp, mask, tuple(images.shape), grid.size, whole)
    corners = _draw_all(space, allowed, src.shape[0], grid, most, seed)
    positions = _positions(corners, images.shape[:-spatial])
    patches = space.empty((len(corners), *grid.size), src.dtype)
    _gather(space, src, corners, grid.size, patches)
    return patches, space.asarray(positions)


def _draw_all(
    space: Space, allowed: Any, count: int, grid: PatchGrid, most: int, seed: int, first: int = 0
) -> np.ndarray[Any, Any]:
    """Return number of image and corner of the patches of images, the first of them `first`."""
    chosen, places = [np.zeros(0, np.int64)], math.prod(grid.counts)
    allowed = None if allowed is None else allowed.reshape(count, -1)
    for n in range(count):
        rng = np.random.default_rng([seed, first + n])
        if allowed is None:
            chosen.append(_draw(rng, places, most))
        else:
            free = space.xp.flatnonzero(allowed[n])
            chosen.append(space.to_host(free[space.asarray(_draw(rng, int(free.size), most))]))
    owner = np.repeat(np.arange(count), list(map(len, chosen[1:])))
    return np.stack([owner, *np.unravel_index(np.concatenate(chosen), grid.counts)], axis=1)


def _positions(corners: np.ndarray[Any, Any], batch: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return corners with the number of the image as an index of the batch axes."""
    owner = np.unravel_index(corners[:, 0], batch) if batch else ()
    return np.stack([*owner, *corners[:, 1:].T], axis=1).astype(np.int64, copy=False)


def _draw(rng: np.random.Generator, count: int, most: int) -> np.ndarray[Any, Any]:
    """Draw places among `count`, in their order."""
    if count <= most:
        return np.arange(count)
    return np.sort(rng.choice(count, most, replace=False, shuffle=False))


def _check_mask(mask: Any, shape: tuple[int, ...]) -> None:
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"`mask` must broadcast to `images`, got shapes {tuple(mask.shape)} and {shape}."
        )


def _allowed(xp: Any, mask: Any, shape: tuple[int, ...], size: tuple[int, ...], whole: bool) -> Any:
    """Say for each place whether the mask, if there is one, lets a patch begin there."""
    if mask is None:
        return None
    mask = xp.broadcast_to(mask.astype(bool), shape)
    for axis, p in zip(range(-len(size), 0), size, strict=True):
        mask = xp.moveaxis(mask, axis, -1)
        if whole:
            # Counting what is outside, up to each pixel, makes any patch size cost the same.
            before = xp.cumsum(~mask, axis=-1, dtype=np.int64)
            before = xp.concatenate([xp.zeros_like(before[..., :1]), before], axis=-1)
            mask = before[..., p:] == before[..., : before.shape[-1] - p]
        else:
            mask = mask[..., p // 2 : mask.shape[-1] - (p - 1 - p // 2)]
        mask = xp.moveaxis(mask, -1, axis)
    return mask


def _gather(
    space: Space, src: Any, corners: np.ndarray[Any, Any], size: tuple[int, ...], patches: Any
) -> None:
    """Copy patches, whose corners follow the number of an image, to where they stay."""
    from fastmm.kernels.patches import gather

    ones = (1,) * (3 - len(size))
    out = patches.reshape((len(corners), *ones, *size))
    bits = np.dtype(f"u{src.dtype.itemsize}")
    places = np.zeros((len(corners), 4), np.int64)  # batch, then z, y, x as far as there are
    places[:, 0], places[:, 4 - len(size) :] = corners[:, 0], corners[:, 1:]
    space.launch(gather, out.size, src.view(bits), out.view(bits), space.asarray(places))
