"""Copy every patch of a (batch, z, y, x) array to a place of its own.

Values pass through as bits: the arrays are unsigned integers of the pixels' size, so four
builds serve all dtypes. Bytes: each output element is written once; the input is read
from memory about once, and again from the cache for each overlap.
"""

from ._jit import Kernel, cuda, prange

__all__ = ["extract"]


def _rows(src, out, step):
    # out is (batch, grid z, y, x, patch z, y, x); one task fills the patches of one grid row.
    grid_z, grid_y, grid_x, size_z, size_y, size_x = out.shape[1:]
    for task in prange(out.shape[0] * grid_z * grid_y):
        n = task // (grid_z * grid_y)
        gz = task // grid_y % grid_z
        gy = task % grid_y
        for gx in range(grid_x):
            x = gx * step[2]
            for pz in range(size_z):
                for py in range(size_y):
                    # Slicing first takes the offset out of the loop, which then vectorises.
                    line = src[n, gz * step[0] + pz, gy * step[1] + py, x : x + size_x]
                    target = out[n, gz, gy, gx, pz, py]
                    for px in range(target.size):
                        target[px] = line[px]


def _threads(work, src, out, step):
    grid_z, grid_y, grid_x, size_z, size_y, size_x = out.shape[1:]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        px = element % size_x
        rest = element // size_x
        py = rest % size_y
        rest = rest // size_y
        pz = rest % size_z
        rest = rest // size_z
        gx = rest % grid_x
        rest = rest // grid_x
        gy = rest % grid_y
        rest = rest // grid_y
        gz = rest % grid_z
        n = rest // grid_z
        out[n, gz, gy, gx, pz, py, px] = src[
            n, gz * step[0] + pz, gy * step[1] + py, gx * step[2] + px
        ]


extract = Kernel("extract", _rows, _threads)
