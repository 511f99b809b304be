"""Laplacian kernels: sums of absolute differences, and their exponential, in one pass.

`left` is (batch * n, features) and `right` (batch, features, m), columns side by side, so
that neighbouring results read neighbouring values.
"""

import numpy as np

from ._exp import exp32, exp64
from ._jit import Kernel, cuda, prange, scalar

__all__ = ["COLUMNS", "ROWS", "laplacian"]

ROWS, COLUMNS = 4, 128  # a thread's rows; the columns of 32 threads, 4 each
_WIDTH = 256  # columns that are summed side by side on the CPU
_DEPTH = 128  # features summed before they join the total, which keeps float32 exact
_TASK = 64  # rows that find the same features in the cache


def exp(x):
    """Stand in for exp32 or exp64, whichever fits the dtype."""
    raise NameError


@scalar
def _add_four(p, q, r, s, y, z, v, w, sums):
    # Four rows of `left` against four features of `right`: a sum is loaded once for four.
    a, b, c, d = p[0], p[1], p[2], p[3]
    e, f, g, h = q[0], q[1], q[2], q[3]
    i, j, k, l = r[0], r[1], r[2], r[3]  # noqa: E741
    m, n, o, t = s[0], s[1], s[2], s[3]
    for x in range(y.size):
        first, second, third, last = y[x], z[x], v[x], w[x]
        sums[x] += (abs(a - first) + abs(b - second)) + (abs(c - third) + abs(d - last))
        sums[x + _WIDTH] += (abs(e - first) + abs(f - second)) + (abs(g - third) + abs(h - last))
        sums[x + 2 * _WIDTH] += (abs(i - first) + abs(j - second)) + (
            abs(k - third) + abs(l - last)
        )
        sums[x + 3 * _WIDTH] += (abs(m - first) + abs(n - second)) + (
            abs(o - third) + abs(t - last)
        )


@scalar
def _add_one(a, b, c, d, y, sums):
    for x in range(y.size):
        sums[x] += abs(a - y[x])
        sums[x + _WIDTH] += abs(b - y[x])
        sums[x + 2 * _WIDTH] += abs(c - y[x])
        sums[x + 3 * _WIDTH] += abs(d - y[x])


@scalar
def _add_depth(left, panel, first, last, start, width, sums):
    """Add the features of a panel, from `start` on, over four rows and some columns."""
    p, q = left[first], left[min(first + 1, last)]
    r, s = left[min(first + 2, last)], left[min(first + 3, last)]
    depth = min(_DEPTH, left.shape[1] - start)
    whole = depth // 4 * 4
    for k in range(0, whole, 4):
        a, b = start + k, start + k + 4
        _add_four(
            p[a:b], q[a:b], r[a:b], s[a:b],
            panel[k, :width], panel[k + 1, :width], panel[k + 2, :width], panel[k + 3, :width],
            sums,
        )  # fmt: skip
    for k in range(whole, depth):
        a = start + k
        _add_one(p[a], q[a], r[a], s[a], panel[k, :width], sums)


@scalar
def _add_tile(left, right, out, top, bottom, side, edge):
    """Sum all features of some rows and columns."""
    width = edge - side
    sums, panel = np.empty(4 * _WIDTH, out.dtype), np.empty((_DEPTH, _WIDTH), out.dtype)
    for start in range(0, right.shape[0], _DEPTH):
        for k in range(min(_DEPTH, right.shape[0] - start)):
            panel[k, :width] = right[start + k, side:edge]
        for first in range(top, bottom, 4):
            sums[:] = 0
            _add_depth(left, panel, first, bottom - 1, start, width, sums)
            for i in range(min(4, bottom - first)):
                row, part = out[first + i, side:edge], sums[i * _WIDTH : i * _WIDTH + width]
                for j in range(width):
                    row[j] += part[j]


def _tiles(left, right, gamma, out):
    batch, _, columns = right.shape
    per, g = out.shape[0] // batch, gamma[0]
    down, across = (per + _TASK - 1) // _TASK, (columns + _WIDTH - 1) // _WIDTH
    for task in prange(batch * down * across):
        n, rest = task // (down * across), task % (down * across)
        top, side = n * per + rest // across * _TASK, rest % across * _WIDTH
        bottom, edge = min(top + _TASK, (n + 1) * per), min(side + _WIDTH, columns)
        out[top:bottom, side:edge] = 0
        _add_tile(left, right[n], out, top, bottom, side, edge)
        for i in range(top, bottom):
            row = out[i, side:edge]
            for j in range(row.size):
                row[j] = exp(-g * row[j])


def _threads(work, left, right, gamma, out):
    # A thread sums a tile of 4 rows and every 32nd of 128 columns: 16 sums for 8 loads, and
    # neighbouring threads read neighbours.
    batch, depth, columns = right.shape
    kind = out.dtype.type
    per, g, zero = out.shape[0] // batch, gamma[0], kind(0)
    down, across = (per + 3) // 4, (columns + 127) // 128
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        lane, tile = element % 32, element // 32
        side, rest = tile % across, tile // across
        n = rest // down
        i, j, end = n * per + rest % down * 4, side * 128 + lane, (n + 1) * per
        i1, i2, i3 = min(i + 1, end - 1), min(i + 2, end - 1), min(i + 3, end - 1)
        j0, j1 = min(j, columns - 1), min(j + 32, columns - 1)
        j2, j3 = min(j + 64, columns - 1), min(j + 96, columns - 1)
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = zero
        c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = zero
        for start in range(0, depth, _DEPTH):
            e0 = e1 = e2 = e3 = f0 = f1 = f2 = f3 = zero
            g0 = g1 = g2 = g3 = h0 = h1 = h2 = h3 = zero
            for k in range(start, min(start + _DEPTH, depth)):
                p, q, r, s = left[i, k], left[i1, k], left[i2, k], left[i3, k]
                w, x = right[n, k, j0], right[n, k, j1]
                y, z = right[n, k, j2], right[n, k, j3]
                e0 += abs(p - w)
                e1 += abs(p - x)
                e2 += abs(p - y)
                e3 += abs(p - z)
                f0 += abs(q - w)
                f1 += abs(q - x)
                f2 += abs(q - y)
                f3 += abs(q - z)
                g0 += abs(r - w)
                g1 += abs(r - x)
                g2 += abs(r - y)
                g3 += abs(r - z)
                h0 += abs(s - w)
                h1 += abs(s - x)
                h2 += abs(s - y)
                h3 += abs(s - z)
            a0, a1, a2, a3 = a0 + e0, a1 + e1, a2 + e2, a3 + e3
            b0, b1, b2, b3 = b0 + f0, b1 + f1, b2 + f2, b3 + f3
            c0, c1, c2, c3 = c0 + g0, c1 + g1, c2 + g2, c3 + g3
            d0, d1, d2, d3 = d0 + h0, d1 + h1, d2 + h2, d3 + h3
        sums = ((a0, a1, a2, a3), (b0, b1, b2, b3), (c0, c1, c2, c3), (d0, d1, d2, d3))
        for row in range(4):
            for column in range(4):
                if i + row < end and j + 32 * column < columns:
                    out[i + row, j + 32 * column] = exp(-g * sums[row][column])


laplacian = {
    "float32": Kernel("laplacian", _tiles, _threads, exp=exp32),
    "float64": Kernel("laplacian", _tiles, _threads, exp=exp64),
}
