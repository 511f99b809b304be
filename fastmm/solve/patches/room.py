"""How much work space a fit to patches takes under a memory limit."""

from __future__ import annotations

import math
from typing import NamedTuple

from fastmm.image.grid import PatchGrid
from fastmm.streams.limits import refuse_below

__all__ = ["Demand", "Room", "room_within"]

_FLOAT = 8
_LEAST = 1 << 21  # bytes of pixels at once: with fewer, what a piece costs in Python is all
_TABLES = 1 << 18  # bytes of plans, and of a thread that reads
_SETS = 12  # of coefficients, while the systems of folds are solved


class Room(NamedTuple):
    """Bytes of images brought to float64 at once, of tiles, spectra, and sets of coefficients."""

    pieces: int
    tiles: int
    spectra: int
    systems: int


class Demand(NamedTuple):
    """What a call needs: images, modalities, targets, matrices of d x d, other bytes at once.

    `maps` says whether targets belong to positions, `folds` whether some are left out, and
    `read` how many bytes of a pixel are held on its way from the disk.
    """

    images: int
    modalities: int
    targets: int
    matrices: int
    fixed: int
    maps: bool
    folds: bool
    read: float


def room_within(limit: int, demand: Demand, shape: tuple[int, ...], grid: PatchGrid) -> Room:
    r"""Share a limit among the steps of a fit.

    Parameters
    ----------
    limit : int
        Bytes.
    demand : Demand
        What is to be done.
    shape : tuple of int
        Spatial shape of the images.
    grid : PatchGrid
        Their patches.

    Returns
    -------
    Room
        The shares.

    Raises
    ------
    ValueError
        If the d x d sums, an image and the smallest tile of patches do not fit.

    Examples
    --------
    >>> from fastmm.image.grid import patch_grid
    >>> grid = patch_grid((8, 8), (2, 2), 1, 0, "images")
    >>> room_within(10**6, Demand(9, 1, 1, 2, 0, False, False, 12.0), (8, 8), grid).spectra > 0
    True
    """
    m, patch = demand.modalities, math.prod(grid.size)
    d, pixels = m * patch, m * math.prod(shape)
    fixed = _TABLES + demand.fixed + demand.matrices * _FLOAT * d * d + 3 * _FLOAT * pixels
    # What a byte of pixels in float64 brings with it: itself, what is read, a tile of it in
    # order and its products, and the maps of targets.
    maps = demand.targets * math.prod(grid.counts) / pixels if demand.maps else 0.0
    each = 3.0 + demand.read / _FLOAT + 3 * maps
    if demand.folds:
        each += _SETS / 8
    smallest = 2 * (m * grid.size[-1]) ** 2 * (patch // grid.size[-1]) * _FLOAT
    least = max(_FLOAT * pixels, smallest, min(_FLOAT * pixels * demand.images, _LEAST))
    refuse_below(
        fixed + each * least, limit,
        f"sums over patches of {d} pixels take that much, and the work on a few images of {pixels}",
    )  # fmt: skip
    work = int((limit - fixed) / each)
    work = min(work, 1 << 28)
    return Room(work, max(work // 2, smallest // 2), work // 2, work // 8)
