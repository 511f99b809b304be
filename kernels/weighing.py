"""Resize along z, y and x by any table of taps, with rescale and window in the same pass.

`images` (n, 7) says where each image begins in `src`, which is flat, how deep, high and
wide it is, and where its rows begin in the tables of the three axes; so the images may
differ in size. `maps` (n, 4) are the slope, intercept, lowest and highest value of each
image. `spans` hold, for each output, the first input and how many there are.

A weighted sum is taken as a + sum of w (x - a), a the first input: a constant stays a
constant to the last bit, whatever the weights sum to after rounding.
"""

import numpy as np

from ._across import VECTOR, across_one, across_rows
from ._columns import ahead, stretch
from ._interp import blend, rescale
from ._jit import Kernel, cuda, prange, scalar

__all__ = ["weigh"]


_ROWS = 32  # of a task: enough that neighbours share what they read
_PART = 1 << 16  # elements of rows in work, which should stay in a core's cache
_GATHER = 6  # times the cost of a vectorised step
_CACHE = 1 << 21  # bytes that need not be asked for before they are read
_AHEAD = 4  # results between asking for the rows of one and weighing them
_FEW = 3  # times as many rows as there are have to fill a vector, for rows to be turned


@scalar
def _pile(line, source, start, stride, weights, count):
    """Weigh rows of `source`, which begin `stride` apart, into `line`."""
    kind, size = line.dtype.type, line.size
    a = stretch(source, start, size)
    if count == 2:
        b, w = stretch(source, start + stride, size), weights[1]
        for i in range(size):
            line[i] = blend(kind(a[i]), kind(b[i]), w)
        return
    t = 1
    if count < 4:
        for i in range(size):
            line[i] = kind(a[i])
    # Three rows at a time, which halves the traffic of `line`.
    while t + 3 <= count:
        p = start + t * stride
        b = stretch(source, p, size)
        c = stretch(source, p + stride, size)
        d = stretch(source, p + 2 * stride, size)
        u, v, w = weights[t], weights[t + 1], weights[t + 2]
        if t == 1:
            for i in range(size):
                x = kind(a[i])
                line[i] = x + (kind(b[i]) - x) * u + (kind(c[i]) - x) * v + (kind(d[i]) - x) * w
        else:
            for i in range(size):
                x = kind(a[i])
                line[i] += (kind(b[i]) - x) * u + (kind(c[i]) - x) * v + (kind(d[i]) - x) * w
        t += 3
    while t < count:
        p = start + t * stride
        b, w = stretch(source, p, size), weights[t]
        for i in range(size):
            line[i] += (kind(b[i]) - kind(a[i])) * w
        t += 1


@scalar
def _pile_rescaled(line, src, start, stride, weights, count, slope, intercept, low, high):
    """Do as `_pile` does with rows that are rescaled first."""
    kind, size = line.dtype.type, line.size
    a = stretch(src, start, size)
    for i in range(size):
        line[i] = rescale(kind(a[i]), slope, intercept, low, high)
    for t in range(1, count):
        p = start + t * stride
        b, w = stretch(src, p, size), weights[t]
        for i in range(size):
            x = rescale(kind(a[i]), slope, intercept, low, high)
            line[i] += (rescale(kind(b[i]), slope, intercept, low, high) - x) * w


@scalar
def _reach(spans, start, stop):
    """Return the first input that any of these outputs needs, and the end of the last."""
    # Not those of the first and last output: one on a pixel's centre may need that one alone.
    top, bottom = np.int64(spans[start, 0]), np.int64(0)
    for j in range(start, stop):
        top = min(top, np.int64(spans[j, 0]))
        bottom = max(bottom, np.int64(spans[j, 0]) + np.int64(spans[j, 1]))
    return top, bottom


@scalar
def _cost(width, across, most, turned):
    """Return what weighing across a row costs, in vectorised steps along a column."""
    return 5 * (width + across) // 2 + across * most if turned else _GATHER * across * most


