"""Linear resize along z, y and x with rescale and window fused in, in one pass.

Every output element depends on 2 x 2 x 2 inputs, each rescaled and clipped before it is
blended, along y, z and then x. `near` (2, d + h + w) names, for each output along z, then
y, then x, the two inputs beside it, and `weights` say what share the second has; an axis
that keeps its size has shares of 0 and names the same input twice. `maps` (n, 4) are the
slope, intercept, lowest and highest value of each image.

Few arrays: each costs a launch as much as a thousand pixels do.
"""

import numpy as np

from ._columns import ahead, pairs, stretch
from ._interp import blend, rescale
from ._jit import Kernel, cuda, prange, scalar

__all__ = ["linear"]


_ROWS = 32  # of a task
_AHEAD = 4  # rows between asking for what one needs and blending it


@scalar
def _blend_two(line, a, b, weight):
    kind = line.dtype.type
    for i in range(line.size):
        line[i] = blend(kind(a[i]), kind(b[i]), weight)


@scalar
def _blend_four(line, a, b, c, d, weight, far):
    kind = line.dtype.type
    for i in range(line.size):
        near = blend(kind(a[i]), kind(b[i]), weight)
        line[i] = blend(near, blend(kind(c[i]), kind(d[i]), weight), far)


@scalar
def _blend_two_rescaled(line, a, b, weight, slope, intercept, low, high):
    kind = line.dtype.type
    for i in range(line.size):
        line[i] = blend(
            rescale(kind(a[i]), slope, intercept, low, high),
            rescale(kind(b[i]), slope, intercept, low, high),
            weight,
        )


@scalar
def _whole_step(x0, x1, wx, width):
    """Return 2, 4 or 8 if each output is the middle of so many inputs, or else 0."""
    step = width // x0.size
    if step * x0.size != width or not (step == 2 or step == 4 or step == 8):
        return 0
    half, middle = wx.dtype.type(0.5), step // 2
    for i in range(x0.size):
        if np.int64(x1[i]) != step * i + middle or x0[i] + np.uint32(1) != x1[i] or wx[i] != half:
            return 0
    return step


@scalar
def _gather(row, line, x0, x1, wx):
    for i in range(row.size):
        row[i] = blend(line[x0[i]], line[x1[i]], wx[i])


@scalar
def _halve(row, left, right, weight):
    for i in range(row.size):
        row[i] = blend(left[i], right[i], weight)


def _rows(src, out, maps, near, weights):
    # Blending whole source rows first reads memory in order and vectorises; only the last
    # step, which is short, gathers.
    depth, height, width = out.shape[1:]
    long, tall, wide = src.shape[1:]
    z0, y0, x0 = near[0, :depth], near[0, depth : depth + height], near[0, depth + height :]
    z1, y1, x1 = near[1, :depth], near[1, depth : depth + height], near[1, depth + height :]
    wz, wy, wx = weights[:depth], weights[depth : depth + height], weights[depth + height :]
    flat, target = src.reshape(-1), out.reshape(-1)
    step = _whole_step(x0, x1, wx, wide)
    blocks = (height + _ROWS - 1) // _ROWS
    for task in prange(out.shape[0] * depth * blocks):
        n, k = np.int64(task // (depth * blocks)), np.int64(task // blocks % depth)
        start = np.int64(task % blocks * _ROWS)
        a, b, low, high, w = maps[n, 0], maps[n, 1], maps[n, 2], maps[n, 3], wz[k]
        plain = a == 1 and b == 0 and low == -np.inf and high == np.inf
        front = (n * long + np.int64(z0[k])) * tall
        back = (n * long + np.int64(z1[k])) * tall
        room = np.empty(2 * (wide + width), out.dtype)
        # Views that count: nothing else names `room` from here on, and it would be freed.
        line, beyond = room[:wide], room[wide : 2 * wide]
        left, right = room[2 * wide : 2 * wide + width], room[2 * wide + width :]
        for j in range(start, min(start + _ROWS, height)):
            v, upper, lower = wy[j], np.int64(y0[j]), np.int64(y1[j])
            # In two halves, since only so many lines can be under way at once.
            later = j + _AHEAD if j + _AHEAD < height else -1
            if later >= 0:
                ahead(flat, (front + np.int64(y0[later])) * wide, wide)
                if w != 0:
                    ahead(flat, (back + np.int64(y0[later])) * wide, wide)
            one = stretch(flat, (front + upper) * wide, wide)
            two = stretch(flat, (front + lower) * wide, wide)
            if w == 0:
                if plain:
                    _blend_two(line, one, two, v)
                else:
                    _blend_two_rescaled(line, one, two, v, a, b, low, high)
            else:
                three = stretch(flat, (back + upper) * wide, wide)
                four = stretch(flat, (back + lower) * wide, wide)
                if plain:
                    _blend_four(line, one, two, three, four, v, w)
                else:
                    _blend_two_rescaled(line, one, two, v, a, b, low, high)
                    _blend_two_rescaled(beyond, three, four, v, a, b, low, high)
                    for i in range(wide):
                        line[i] = blend(line[i], beyond[i], w)
            if later >= 0:
                ahead(flat, (front + np.int64(y1[later])) * wide, wide)
                if w != 0:
                    ahead(flat, (back + np.int64(y1[later])) * wide, wide)
            row = stretch(target, ((n * depth + k) * height + j) * width, width)
            if step > 0:
                pairs(line, step, left, right)
                _halve(row, left, right, wx[0])
            else:
                _gather(row, line, x0, x1, wx)


def _threads(work, src, out, maps, near, weights):
    kind = out.dtype.type
    depth, height, width = out.shape[1:]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        i = element % width
        j = element // width % height
        k = element // (width * height) % depth
        n = element // (width * height * depth)
        a, b, low, high = maps[n, 0], maps[n, 1], maps[n, 2], maps[n, 3]
        z0, z1, wz = near[0, k], near[1, k], weights[k]
        y0, y1, wy = near[0, depth + j], near[1, depth + j], weights[depth + j]
        x0, x1 = near[0, depth + height + i], near[1, depth + height + i]
        left = kind(0)
        right = kind(0)
        for side in range(2):
            x = x0 if side == 0 else x1
            value = blend(
                rescale(kind(src[n, z0, y0, x]), a, b, low, high),
                rescale(kind(src[n, z0, y1, x]), a, b, low, high),
                wy,
            )
            if wz != 0:
                far = blend(
                    rescale(kind(src[n, z1, y0, x]), a, b, low, high),
                    rescale(kind(src[n, z1, y1, x]), a, b, low, high),
                    wy,
                )
                value = blend(value, far, wz)
            if side == 0:
                left = value
            else:
                right = value
        out[n, k, j, i] = blend(left, right, weights[depth + height + i])


linear = Kernel("linear", _rows, _threads)
