"""Compare patches at the same place in pairs of images: sums over boxes, and their exponential.

For each pair and each grid position, the squared differences of the pixels are summed over
the patch; the result is the sum of exp(-gamma * that) over positions. `left` is (n, z, y, x)
and `right` (blocks, z, y, x, LANES), images side by side, so that all arithmetic is on rows
of lanes. A row of `moves` is a displacement: where the grid begins in either image, along
z, y, x, and how many positions it has; `weights` has its weight. `sizes` holds patch size and
step along z, y, x, and whether only pairs of the upper triangle are wanted.

A box is a suffix of one block of patch size and a prefix of the next: three additions a
pixel and axis, whatever the size. Nothing is ever taken off a sum, so no digit is lost where
a large difference leaves the box, as it would be from a running sum.
"""

import numpy as np

from ._exp import exp32, exp64
from ._jit import Kernel, cuda, prange, scalar, stretches

__all__ = ["BAND", "LANES", "boxes"]

LANES = 64  # images side by side
BAND = 4  # rows of the grid that a thread sums at once
_ROWS = 8  # images of `left` that a task takes, in one work space

stretch = stretches()


def exp(x):
    """Stand in for exp32 or exp64, whichever fits the dtype."""
    raise NameError


@scalar
def _square(a, b, squares):
    """Square the differences of one pixel."""
    for j in range(LANES):
        d = a - b[j]
        squares[j] = d * d


@scalar
def _square_on(a, b, sums, after):
    """Go on with the prefix sums of squared differences."""
    for j in range(LANES):
        d = a - b[j]
        after[j] = sums[j] + d * d


@scalar
def _square_both(a, b, squares, sums, after):
    for j in range(LANES):
        d = a - b[j]
        d = d * d
        squares[j] = d
        after[j] = sums[j] + d


@scalar
def _clear(row):
    for j in range(row.size):
        row[j] = 0


@scalar
def _add(row, other):
    for j in range(row.size):
        row[j] += other[j]


@scalar
def _add_lanes(row, other):
    for j in range(LANES):
        row[j] += other[j]


@scalar
def _join(left, right, out):
    for j in range(out.size):
        out[j] = left[j] + right[j]


@scalar
def _suffixes(ring, count, width):
    """Turn rows into sums of themselves and all rows after."""
    for r in range(count - 2, -1, -1):
        _add(stretch(ring, r * width, width), stretch(ring, (r + 1) * width, width))


@scalar
def _copy(row, out):
    for j in range(LANES):
        out[j] = row[j]


@scalar
def _slide_along(pixels, first, lanes, begin, squares, sums, out, size, step):
    """Sum squared differences over the boxes of one row of pixels."""
    count = out.size // LANES
    last = (count - 1) * step
    width = last + size
    for x in range(0, width, size):
        stop = min(x + size, width)
        _clear(stretch(sums, x * LANES, LANES))  # a block begins with nothing
        # No box ends within the first block, and none but whole ones begin in the last.
        if last <= x:
            for at in range(x, stop):
                here, begins = at * LANES, begin + at * LANES
                sum_here, sum_after = stretch(sums, here, LANES), stretch(sums, here + LANES, LANES)
                _square_on(pixels[first + at], stretch(lanes, begins, LANES), sum_here, sum_after)
            if last == x:
                _copy(stretch(sums, stop * LANES, LANES), stretch(squares, x * LANES, LANES))
        else:
            for at in range(x, stop):
                here, begins = at * LANES, begin + at * LANES
                square = stretch(squares, here, LANES)
                if x == 0:
                    _square(pixels[first + at], stretch(lanes, begins, LANES), square)
                else:
                    _square_both(
                        pixels[first + at],
                        stretch(lanes, begins, LANES),
                        square,
                        stretch(sums, here, LANES),
                        stretch(sums, here + LANES, LANES),
                    )
            for at in range(stop - 2, x - 1, -1):
                _add_lanes(
                    stretch(squares, at * LANES, LANES), stretch(squares, (at + 1) * LANES, LANES)
                )
        if stop - x == size:
            _clear(stretch(sums, stop * LANES, LANES))
    if step == 1:
        wide = count * LANES
        _join(stretch(squares, 0, wide), stretch(sums, size * LANES, wide), out)
        return
    for g in range(count):
        x = g * step
        _join(
            stretch(squares, x * LANES, LANES),
            stretch(sums, (x + size) * LANES, LANES),
            stretch(out, g * LANES, LANES),
        )


@scalar
def _fold(total, weight, row):
    """Add the weighted sum over a row of grid positions to the total of each lane."""
    for at in range(LANES, row.size, LANES):
        _add_lanes(row, stretch(row, at, LANES))
    for j in range(LANES):
        total[j] += weight * row[j]


