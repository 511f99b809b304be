"""Walk over a scan of lossless JPEG, to see whether its codes make up its image.

Host only, as is the walk over other scans. The samples are computed, for a wrong difference
shifts all that are predicted from it, some of them beyond what the precision allows.
"""

import numpy as np

from ._huffman import (
    ALL_BITS,
    BAD_TABLE,
    DAMAGED,
    FINE,
    SHORT,
    VALUE,
    WIDEST,
    close,
    difference,
    fill,
    find_code,
    prepare,
    restart,
)
from ._jit import HostKernel, scalar

__all__ = ["walk_lossless"]

_RANGE = 1 << 16  # samples are computed modulo this
_SIGN = 1 << 15


@scalar
def _predicted(predictor, left, up, corner):
    if predictor == 1:
        return left
    if predictor == 2:
        return up
    if predictor == 3:
        return corner
    if predictor == 4:
        return left + up - corner
    if predictor == 5:
        return left + ((up - corner) >> 1)
    if predictor == 6:
        return up + ((left - corner) >> 1)
    return (left + up) >> 1


@scalar
def _widened(samples, low, high):
    for i in range(samples.size):
        signed = (samples[i] ^ _SIGN) - _SIGN
        low, high = min(low, signed), max(high, signed)
    return low, high


def _walk_lossless(data, at, tables, plan, columns, rows, interval, precision, predictor):
    """Walk over samples of `precision` bits, one of each component in turn.

    `plan` names the table of each component. The samples have to fit the precision as unsigned
    or as signed numbers, which is looked at row by row. `interval` counts rows. Returns
    (status, number of the MCU, place of the next marker).
    """
    n_parts = plan.size
    short = np.zeros((n_parts, 1 << SHORT), np.int16)
    limits, offsets = np.zeros((2, n_parts, WIDEST + 1), np.int64)
    widest = min(WIDEST, precision + 1)
    for i in range(n_parts):
        if not prepare(tables[plan[i]], VALUE, widest, short[i], limits[i], offsets[i]):
            return BAD_TABLE, np.int64(0), at
    half = np.int64(1) << (precision - 1)
    above = np.zeros((n_parts, columns), np.int64)
    low, high = np.zeros((2, n_parts), np.int64)
    left, corner = np.zeros((2, n_parts), np.int64)
    bits, n, beyond = np.int64(0), np.int64(0), np.int64(0)
    fresh = True
    for row in range(rows):
        if interval and row and row % interval == 0:
            at = restart(data, close(data, at, bits, n, beyond), row // interval - 1)
            if at < 0:
                return DAMAGED, row * columns, at
            n, beyond, fresh = np.int64(0), np.int64(0), True
        for column in range(columns):
            unit = row * columns + column
            for i in range(n_parts):
                if n < 32:
                    at, bits, n, beyond = fill(data, at, bits, n, beyond)
                entry = np.int64(short[i, bits >> (n - SHORT) & 1023])
                if entry == 0:
                    code = bits >> (n - WIDEST) & 0xFFFF
                    entry = find_code(code, tables[plan[i]], VALUE, widest, limits[i], offsets[i])
                n -= entry & ALL_BITS
                if entry == 0 or n < beyond:
                    return DAMAGED, unit, at
                up = above[i, column]
                if column == 0:
                    guess = half if fresh else up
                elif fresh:
                    guess = left[i]
                else:
                    guess = _predicted(predictor, left[i], up, corner[i])
                size = entry >> 6
                step = difference(bits >> n, size) if size else np.int64(0)
                sample = (guess + step) & (_RANGE - 1)
                left[i], corner[i], above[i, column] = sample, up, sample
        for i in range(n_parts if precision < WIDEST else 0):
            low[i], high[i] = _widened(above[i], low[i], high[i])
            if low[i] < -half or high[i] >= 2 * half or (low[i] < 0 and high[i] >= half):
                return DAMAGED, row * columns, at
        fresh = False
    end = close(data, at, bits, n, beyond)
    return (FINE if end >= 0 else DAMAGED), rows * columns - 1, end


walk_lossless = HostKernel("walk_lossless", _walk_lossless)
