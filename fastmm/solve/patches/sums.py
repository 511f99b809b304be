r"""Weights, means and centred products of all patches and their targets.

They are what a linear model needs to know; no patch is made. Rows are the patches of all
positions of all images, a row of an image of weight w counts w times.
"""

from __future__ import annotations

import math
from typing import Any

from fastmm._space import telling_of_memory
from fastmm.solve.patches.boxes import slide
from fastmm.solve.patches.gram import add_patch_gram
from fastmm.solve.patches.inputs import Images, Targets
from fastmm.solve.patches.tiling import MOST_BYTES
from fastmm.solve.ridge.design import pieces
from fastmm.solve.ridge.sufficient import SufficientStatistics
from fastmm.streams.lazy_rows import LazyRows

__all__ = ["box_means", "cross_products", "patch_sums", "target_sums", "tile_bytes"]


def patch_sums(images: Images, targets: Targets, weight: Any = None) -> SufficientStatistics:
    """Gather the sums over all patches.

    Parameters
    ----------
    images : Images
        Images of m modalities.
    targets : Targets
        Their targets.
    weight : array of shape (n,), float64, optional
        Weights of images, not negative. Default: 1.

    Returns
    -------
    SufficientStatistics
        The sums: the m prod(patch_size) features are the pixels of a patch, modality after
        modality.

    Raises
    ------
    ValueError
        If the sums do not fit into half of the memory, or overflow.
    DeviceMemoryError
        If the GPU is out of memory.
    """
    space, grid = images.space, images.grid
    m, d = len(images.arrays), len(images.arrays) * math.prod(grid.size)
    SufficientStatistics()._check_width(d, targets.number, space)
    with telling_of_memory(space):
        return _gather(images, targets, weight, m, d)


def _gather(images: Images, targets: Targets, weight: Any, m: int, d: int) -> SufficientStatistics:
    space, grid, xp = images.space, images.grid, images.space.xp
    positions = math.prod(grid.counts)
    weight = xp.ones(len(images)) if weight is None else weight
    sums = SufficientStatistics()
    sums.weight = float(weight.sum()) * positions
    centres, most = images.centres(), tile_bytes(images)
    parts = images.pieces() if isinstance(targets.values, LazyRows) else [slice(None)]
    found = (target_sums(targets.values[part], weight[part], positions) for part in parts)
    sums.y_mean = sum(found) / sums.weight
    gram = xp.zeros((m, *grid.size) * 2)
    total = xp.zeros((m, *images.shape))
    right = xp.zeros((targets.number, d))
    sums.yy = xp.zeros(targets.number)
    for rows, pixels in images.in_turn(centres):
        w = weight[rows]
        rest = targets.values[rows] - _aligned(sums.y_mean, targets.values)
        sums.yy += target_sums(rest * rest, w, positions)
        rest *= _rows(w, rest)
        right += cross_products(pixels, rest, images).sum(axis=0)
        total += xp.tensordot(w, pixels, axes=1)
        pixels *= _rows(xp.sqrt(w), pixels)
        add_patch_gram(gram, pixels, grid, space, most)
        del pixels  # before the next ones are made
    shift = box_means(total[None], images)[0] * (positions / sums.weight)
    xx, centre = gram.reshape(d, d), xp.repeat(centres, d // m)
    for part in pieces(d, d):
        xx[part] -= (sums.weight * shift[part])[:, None] * shift
    sums.x_mean, sums.xx, sums.xy = centre + shift, xx, xp.ascontiguousarray(right.T)
    if not bool(xp.isfinite(xx.trace() + sums.yy.sum())):
        raise ValueError(
            "Squares of `images` or `y` overflow float64; bring them to a smaller scale first."
        )
    return sums


def box_means(pixels: Any, images: Images) -> Any:
    r"""Return the mean patches (n, m prod(patch_size)) of images (n, m, \*spatial)."""
    grid = images.grid
    for k, (p, g, s) in enumerate(zip(grid.size, grid.counts, grid.steps, strict=True)):
        pixels = slide(pixels, 2 + k, p, g, s, images.space.xp)
    pixels /= math.prod(grid.counts)
    return pixels.reshape(len(pixels), -1)


def cross_products(pixels: Any, targets: Any, images: Images) -> Any:
    r"""Return the sum over patches of target times patch, (parts, targets, features).

    `pixels` are (n, m, \*spatial), `targets` weighted. Each part sums over some images.
    """
    xp, grid = images.space.xp, images.grid
    n, t = targets.shape[:2]
    if targets.ndim == 2:
        mixed = xp.tensordot(targets.T, pixels, axes=1)
        return box_means(mixed, images)[None] * math.prod(grid.counts)
    correlation = images.correlation()
    found = []
    step = correlation.images_at_once(2 * pixels.shape[1] + 2)
    for i in range(0, n, step):
        spectra = correlation.spectra(pixels[i : i + step])
        found.append(
            xp.stack(
                [
                    correlation.filters(spectra, targets[i : i + step, k], 0).reshape(-1)
                    for k in range(t)
                ]
            )
        )
    return xp.stack(found)


def target_sums(values: Any, weight: Any, positions: int) -> Any:
    """Return the weighted sums (targets,) over all rows; an image's target counts as often."""
    if values.ndim == 2:
        return weight @ values * positions
    return weight @ values.reshape(*values.shape[:2], -1).sum(axis=2)


def tile_bytes(images: Images) -> int:
    """Return the bytes that pixels in order may take, and their Gram matrix in a thread."""
    return MOST_BYTES if images.room is None else images.room.tiles


def _aligned(means: Any, values: Any) -> Any:
    return means.reshape((1, -1) + (1,) * (values.ndim - 2))


def _rows(weight: Any, values: Any) -> Any:
    return weight.reshape((-1,) + (1,) * (values.ndim - 1))
