"""Threshold the inner products of patches and atoms and sum them over tiles of patches.

Patches are rows, those of a tile one after the other and filled up with zeros to whole
groups; an image has as many rows as any other. Atoms lie in blocks: all values of a block
at one place, then those at the next. Row and atom meet in registers alone: of flops there
are 2 n K for each atom, of bytes from memory next to none.

CUDA: one thread for four atoms of a tile, 16 atoms apart, so that a warp reads two runs of
atoms and the same values of the rows.
"""

import numpy as np

from ._jit import ATOMS, GROUP, Kernel, cuda, prange, responder

__all__ = ["ATOMS", "GROUP", "respond"]

_respond = responder()
_APART = ATOMS // 4


def _tiles(rows, atoms, tiles, threshold, out):
    # tiles: first row and number of groups; out is (images, tiles, signs, atoms).
    size, width, limit = rows.shape[1], out.shape[3], threshold[0]
    each = rows.shape[0] // out.shape[0]
    values, blocks, sums = rows.reshape(-1), atoms.reshape(-1), out.reshape(-1)
    for task in prange(out.shape[0] * tiles.shape[0]):
        image, tile = task // tiles.shape[0], task % tiles.shape[0]
        first = (np.int64(image) * each + tiles[tile, 0]) * size
        plus = np.int64(task) * 2 * width
        for i in range(2 * width):
            sums[plus + i] = 0
        for block in range(atoms.shape[0]):
            at = plus + block * ATOMS
            for group in range(tiles[tile, 1]):
                _respond(
                    values,
                    first + group * GROUP * size,
                    size,
                    blocks,
                    block * size * ATOMS,
                    sums,
                    at,
                    at + width,
                    limit,
                )


def _threads(work, rows, atoms, tiles, threshold, out):
    kind = out.dtype.type
    zero, limit = kind(0), threshold[0]
    size, each = rows.shape[1], rows.shape[0] // out.shape[0]
    sums = cuda.local.array((GROUP, 4), np.float32)
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        lane = element % _APART
        block = element // _APART % atoms.shape[0]
        tile = element // _APART // atoms.shape[0] % tiles.shape[0]
        image = element // _APART // atoms.shape[0] // tiles.shape[0]
        first = image * each + tiles[tile, 0]
        for a in range(4):
            out[image, tile, 0, block * ATOMS + lane + a * _APART] = zero
            out[image, tile, 1, block * ATOMS + lane + a * _APART] = zero
        for group in range(tiles[tile, 1]):
            row = first + group * GROUP
            for p in range(GROUP):
                for a in range(4):
                    sums[p, a] = zero
            for k in range(size):
                for a in range(4):
                    weight = atoms[block, k, lane + a * _APART]
                    for p in range(GROUP):
                        sums[p, a] += rows[row + p, k] * weight
            for a in range(4):
                over, under = zero, zero
                for p in range(GROUP):
                    over += max(sums[p, a] - limit, zero)
                    under += max(-sums[p, a] - limit, zero)
                out[image, tile, 0, block * ATOMS + lane + a * _APART] += over
                out[image, tile, 1, block * ATOMS + lane + a * _APART] += under


respond = Kernel("respond", _tiles, _threads)
