"""Resize along z, y and x by any table of taps, with rescale and window in the same pass.

`images` (n, 7) says where each image begins in `src`, which is flat, how deep, high and
wide it is, and where its rows begin in the tables of the three axes; so the images may
differ in size. `spans` hold, for each output, the first input and how many there are.

A weighted sum is taken as a + sum of w (x - a), a the first input: a constant stays a
constant to the last bit, whatever the weights sum to after rounding.
"""

import numpy as np

from ._interp import blend, rescale
from ._jit import Kernel, cuda, prange, scalar

__all__ = ["weigh"]


_ROWS = 32  # of a task: enough that neighbours share what they read
_PART = 1 << 16  # elements of rows in work, which should stay in a core's cache
_GATHER = 6  # times the cost of a vectorised step


@scalar
def _pile(line, source, start, stride, weights, count):
    """Weigh rows of `source`, which begin `stride` apart, into `line`."""
    kind, size = line.dtype.type, line.size
    a = source[start : start + size]
    if count == 2:
        b, w = source[start + stride : start + stride + size], weights[1]
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
        b = source[p : p + size]
        c = source[p + stride : p + stride + size]
        d = source[p + 2 * stride : p + 2 * stride + size]
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
        b, w = source[p : p + size], weights[t]
        for i in range(size):
            line[i] += (kind(b[i]) - kind(a[i])) * w
        t += 1


@scalar
def _pile_rescaled(line, src, start, stride, weights, count, slope, intercept, low, high):
    """Do as `_pile` does with rows that are rescaled first."""
    kind, size = line.dtype.type, line.size
    a = src[start : start + size]
    for i in range(size):
        line[i] = rescale(kind(a[i]), slope, intercept, low, high)
    for t in range(1, count):
        p = start + t * stride
        b, w = src[p : p + size], weights[t]
        for i in range(size):
            x = rescale(kind(a[i]), slope, intercept, low, high)
            line[i] += (rescale(kind(b[i]), slope, intercept, low, high) - x) * w


@scalar
def _across(target, line, spans, weights, start):
    """Weigh pixels of `line` into each pixel of `target`."""
    kind, most = target.dtype.type, weights.shape[1]
    one, two, three = np.uint32(1), np.uint32(2), np.uint32(3)
    if most == 1 and line.size == target.size:
        for i in range(target.size):
            target[i] = kind(line[i])
    elif most == 1:
        for i in range(target.size):
            target[i] = kind(line[spans[start + i, 0]])
    elif most == 2:
        for i in range(target.size):
            f, n = spans[start + i, 0], spans[start + i, 1]
            target[i] = blend(kind(line[f]), kind(line[f + n - one]), weights[start + i, 1])
    else:
        for i in range(target.size):
            f, n = spans[start + i, 0], spans[start + i, 1]
            w = weights[start + i]
            x = kind(line[f])
            if n == 4:
                target[i] = (
                    x
                    + (kind(line[f + one]) - x) * w[1]
                    + (kind(line[f + two]) - x) * w[2]
                    + (kind(line[f + three]) - x) * w[3]
                )
            else:
                total = x
                for t in range(one, n):
                    total += (kind(line[f + t]) - x) * w[t]
                target[i] = total


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
def _plane(target, source, base, width, start, stop, sy, wy, y, sx, wx, x):
    """Resize rows `start` to `stop` of one plane, whose row r begins at base + r * width."""
    top, bottom = _reach(sy, y + start, y + stop)
    rows, across = stop - start, target.shape[1]
    gather = _GATHER * across * wx.shape[1]
    y_first = rows * (width * wy.shape[1] + gather)
    x_first = (bottom - top) * gather + rows * across * wy.shape[1]
    if wy.shape[1] == 1 or y_first <= x_first:
        line = np.empty(width, target.dtype)
        for j in range(start, stop):
            f, n = np.int64(sy[y + j, 0]), np.int64(sy[y + j, 1])
            p = base + f * width
            if n == 1:
                _across(target[j], source[p : p + width], sx, wx, x)
            else:
                _pile(line, source, p, width, wy[y + j], n)
                _across(target[j], line, sx, wx, x)
        return
    wide = np.empty((bottom - top) * across, target.dtype)
    done = np.zeros(bottom - top, np.bool_)
    for j in range(start, stop):
        f, n = np.int64(sy[y + j, 0]), np.int64(sy[y + j, 1])
        for r in range(f, f + n):
            if not done[r - top]:
                p, q = base + r * width, (r - top) * across
                _across(wide[q : q + across], source[p : p + width], sx, wx, x)
                done[r - top] = True
        _pile(target[j], wide, (f - top) * across, across, wy[y + j], n)


def _rows(src, out, images, slope, intercept, limits, sz, wz, sy, wy, sx, wx):
    depth, height, across = out.shape[1:]
    low, high = limits[0], limits[1]
    blocks = (height + _ROWS - 1) // _ROWS
    for task in prange(out.shape[0] * depth * blocks):
        n = task // (depth * blocks)
        k = task // blocks % depth
        start = task % blocks * _ROWS
        last = min(start + _ROWS, height)
        tall, width = images[n, 2], images[n, 3]
        y, x = images[n, 5], images[n, 6]
        z, layers = np.int64(sz[images[n, 4] + k, 0]), np.int64(sz[images[n, 4] + k, 1])
        a, b = slope[n], intercept[n]
        plain = a == 1 and b == 0 and low == -np.inf and high == np.inf
        base, stride = images[n, 0] + z * tall * width, tall * width
        top, bottom = _reach(sy, y + start, y + last)
        each = ((bottom - top) // (last - start) + 1) * max(width, across)
        part = max(1, _PART // each)
        while start < last:
            stop = min(start + part, last)
            if plain and layers == 1:
                _plane(out[n, k], src, base, width, start, stop, sy, wy, y, sx, wx, x)
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
                    line = flat[(r - top) * width : (r - top + 1) * width]
                    p = base + r * width
                    if plain:
                        _pile(line, src, p, stride, w, layers)
                    else:
                        _pile_rescaled(line, src, p, stride, w, layers, a, b, low, high)
            _plane(out[n, k], flat, -top * width, width, start, stop, sy, wy, y, sx, wx, x)
            start = stop


def _threads(work, src, out, images, slope, intercept, limits, sz, wz, sy, wy, sx, wx):
    kind = out.dtype.type
    depth, height, width = out.shape[1:]
    low, high = limits[0], limits[1]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        i = element % width
        j = element // width % height
        k = element // (width * height) % depth
        n = element // (width * height * depth)
        tall, wide = images[n, 2], images[n, 3]
        x, y, z = images[n, 6] + i, images[n, 5] + j, images[n, 4] + k
        a, b = slope[n], intercept[n]
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
