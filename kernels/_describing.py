"""Scalar helpers of statistics: moments, histograms, and the pixels of a patch.

Those with arrays serve the CPU; the simulator of CUDA cannot pass it any.
"""

import math

import numpy as np

from ._jit import scalar

__all__ = ["add", "bin_of", "columns_of", "frequencies", "join", "moment", "take"]


@scalar
def columns_of(src, n, z, y, size_z, size_y, columns):
    """Find mean, sums of powers 2 to 4 about it, and range of each column of pixels."""
    # Row by row through blocks that stay in the cache; each loop has few enough arrays for
    # LLVM to see that they do not overlap, and to vectorise.
    count, first = size_z * size_y, src[n, z, y]
    mean, low, high = columns[0], columns[4], columns[5]
    for x in range(mean.size):
        mean[x] = 0
        low[x] = high[x] = first[x]
    for pz in range(size_z):
        for py in range(size_y):
            row = src[n, z + pz, y + py]
            for x in range(mean.size):
                mean[x] += np.float64(row[x]) - np.float64(first[x])
            for x in range(mean.size):
                value = np.float64(row[x])
                low[x] = min(low[x], value)
                high[x] = max(high[x], value)
    for x in range(mean.size):
        mean[x] = np.float64(first[x]) + mean[x] / count
    m2, m3, m4 = columns[1], columns[2], columns[3]
    m2[:] = 0
    m3[:] = 0
    m4[:] = 0
    for pz in range(size_z):
        for py in range(size_y):
            row = src[n, z + pz, y + py]
            for x in range(mean.size):
                d = np.float64(row[x]) - mean[x]
                q = d * d
                m2[x] += q
                m3[x] += q * d
                m4[x] += q * q


@scalar
def join(columns, start, size, count):
    """Join columns of `count` pixels each: mean, sums of powers about it, and range."""
    first = columns[0, start]
    shift = 0.0
    least, most = columns[4, start], columns[5, start]
    for i in range(start, start + size):
        shift += columns[0, i] - first
        least = min(least, columns[4, i])
        most = max(most, columns[5, i])
    centre = first + shift / size
    s2, s3, s4 = 0.0, 0.0, 0.0
    for i in range(start, start + size):
        m2, m3 = columns[1, i], columns[2, i]
        d = columns[0, i] - centre
        q = d * d
        s2 += m2 + count * q
        s3 += m3 + d * (3 * m2 + count * q)
        s4 += columns[3, i] + 4 * d * m3 + q * (6 * m2 + count * q)
    return centre, s2, s3, s4, least, most


@scalar
def moment(code, kind, count, mean, s2, s3, s4, low, high):
    """Return the statistic with that code, from the mean and sums of powers about it."""
    zero, three = kind(0), kind(3)  # a plain 3 would widen float32
    variance = s2 / count
    if code == 0:
        return mean
    if code == 1:
        return variance
    if code == 2:
        return math.sqrt(variance)
    if code == 3:
        return s3 / count / (variance * math.sqrt(variance)) if variance > zero else zero
    if code == 4:
        return s4 / count / (variance * variance) - three if variance > zero else zero
    if code == 5:
        return low
    if code == 6:
        return high
    if code == 7:
        return high - low
    if code == 8:
        return s2 + count * (mean * mean)
    return math.sqrt(variance + mean * mean)


@scalar
def bin_of(value, low, high, bins):
    """Return the bin of a value among equal ones from low to high; beyond, the first or last."""
    place = bins * (value - low) / (high - low)
    if not value > low:
        return np.int32(0)
    return np.int32(place) if place < bins else np.int32(np.int32(bins) - 1)


@scalar
def take(src, n, z, y, x, size_z, size_y, size_x, values):
    """Copy one patch to where the cache keeps it."""
    at = 0
    for pz in range(size_z):
        for py in range(size_y):
            row = src[n, z + pz, y + py, x : x + size_x]
            into = values[at : at + size_x]
            for px in range(row.size):
                into[px] = row[px]
            at += size_x


@scalar
def frequencies(values, low, high, bins, places, counts):
    """Count the values of each bin, into four rows of `counts` in turn."""
    for i in range(values.size):
        places[i] = bin_of(values[i], low, high, bins)
    counts[:] = 0
    # In one row, each count would wait for the one before it to be stored.
    for i in range(values.size):
        counts[i & 3, places[i]] += 1
    for b in range(counts.shape[1]):
        counts[0, b] += counts[1, b] + counts[2, b] + counts[3, b]


@scalar
def add(total, lost, term):
    """Add, and return also what rounding took (Kahan)."""
    term = term - lost
    new = total + term
    return new, (new - total) - term