def _pairs(left, right, moves, weights, sizes, gamma, out):
    g, n = gamma[0], left.shape[0]
    blocks, depth, height, width = right.shape[:4]
    size_z, size_y, size_x, step_z, step_y, step_x, upper = sizes
    pixels, lanes, results = left.reshape(-1), right.reshape(-1), out.reshape(-1)
    groups = (n + _ROWS - 1) // _ROWS
    most_y, most_x = (height - size_y) // step_y + 1, (width - size_x) // step_x + 1
    sheet = most_y * most_x * LANES if size_z > 1 else 0
    for task in prange(groups * blocks):
        # From both ends in turn, since the first rows of a triangle are the longest.
        group, block = task // blocks, task % blocks
        group = group // 2 if group % 2 == 0 else groups - 1 - group // 2
        if upper != 0 and (block + 1) * LANES <= group * _ROWS:
            continue
        squares = np.empty(width * LANES, out.dtype)
        sums = np.empty((width + 1) * LANES, out.dtype)
        ring = np.empty((size_y + 1) * most_x * LANES, out.dtype)
        sheets = np.empty((size_z + 1) * sheet, out.dtype)
        pile = np.empty(sheet, out.dtype)
        rows = np.empty(2 * most_x * LANES, out.dtype)
        for i in range(group * _ROWS, min(n, (group + 1) * _ROWS)):
            if upper != 0 and (block + 1) * LANES <= i:
                continue
            total = stretch(results, (i * blocks + block) * LANES, LANES)
            _clear(total)
            for m in range(moves.shape[0]):
                az, ay, ax, bz, by, bx, count_z, count_y, count_x = moves[m]
                wide = count_x * LANES
                high = (count_y - 1) * step_y + size_y
                flat = count_y * wide
                prefix, found = stretch(rows, 0, wide), stretch(rows, wide, wide)
                _clear(found)
                _clear(stretch(ring, size_y * wide, wide))
                if size_z > 1:
                    _clear(stretch(sheets, size_z * flat, flat))
                for z in range((count_z - 1) * step_z + size_z):
                    if size_z == 1 and z % step_z != 0:
                        continue
                    place = z % size_z
                    current = stretch(sheets, place * flat, flat)
                    for y in range(high):
                        turn = y % size_y
                        row = stretch(ring, turn * wide, wide)
                        _slide_along(
                            pixels,
                            ((i * depth + az + z) * height + ay + y) * width + ax,
                            lanes,
                            (((block * depth + bz + z) * height + by + y) * width + bx) * LANES,
                            squares,
                            sums,
                            row,
                            size_x,
                            step_x,
                        )
                        if turn == 0:
                            _clear(prefix)
                        _add(prefix, row)
                        top = y + 1 - size_y
                        if top >= 0 and top % step_y == 0:
                            before = stretch(ring, (turn + 1) * wide, wide)
                            if size_z == 1:
                                for j in range(found.size):
                                    found[j] += exp(-g * (before[j] + prefix[j]))
                            else:
                                at = top // step_y * wide
                                _join(before, prefix, stretch(current, at, wide))
                        if turn == size_y - 1 and top < (count_y - 1) * step_y:
                            _suffixes(ring, size_y, wide)
                    if size_z == 1:
                        continue
                    amount = stretch(pile, 0, flat)
                    if place == 0:
                        _clear(amount)
                    _add(amount, current)
                    top = z + 1 - size_z
                    if top >= 0 and top % step_z == 0:
                        before = stretch(sheets, (place + 1) * flat, flat)
                        for y in range(0, flat, wide):
                            p, q = stretch(before, y, wide), stretch(amount, y, wide)
                            for j in range(found.size):
                                found[j] += exp(-g * (p[j] + q[j]))
                    if place == size_z - 1 and top < (count_z - 1) * step_z:
                        _suffixes(sheets, size_z, flat)
                _fold(total, weights[m], found)


def _threads(work, left, right, moves, weights, sizes, gamma, out):
    # A thread has one pair of images and every so many bands of the grid; its neighbours have
    # the next lanes.
    kind = out.dtype.type
    g, zero = gamma[0], kind(0)
    parts, n, columns = out.shape
    size_z, size_y, size_x = sizes[0], sizes[1], sizes[2]
    step_z, step_y, step_x, upper = sizes[3], sizes[4], sizes[5], sizes[6]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        j, i, part = element % columns, element // columns % n, element // columns // n
        block, lane, total = j // LANES, j % LANES, zero
        if upper == 0 or j >= i:
            for m in range(moves.shape[0]):
                some = zero
                for gz in range(moves[m, 6]):
                    for band in range(part * BAND, moves[m, 7], parts * BAND):
                        rows, line = min(BAND, moves[m, 7] - band), zero
                        for gx in range(moves[m, 8]):
                            a, b, c, d = zero, zero, zero, zero
                            for q in range((rows - 1) * step_y + size_y):
                                y, sums = band * step_y + q, zero
                                for p in range(size_z):
                                    z = gz * step_z + p
                                    for r in range(size_x):
                                        x = gx * step_x + r
                                        e = left[
                                            i, moves[m, 0] + z, moves[m, 1] + y, moves[m, 2] + x
                                        ]
                                        f = right[
                                            block,
                                            moves[m, 3] + z,
                                            moves[m, 4] + y,
                                            moves[m, 5] + x,
                                            lane,
                                        ]
                                        sums += (e - f) * (e - f)
                                a += sums if q < size_y else zero
                                b += sums if step_y <= q < step_y + size_y else zero
                                c += sums if 2 * step_y <= q < 2 * step_y + size_y else zero
                                d += sums if 3 * step_y <= q < 3 * step_y + size_y else zero
                            line += exp(-g * a)
                            line += exp(-g * b) if rows > 1 else zero
                            line += exp(-g * c) if rows > 2 else zero
                            line += exp(-g * d) if rows > 3 else zero
                        some += line
                total += weights[m] * some
        out[part, i, j] = total


boxes = {
    "float32": Kernel("boxes", _pairs, _threads, exp=exp32),
    "float64": Kernel("boxes", _pairs, _threads, exp=exp64),
}
