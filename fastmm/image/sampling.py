"""Draw patches at random, in the whole image or inside a mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmm._check import integer, one_of, real
from fastmm._device_memory import tells_of_memory
from fastmm._interp import canonical
from fastmm._space import Space, enter
from fastmm.image.grid import PatchGrid, patch_grid
from fastmm.streams.limits import check_limit, refuse_below
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
    """Sample images some at a time: each has places of its own."""
    spatial, space = len(grid.size), Space("cpu")
    if mask is not None:
        mask = np.asarray(mask)
        _check_mask(mask, rows.shape)
    if rows.ndim == spatial:
        return _sample(space, rows[:], grid, most, seed, mask, whole)
    own = math.prod(rows.shape[1:-spatial])
    pixels = own * math.prod(rows.shape[-spatial:])
    drawn = own * min(most, math.prod(grid.counts))
    made = 2 * drawn * (math.prod(grid.size) * rows.dtype.itemsize + 8 * rows.ndim)  # and joined
    # Of the pixels of a mask: what is outside up to each, that again one longer, and places.
    masked = 0 if mask is None else (26 if whole else 10) * pixels
    step = len(rows)
    if limit is not None:
        fixed, grain = len(rows) * made, min(rows.grain, len(rows))
        least = rows.held(grain) + grain * masked
        what = f"{len(rows) * drawn} patches, and {grain} of the images they are drawn from"
        refuse_below(fixed + least, limit, what)
        step = grain * (1 + (limit - fixed - least) // (least - rows.held(0)))
    parts = [slice(i, min(i + step, len(rows))) for i in range(0, len(rows), step)]
    patches, positions = [], []
    for part, lying in rows.views(parts):
        _, (images,), _ = enter(images=lying)  # in the byte order of this machine
        cut = mask is not None and mask.ndim == rows.ndim and len(mask) == len(rows)
        allowed = mask[part] if cut else mask
        found, places = _sample(
            space, images, grid, most, seed, allowed, whole, first=own * part.start
        )
        places[:, 0] += part.start
        patches.append(found)
        positions.append(places)
        del images, lying, allowed  # before the one after the next is read
    return np.concatenate(patches), np.concatenate(positions)


def _sample(
    space: Space,
    images: Any,
    grid: PatchGrid,
    most: int,
    seed: int,
    mask: Any,
    whole: bool,
    *,
    first: int = 0,
) -> tuple[Any, Any]:
    """Return the patches of images of which the first one has the number `first`."""
    spatial = len(grid.size)
    batch = tuple(images.shape[:-spatial])
    src = canonical(images, spatial)
    if mask is not None:
        allowed = _allowed(space.xp, mask, tuple(images.shape), grid.size, whole)
        allowed = allowed.reshape(src.shape[0], -1)
    chosen = []
    for n in range(src.shape[0]):
        rng = np.random.default_rng([seed, first + n])
        if mask is None:
            places = _draw(rng, int(np.prod(grid.counts, dtype=np.int64)), most)
        else:
            free = space.xp.flatnonzero(allowed[n])
            places = space.to_host(free[space.asarray(_draw(rng, int(free.size), most))])
        chosen.append(np.stack([np.full(places.size, n), *np.unravel_index(places, grid.counts)]))
    corners = np.concatenate([np.zeros((1 + spatial, 0), np.int64), *chosen], axis=1).T
    owner = np.stack(np.unravel_index(corners[:, 0], batch or (1,)), axis=1)[:, : len(batch)]
    positions = np.concatenate([owner, corners[:, 1:]], axis=1).astype(np.int64)
    return _gather(space, src, corners, grid.size), space.asarray(positions)


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
    """Say for each place whether the mask lets a patch begin there."""
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


def _gather(space: Space, src: Any, corners: np.ndarray[Any, Any], size: tuple[int, ...]) -> Any:
    from fastmm.kernels.patches import gather

    ones = (1,) * (3 - len(size))
    out = space.empty((corners.shape[0], *ones, *size), src.dtype)
    bits = np.dtype(f"u{src.dtype.itemsize}")
    places = np.zeros((corners.shape[0], 4), np.int64)  # batch, then z, y, x as far as there are
    places[:, 0], places[:, 4 - len(size) :] = corners[:, 0], corners[:, 1:]
    space.launch(gather, out.size, src.view(bits), out.view(bits), space.asarray(places))
    return out.reshape((corners.shape[0], *size))
