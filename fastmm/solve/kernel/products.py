"""Products with a kernel matrix that is never formed as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmm._space import Space
from fastmm.solve.kernel.gram import KernelFunction

__all__ = ["KernelProducts", "check_square", "tile_size"]

# Elements of a tile, 128 MB. Small ones would stay in the cache between their matrix product
# and their use, but on two (busy) cores changing thread pools costs more: a pass over 50,000 x
# 1,000 took 8 s at 1 << 20, 2.2 s at 1 << 22. On a device 512 MB, so that launches do not count.
_TILE = {"cpu": 1 << 24, "cuda": 1 << 26}
_CHECKED = 1e-5  # relative asymmetry above which a kernel matrix was not meant as symmetric


class KernelProducts:
    r"""Products with K, :math:`K_{ij} = k(x_i, z_j)`, tile by tile.

    Parameters
    ----------
    function : KernelFunction
        The kernel k.
    X : array of shape (n, d)
        Rows of K; for a precomputed kernel, K itself.
    Z : array of shape (m, d), or None
        Columns of K. None stands for `X`: each pair of tiles is then computed once. Not
        used by a precomputed kernel.
    space : Space
        Where the arrays live.
    keep : int, default 0
        Bytes. Tiles that all fit into them are computed once and kept, else anew for each
        product.

    Notes
    -----
    2 n m d flops and n m values of the kernel for a product of any number of columns, half
    of it where `Z` is None, and one tile of memory. Tiles are float64.

    Examples
    --------
    >>> K = KernelProducts(KernelFunction("linear"), np.eye(3), None, Space("cpu"))
    >>> K.times(np.array([[1.0], [2.0], [3.0]])).ravel()
    array([1., 2., 3.])
    """

    def __init__(
        self, function: KernelFunction, X: Any, Z: Any, space: Space, *, keep: int = 0
    ) -> None:
        self.function, self.X, self.space = function, X, space
        given = function.kernel == "precomputed"
        self.symmetric = Z is None
        self.Z = X if Z is None else Z
        self.shape = (X.shape[0], X.shape[1] if given else self.Z.shape[0])
        if given and self.symmetric:
            check_square(X)
            _check_symmetric(self)
        size = 8 * self.shape[0] * self.shape[1] // (2 if self.symmetric else 1)
        self._kept: list[Any] | None = None
        self._keeps = size <= keep and not given

    def times(self, right: Any) -> Any:
        """Return K times `right` (m, k), (n, k)."""
        out = self.space.xp.zeros((self.shape[0], right.shape[1]))
        for rows, columns, tile in self._tiles():
            out[rows] += tile @ right[columns]
            if self.symmetric and rows != columns:
                out[columns] += tile.T @ right[rows]
        return out

    def transposed_times(self, right: Any) -> Any:
        """Return the transpose of K times `right` (n, k), (m, k)."""
        if self.symmetric:
            return self.times(right)
        out = self.space.xp.zeros((self.shape[1], right.shape[1]))
        for rows, columns, tile in self._tiles():
            out[columns] += tile.T @ right[rows]
        return out

    def normal_times(self, right: Any, weight: Any = None) -> Any:
        """Return K' diag(weight) K times `right` (m, k), in one pass over K."""
        out = self.space.xp.zeros((self.shape[1], right.shape[1]))
        band: list[Any] = []
        for rows, columns, tile in self._tiles():
            band.append((columns, tile))
            if columns.stop < self.shape[1]:
                continue
            part = sum(piece @ right[at] for at, piece in band)
            if weight is not None:
                part = weight[rows, None] * part
            for at, piece in band:
                out[at] += piece.T @ part
            band = []
        return out

    def row_blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield slices of rows and K of these rows and all columns."""
        xp, band = self.space.xp, []
        for rows, columns, tile in self._tiles():
            band.append(tile)
            if columns.stop == self.shape[1]:
                yield rows, band[0] if len(band) == 1 else xp.concatenate(band, axis=1)
                band = []

    def _tiles(self) -> Any:
        if self._kept is None and self._keeps:
            self._kept = list(self._made())
        return self._made() if self._kept is None else self._kept

    def _made(self) -> Iterator[tuple[slice, slice, Any]]:
        n, m = self.shape
        high, wide = tile_size(n, m, self.space)
        if self.symmetric:
            high = wide = min(high, wide)
        for top in range(0, n, high):
            rows = slice(top, min(top + high, n))
            for left in range(top if self.symmetric else 0, m, wide):
                columns = slice(left, min(left + wide, m))
                yield rows, columns, self._tile(rows, columns)

    def _tile(self, rows: slice, columns: slice) -> Any:
        xp = self.space.xp
        if self.function.kernel == "precomputed":
            return self.X[rows, columns].astype(np.float64)
        if self.symmetric and rows == columns:
            return self.function.training(self.X[rows], xp)
        return self.function.between(self.X[rows], self.Z[columns], xp)


def tile_size(n: int, m: int, space: Space) -> tuple[int, int]:
    """Return the rows and columns of a tile: square but where K is narrow."""
    elements = _TILE.get(space.kind, _TILE["cpu"])
    side = max(1, int(elements**0.5))
    wide = min(m, side)
    return min(n, max(1, elements // wide)), wide


def check_square(K: Any) -> None:
    """Refuse a kernel matrix of training rows that has another number of columns."""
    n = K.shape[0]
    if K.shape != (n, n):
        raise ValueError(
            f"The kernel of {n} with {n} samples must have shape {(n, n)}, got {tuple(K.shape)}."
        )


def _check_symmetric(products: KernelProducts) -> None:
    K = products.X
    skew = scale = 0.0
    for rows, columns, tile in products._made():
        scale = max(scale, float(abs(tile).max()))
        skew = max(skew, float(abs(tile - K[columns, rows].astype(np.float64).T).max()))
    if skew > _CHECKED * scale:
        raise ValueError(
            "The kernel matrix of the training samples must be symmetric, got differences "
            f"of up to {skew:g} between K and its transpose."
        )
