"""Order statistics of numbers turned into integer keys that sort as they do.

Integers compare, count and reduce in vector instructions; floats do not, for the sake of
NaN. A selection narrows the keys that may hold the rank, one pass over all of them a time.
"""

import math

import numpy as np

from ._interp import blend
from ._jit import scalar

__all__ = ["key32", "key64", "middle", "order32", "order64", "value32", "value64"]

_SEARCHES = 12  # by value, which suits most images; after them by halves of the keys
_SLACK = 1e-4  # of a bin, of which there are at most 256


@scalar
def key32(value):
    """Return the int32 that sorts as the float32 does."""
    bits = np.float32(value).view(np.int32)
    return np.int32(bits ^ ((bits >> 31) & 0x7FFFFFFF))


@scalar
def value32(key):
    """Return the float32 of a key."""
    return np.int32(key ^ ((key >> 31) & 0x7FFFFFFF)).view(np.float32)


@scalar
def key64(value):
    """Return the int64 that sorts as the float64 does."""
    bits = np.float64(value).view(np.int64)
    return np.int64(bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF))


@scalar
def value64(key):
    """Return the float64 of a key."""
    return np.int64(key ^ ((key >> 63) & 0x7FFFFFFFFFFFFFFF)).view(np.float64)


@scalar
def middle(low, high):
    """Return the integer half way between two, rounded down; their sum might overflow."""
    return (low >> 1) + (high >> 1) + (low & high & 1)


@scalar
def _between(a, b, weight):
    return blend(np.float64(a), np.float64(b), np.float64(weight))


def _ordering(to_key, to_value, real):
    """Make the selection for one kind of keys."""

    @scalar
    def split(keys, pivot, least, most):
        """Count the keys up to the pivot, and find the nearest on either side of it."""
        kind = keys.dtype.type
        count = kind(0)
        under, over = least, most
        for i in range(keys.size):
            key = keys[i]
            count = kind(count + (key <= pivot))
            under = max(under, key if key <= pivot else least)
            over = min(over, key if key > pivot else most)
        return count, under, over

    @scalar
    def bracket(counts, rank, low, high):
        """Return a range of keys with that rank in it, and its ranks, as the histogram has them."""
        least, most = to_key(low), to_key(high)
        bins = real(counts.size)
        if not math.isfinite(bins * (high - low)):
            return least, most, 0, counts.sum()  # values were put into bins by overflow
        below, place = 0, 0
        while below + counts[place] <= rank:
            below += counts[place]
            place += 1
        # Rounding may have moved an edge by some 1e-7 of the range, and then by half a key.
        width = (np.float64(high) - np.float64(low)) / counts.size
        first = to_key(low + width * place - width * _SLACK)
        last = to_key(low + width * (place + 1) + width * _SLACK)
        return max(least, first - 1), min(most, last + 1), below, below + counts[place]

    @scalar
    def order(keys, counts, rank, weight, low, high):
        """Return the number of that rank, blended with the next one.

        `counts` is the histogram of the numbers, of equal bins from `low` to `high`.
        """
        kind = keys.dtype.type
        least, most = to_key(low), to_key(high)
        low_key, high_key, below, above = bracket(counts, rank, low, high)
        search = 0
        while low_key < high_key:
            pivot = middle(low_key, high_key)
            if search < _SEARCHES:
                first, last = np.float64(to_value(low_key)), np.float64(to_value(high_key))
                part = (rank - below + 0.5) / (above - below) if search < 4 or search % 3 else 0.5
                guess = to_key(first + (last - first) * part)
                if guess >= low_key and guess < high_key:
                    pivot = guess
            search += 1
            count, under, over = split(keys, kind(pivot), least, most)
            if count == rank + 1:
                return _between(to_value(under), to_value(over), weight)
            if count > rank:
                high_key, above = under, count
            else:
                low_key, below = over, count
        value = to_value(low_key)
        if weight == 0:
            return np.float64(value)
        count, under, over = split(keys, kind(low_key), least, most)
        return _between(value, value if count > rank + 1 else to_value(over), weight)

    return order


order32 = _ordering(key32, value32, np.float32)
order64 = _ordering(key64, value64, np.float64)
