"""What kernel functions take to make a tile of a Gram matrix: bytes, its own result included.

Counted from the steps of each function at their peak; where a kernel falls back to wider
arithmetic for some inputs, as if it always did.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

from fastmm.grams.convolution import PLANE_BYTES
from fastmm.grams.matrices import NEAR_VALUES, PAIR_VALUES
from fastmm.grams.patches import PARTS_BYTES

__all__ = [
    "Tile",
    "Work",
    "convolution_work",
    "laplacian_work",
    "layer_work",
    "linear_work",
    "patch_work",
    "polynomial_work",
    "rbf_work",
]

Options = Mapping[str, Any]


class Tile(NamedTuple):
    """A tile: rows and columns, shape of a row, bytes of the float type, kind of the space."""

    rows: int
    columns: int
    shape: tuple[int, ...]
    size: int
    kind: str = "cpu"

    @property
    def cells(self) -> int:
        """Number of values of the tile."""
        return self.rows * self.columns

    @property
    def values(self) -> int:
        """Number of values of the rows that it is made of."""
        return (self.rows + self.columns) * self.length

    @property
    def length(self) -> int:
        """Number of values of a row."""
        return int(prod(self.shape))


Work = Callable[[Tile, Options], float]


def linear_work(tile: Tile, options: Options) -> float:
    """Rows in the float type, and the product."""
    return tile.size * (tile.values + tile.cells)


def polynomial_work(tile: Tile, options: Options) -> float:
    """Four products at a time while a power is made, and a mask."""
    return tile.size * (tile.values + 4 * tile.cells) + tile.cells


def rbf_work(tile: Tile, options: Options) -> float:
    """Rows without their mean; in float64, and pairs compared one by one, where they are far."""
    wide = 16 * tile.values if tile.size == 4 else 0
    features = tile.length
    most = max(PAIR_VALUES.get(tile.kind, PAIR_VALUES["cpu"]), features)
    compared = 24 * min(tile.cells * features, most)
    looked = max(NEAR_VALUES.get(tile.kind, NEAR_VALUES["cpu"]), tile.columns)
    compared += 48 * min(tile.cells, looked)
    made = 8 + 4 * (tile.size == 4)  # of each pair, in float64 and then as float32
    return 2 * tile.size * tile.values + wide + made * tile.cells + compared


def laplacian_work(tile: Tile, options: Options) -> float:
    """Rows, columns laid out anew, and their sizes."""
    return tile.size * (3 * tile.values + tile.cells)


def layer_work(tile: Tile, options: Options) -> float:
    """Rows and five tiles in float64, whatever the inputs."""
    norms = 24 * (tile.rows + tile.columns) * int(options["depth"])
    return float((tile.size + 12) * tile.values + 36 * tile.cells + norms)


def patch_work(tile: Tile, options: Options) -> float:
    """Images along each axis, or side by side with the partial sums of each thread."""
    shifts = options["shifts"]
    if options["kernel"] == "linear":
        bands = 48 * max(tile.shape) ** 2 if shifts != 0 else 0
        return tile.size * (5 * tile.values + 2 * tile.cells) + bands
    from fastmm.kernels.boxes import LANES

    columns = -(-tile.columns // LANES) * LANES
    pixels = tile.length
    reach = shifts if isinstance(shifts, (tuple, list)) else [shifts] * len(tile.shape)
    moves = prod(2 * min(s, n) + 1 for s, n in zip(reach, tile.shape, strict=False))
    images = tile.size * (tile.values + (columns + LANES) * pixels) + 512 * moves
    sums = tile.size * 4 * tile.rows * columns
    if tile.kind == "cuda":
        return float(images + sums + PARTS_BYTES)
    # Rings of rows, and of planes where patches have a depth, that each thread keeps.
    *depth, height, width = (1, 1, *tile.shape)[-3:]
    deep = (depth[0] + 2) * height if depth[0] > 1 else 0
    rings = (height + 8 + deep) * (width + 1) * LANES * tile.size
    return float(images + sums + (os.cpu_count() or 1) * rings)


def convolution_work(tile: Tile, options: Options) -> float:
    """Norms of all layers in float64, and the planes of the pairs in work."""
    reach, both = options["filter_size"] // 2, 1 + bool(options["tangent"])
    inner = tile.length
    padded = prod(length + 2 * reach for length in tile.shape)
    most = max(1, PLANE_BYTES.get(tile.kind, PLANE_BYTES["cpu"]) // (16 * padded * both))
    planes = min(tile.cells, most) * (16 * padded * both + 16 * inner)
    norms = 8 * (2 * options["depth"] + 5) * (tile.rows + tile.columns) * padded
    return float(tile.size * tile.values + norms + 80 * tile.cells + planes)