@scalar
def _plane(target, begin, across, source, base, width, start, stop, sy, wy, y, sx, wx, x, room):
    """Resize rows `start` to `stop` of one plane, whose row r begins at base + r * width."""
    top, bottom = _reach(sy, y + start, y + stop)
    rows, lanes = stop - start, np.int64(VECTOR // target.itemsize)
    # Two taps of eight bytes do not pay for turning the many pixels of a row that shrinks.
    pays = wx.shape[1] > 2 or (wx.shape[1] == 2 and (target.itemsize < 8 or width < 2 * across))
    turned = pays and min(width, across) >= lanes and _FEW * rows > lanes
    lanes = lanes if turned else 1
    each = _cost(width, across, wx.shape[1], turned)
    y_first = rows * (width * wy.shape[1] + each)
    x_first = (bottom - top) * each + rows * across * wy.shape[1]
    if wy.shape[1] == 1 or y_first <= x_first:
        lines = stretch(room, 0, lanes * width)
        rest = stretch(room, lanes * width, room.size - lanes * width)
        far_away = source.size * source.itemsize > _CACHE
        for first in range(start, stop, lanes):
            count = min(lanes, stop - first)
            for j in range(first, first + count):
                f, n = np.int64(sy[y + j, 0]), np.int64(sy[y + j, 1])
                line = stretch(lines, (j - first) * width, width)
                if far_away:
                    later = base + (f + n * _AHEAD) * width
                    ahead(source, later, min(n * width, max(source.size - later, 0)))
                _pile(line, source, base + f * width, width, wy[y + j], n)
            if turned:
                across_rows(
                    target, begin, across, lines, 0, width, width, count, sx, wx, x, across, rest
                )
            else:
                across_one(stretch(target, begin, across), lines, sx, wx, x)
            begin += count * across
        return
    wide = np.empty((bottom - top) * across, target.dtype)
    for first in range(top, bottom, lanes):
        p, q = base + first * width, (first - top) * across
        if turned:
            count = min(lanes, bottom - first)
            across_rows(wide, q, across, source, p, width, width, count, sx, wx, x, across, room)
        else:
            across_one(stretch(wide, q, across), stretch(source, p, width), sx, wx, x)
    for j in range(start, stop):
        f, n = np.int64(sy[y + j, 0]), np.int64(sy[y + j, 1])
        row = stretch(target, begin + (j - start) * across, across)
        _pile(row, wide, (f - top) * across, across, wy[y + j], n)


def _rows(src, out, images, maps, sz, wz, sy, wy, sx, wx):
    depth, height, across = out.shape[1:]
    # Rows that grow in number share more of what they read the more of them a task has.
    grow = height > images[0, 2] and out.shape[0] * depth * height > 64 * _ROWS
    per = 4 * _ROWS if grow else _ROWS
    target, blocks = out.reshape(-1), (height + per - 1) // per
    lanes = np.int64(VECTOR // out.itemsize)
    for task in prange(out.shape[0] * depth * blocks):
        n, k = np.int64(task // (depth * blocks)), np.int64(task // blocks % depth)
        start = np.int64(task % blocks * per)
        last = min(start + per, height)
        tall, width = images[n, 2], images[n, 3]
        y, x = images[n, 5], images[n, 6]
        z, layers = np.int64(sz[images[n, 4] + k, 0]), np.int64(sz[images[n, 4] + k, 1])
        a, b, low, high = maps[n, 0], maps[n, 1], maps[n, 2], maps[n, 3]
        plain = a == 1 and b == 0 and low == -np.inf and high == np.inf
        base, stride = images[n, 0] + z * tall * width, tall * width
        top, bottom = _reach(sy, y + start, y + last)
        each = ((bottom - top) // (last - start) + 1) * max(width, across)
        part = max(1, _PART // each)
        if part > lanes:  # a vector that is not full costs as much as one that is
            part -= part % lanes
        room = np.empty(VECTOR // out.itemsize * (2 * width + across), out.dtype)
        while start < last:
            stop = min(start + part, last)
            begin = ((n * depth + k) * height + start) * across
            if plain and layers == 1:
                _plane(
                    target, begin, across, src, base, width, start, stop, sy, wy, y, sx, wx, x, room
                )
                start = stop
                continue
            # What several outputs need is rescaled, and blended along z, once for them all.
            top, bottom = _reach(sy, y + start, y + stop)
            flat = np.empty((bottom - top) * width, out.dtype)
            done, w = np.zeros(bottom - top, np.bool_), wz[images[n, 4] + k]
            for j in range(start, stop):
                f, m = np.int64(sy[y + j, 0]), np.int64(sy[y + j, 1])
                for r in range(f, f + m):
                    if done[r - top]:
                        continue
                    done[r - top] = True
                    line = stretch(flat, (r - top) * width, width)
                    p = base + r * width
                    if plain:
                        _pile(line, src, p, stride, w, layers)
                    else:
                        _pile_rescaled(line, src, p, stride, w, layers, a, b, low, high)
            _plane(
                target, begin, across, flat, -top * width, width, start, stop,
                sy, wy, y, sx, wx, x, room,
            )  # fmt: skip
            start = stop


def _threads(work, src, out, images, maps, sz, wz, sy, wy, sx, wx):
    kind = out.dtype.type
    depth, height, width = out.shape[1:]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        i = element % width
        j = element // width % height
        k = element // (width * height) % depth
        n = element // (width * height * depth)
        tall, wide = images[n, 2], images[n, 3]
        x, y, z = images[n, 6] + i, images[n, 5] + j, images[n, 4] + k
        a, b, low, high = maps[n, 0], maps[n, 1], maps[n, 2], maps[n, 3]
        corner = images[n, 0] + (sz[z, 0] * tall + sy[y, 0]) * wide + sx[x, 0]
        volume, plane0 = kind(0), kind(0)
        for tz in range(sz[z, 1]):
            plane, row0 = kind(0), kind(0)
            for ty in range(sy[y, 1]):
                place = corner + (tz * tall + ty) * wide
                x0 = rescale(kind(src[place]), a, b, low, high)
                row = x0
                for tx in range(1, sx[x, 1]):
                    value = rescale(kind(src[place + tx]), a, b, low, high)
                    row += (value - x0) * wx[x, tx]
                row0 = row if ty == 0 else row0
                plane = row if ty == 0 else plane + (row - row0) * wy[y, ty]
            plane0 = plane if tz == 0 else plane0
            volume = plane if tz == 0 else volume + (plane - plane0) * wz[z, tz]
        out[n, k, j, i] = volume


weigh = Kernel("weigh", _rows, _threads)
