"""Scalar helpers that measure images: count, mean, spread and range of their pixels.

A run of pixels gives six numbers: count, origin (its first pixel), mean distance to the
origin, sum of squared distances to the mean, lowest and highest value. Runs are merged
after Chan, Golub and LeVeque; nothing is lost to a large mean.

Distances are ((x * half) - (origin * half)) * up with powers of two, both 1 but for images
whose squares would overflow or vanish, which are measured again with others.
"""

import math

import numpy as np

from ._jit import scalar

__all__ = ["add", "begin", "finish", "fold", "join", "settle_one"]

_FOLD = 16  # pixels between two updates of the mean


@scalar
def fold(count, mean, spread, more, first, second):
    """Add `more` pixels with sums of their distances to `mean`, and of the squares."""
    total = count + more
    shift = first / total
    return total, mean + shift, spread + (second - first * shift)


@scalar
def begin(kind):
    """Return the state of a run before its first pixel, for `add`."""
    zero = kind(0)
    return False, zero, zero, zero, zero, kind(np.inf), kind(-np.inf), 0, zero, zero


@scalar
def add(state, value, half, up, kind):
    """Add one pixel to a run; neither type is widened."""
    started, count, origin, mean, spread, low, high, more, first, second = state
    if not started:
        origin = value
    distance = (value * half - origin * half) * up - mean
    first += distance
    second += distance * distance
    more += 1
    low = value if value < low else low
    high = value if value > high else high
    if more == _FOLD:
        count, mean, spread = fold(count, mean, spread, kind(more), first, second)
        more, first, second = 0, kind(0), kind(0)
    return True, count, origin, mean, spread, low, high, more, first, second


@scalar
def finish(state, kind):
    """Return the six numbers of a run."""
    _, count, origin, mean, spread, low, high, more, first, second = state
    if more > 0:
        count, mean, spread = fold(count, mean, spread, kind(more), first, second)
    return count, origin, mean, spread, low, high


@scalar
def join(one, more, origin, mean, spread, low, high, half, up):
    """Join to the run `one` the numbers of another, in float64; its origin stays."""
    if more == 0:
        return one
    if one[0] == 0:
        return (
            np.float64(more),
            np.float64(origin),
            np.float64(mean),
            np.float64(spread),
            np.float64(low),
            np.float64(high),
        )
    there = (origin * half - one[1] * half) * up + np.float64(mean)
    total = one[0] + more
    delta = there - one[2]
    return (
        total,
        one[1],
        one[2] + delta * (more / total),
        one[3] + (np.float64(spread) + delta * delta * (one[0] * more / total)),
        low if low < one[4] else one[4],
        high if high > one[5] else one[5],
    )


@scalar
def settle_one(found, half, up, least, most, factor, largest, minmax, kind):
    """Turn what was measured into again, half, up, origin, shift, scale.

    `again` says that it must be measured once more, with the new half and up, since the
    range was not between `least` and `most`, or a value beyond `largest`. A pixel maps to
    (((x * half) - (origin * half)) * up - shift) / scale, and to 0 where scale is 0.
    """
    count, start, mean, spread, low, high = found
    none, nothing, one = kind(0), kind(np.nan), kind(1)
    if count == 0 or (low == high and low - low == 0 and mean - mean == 0):
        return False, half, up, none, none, none
    if low - low != 0 or high - high != 0:
        return False, half, up, none, none, nothing
    if half == 1 and up == 1:
        part = 0.5 if max(abs(low), abs(high)) >= largest else 1.0
        reach, by = np.float64(high) * part - np.float64(low) * part, 1.0
        while reach * by > most and by > 1 / factor:
            by *= 0.5
        while reach * by < least and by < factor:
            by *= 2.0
        if part != 1 or by != 1:
            return True, kind(part), kind(by), none, none, none
    if mean - mean != 0:
        return False, half, up, none, none, nothing
    if minmax:  # in the arithmetic of the map, so that the highest value becomes exactly 1
        return False, half, up, kind(low), none, (kind(high) * half - kind(low) * half) * up
    scale = kind(math.sqrt(max(np.float64(spread), 0.0) / count))
    if half == one and up == one:
        place = np.float64(start) + np.float64(mean)
        return False, half, up, kind(place), kind(start - np.float64(kind(place)) + mean), scale
    return False, half, up, kind(start), kind(mean), scale
