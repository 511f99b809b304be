"""Measure images in parts: runs of pixels, merged, and settled into a table for the map.

`pending` says which images are still to be measured: all of them at first, and then those
whose squares would have overflowed or vanished (see `_moments`).

The arithmetic has the type of `partial`: float64 on the CPU, that of the images on CUDA.
Merging is float64 on both, but it is little work.
"""

import numpy as np

from ._jit import Kernel, cuda, prange
from ._lanes import measure_run
from ._moments import add, begin, finish, join, settle_one

__all__ = ["measure", "merge", "settle"]


def _runs(src, inside, table, pending, only_range, partial):
    # partial is (6, images, runs); on the CPU a run is a stretch of the image.
    images, runs = partial.shape[1:]
    length = (src.shape[1] + runs - 1) // runs
    for task in prange(images * runs):
        n, p = np.int64(task // runs), np.int64(task % runs)
        if pending[n] != 0:
            start = min(p * length, src.shape[1])
            stop = min(start + length, src.shape[1])
            mask = inside[n if inside.shape[0] > 1 else 0, start:stop]
            found = measure_run(src[n, start:stop], mask, table[n, 0], table[n, 1], only_range)
            for i in range(6):
                partial[i, n, p] = found[i]


def _strips(work, src, inside, table, pending, only_range, partial):
    # A strip is every so many pixels, so that neighbouring threads read neighbours.
    kind = partial.dtype.type
    runs, masked = partial.shape[2], inside.shape[1] > 0
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, p = element // runs, element % runs
        if pending[n] != 0:
            m, half, up = n if inside.shape[0] > 1 else 0, table[n, 0], table[n, 1]
            state = begin(kind)
            for i in range(p, src.shape[1], runs):
                if not masked or inside[m, i] != 0:
                    state = add(state, kind(src[n, i]), half, up, kind)
            found = finish(state, kind)
            for i in range(6):
                partial[i, n, p] = found[i]


def _merge_rows(partial, table, pending, out):
    images, runs = out.shape[1:]
    for task in prange(images * runs):
        n, p = task // runs, task % runs
        if pending[n] != 0:
            half, up = np.float64(table[n, 0]), np.float64(table[n, 1])
            found = (0.0, 0.0, 0.0, 0.0, np.inf, -np.inf)
            for q in range(p, partial.shape[2], runs):
                a, b, c = partial[0, n, q], partial[1, n, q], partial[2, n, q]
                d, e, f = partial[3, n, q], partial[4, n, q], partial[5, n, q]
                found = join(found, a, b, c, d, e, f, half, up)
            for i in range(6):
                out[i, n, p] = found[i]


def _merge_threads(work, partial, table, pending, out):
    runs = out.shape[2]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        n, p = element // runs, element % runs
        if pending[n] != 0:
            half, up = np.float64(table[n, 0]), np.float64(table[n, 1])
            found = (0.0, 0.0, 0.0, 0.0, np.inf, -np.inf)
            for q in range(p, partial.shape[2], runs):
                a, b, c = partial[0, n, q], partial[1, n, q], partial[2, n, q]
                d, e, f = partial[3, n, q], partial[4, n, q], partial[5, n, q]
                found = join(found, a, b, c, d, e, f, half, up)
            for i in range(6):
                out[i, n, p] = found[i]


def _settle_rows(found, limits, minmax, table, pending):
    kind = table.dtype.type
    least, most, factor, largest = limits[0], limits[1], limits[2], limits[3]
    for n in prange(found.shape[1]):
        if pending[n] != 0:
            run = (
                found[0, n, 0], found[1, n, 0], found[2, n, 0],
                found[3, n, 0], found[4, n, 0], found[5, n, 0],
            )  # fmt: skip
            rule = settle_one(
                run, table[n, 0], table[n, 1], least, most, factor, largest, minmax, kind
            )
            pending[n] = rule[0]
            for i in range(5):
                table[n, i] = rule[1:][i]


def _settle_threads(work, found, limits, minmax, table, pending):
    kind = table.dtype.type
    least, most, factor, largest = limits[0], limits[1], limits[2], limits[3]
    for n in range(cuda.grid(1), work, cuda.gridsize(1)):
        if pending[n] != 0:
            run = (
                found[0, n, 0], found[1, n, 0], found[2, n, 0],
                found[3, n, 0], found[4, n, 0], found[5, n, 0],
            )  # fmt: skip
            rule = settle_one(
                run, table[n, 0], table[n, 1], least, most, factor, largest, minmax, kind
            )
            pending[n] = rule[0]
            for i in range(5):
                table[n, i] = rule[1:][i]


measure = Kernel("measure", _runs, _strips)
merge = Kernel("merge", _merge_rows, _merge_threads)
settle = Kernel("settle", _settle_rows, _settle_threads)
