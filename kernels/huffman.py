"""Walk over the Huffman codes of a JPEG scan, to see whether they make up its image.

Host only: it precedes a decoder, which takes damaged codes for some image. Only as much is
decoded as tells where each code begins, and where a DC coefficient is beyond black or white.
"""

import numpy as np

from ._huffman import (
    ALL_BITS,
    BAD_TABLE,
    BAND,
    COEFFICIENTS,
    DAMAGED,
    END_OF_BLOCK,
    FINE,
    SHORT,
    SINGLE,
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

__all__ = ["walk_band", "walk_blocks"]


def _walk_blocks(data, at, tables, plan, largest, units, interval, widest):
    """Walk over `units` MCUs, of which each has the blocks, or samples, of `plan`.

    `plan` (blocks, 3) names the table, 0 to 7, of the DC coefficient, or the difference, that
    of the AC coefficients (-1 stands for a single bit, and for none), and the component.
    `largest` has the largest DC coefficient of each component, or -1 where it is not to be
    computed. `widest` are the most bits of either. Returns (status, number of the MCU, place
    of the next marker).
    """
    short = np.zeros((2 * plan.shape[0], 1 << SHORT), np.int16)
    limits, offsets = np.zeros((2, 2 * plan.shape[0], WIDEST + 1), np.int64)
    for i in range(plan.shape[0]):
        for j in range(2):
            which, k = plan[i, j], 2 * i + j
            if which >= tables.shape[0] or (j == 1 and which < 0):
                continue
            kind = SINGLE if which < 0 else COEFFICIENTS if j else VALUE
            if not prepare(tables[which], kind, widest[j], short[k], limits[k], offsets[k]):
                return BAD_TABLE, np.int64(0), at
    means = np.zeros(largest.size, np.int64)
    bits, n, beyond = np.int64(0), np.int64(0), np.int64(0)
    for unit in range(units):
        if interval and unit and unit % interval == 0:
            at = restart(data, close(data, at, bits, n, beyond), unit // interval - 1)
            if at < 0:
                return DAMAGED, unit, at
            n, beyond = np.int64(0), np.int64(0)
            means[:] = 0
        for i in range(plan.shape[0]):
            if n < 32:
                at, bits, n, beyond = fill(data, at, bits, n, beyond)
            entry = np.int64(short[2 * i, bits >> (n - SHORT) & 1023])
            if entry == 0:
                code, k, which = bits >> (n - WIDEST) & 0xFFFF, 2 * i, plan[i, 0]
                entry = find_code(code, tables[which], VALUE, widest[0], limits[k], offsets[k])
            n -= entry & ALL_BITS
            if entry == 0 or n < beyond:
                return DAMAGED, unit, at
            which, size = plan[i, 2], entry >> 6
            if size and largest[which] >= 0:
                means[which] += difference(bits >> n, size)
                if abs(means[which]) > largest[which]:
                    return DAMAGED, unit, at
            place = 64 if plan[i, 1] < 0 else 1
            while place < 64:
                if n < 32:
                    at, bits, n, beyond = fill(data, at, bits, n, beyond)
                entry = np.int64(short[2 * i + 1, bits >> (n - SHORT) & 1023])
                if entry == 0:
                    code, k, which = bits >> (n - WIDEST) & 0xFFFF, 2 * i + 1, plan[i, 1]
                    entry = find_code(
                        code, tables[which], COEFFICIENTS, widest[1], limits[k], offsets[k]
                    )
                    if entry == 0:
                        return DAMAGED, unit, at
                n -= entry & ALL_BITS
                place += entry >> 6
            if 64 < place < END_OF_BLOCK or n < beyond:
                return DAMAGED, unit, at
    end = close(data, at, bits, n, beyond)
    return (FINE if end >= 0 else DAMAGED), units - 1, end


@scalar
def _skip(data, at, bits, n, beyond, count):
    while count > 0:
        if n < 32:
            at, bits, n, beyond = fill(data, at, bits, n, beyond)
        n -= min(count, 32)
        count -= 32
    return at, bits, n, beyond


@scalar
def _pass_zeros(known, place, high, zeros):
    """Go over `zeros` coefficients that are zero, to the next such; count the others."""
    others = np.int64(0)
    while place <= high:
        if known >> place & 1:
            others += 1
        elif zeros == 0:
            break
        else:
            zeros -= 1
        place += 1
    return place, others


def _walk_band(data, at, table, nonzero, low, high, refined, interval, widest):
    """Walk over a progressive scan of the coefficients `low` to `high` of one component.

    `nonzero` has a bit for each coefficient of each block, set here where it is zero no
    longer. `refined` tells a scan that adds a bit to what is there. Returns as `walk_blocks`.
    """
    short = np.zeros(1 << SHORT, np.int16)
    limits, offsets = np.zeros(WIDEST + 1, np.int64), np.zeros(WIDEST + 1, np.int64)
    if not prepare(table, BAND, widest, short, limits, offsets):
        return BAD_TABLE, np.int64(0), at
    one = np.int64(1)
    bits, n, beyond, ended = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for unit in range(nonzero.size):
        if interval and unit and unit % interval == 0:
            at = restart(data, close(data, at, bits, n, beyond), unit // interval - 1)
            if at < 0 or ended:
                return DAMAGED, unit, at
            n, beyond = np.int64(0), np.int64(0)
        place = low
        while place <= high and not ended:
            if n < 32:
                at, bits, n, beyond = fill(data, at, bits, n, beyond)
            entry = np.int64(short[bits >> (n - SHORT) & 1023])
            if entry == 0:
                code = bits >> (n - WIDEST) & 0xFFFF
                entry = find_code(code, table, BAND, widest, limits, offsets)
            n -= entry & ALL_BITS
            if entry == 0 or n < beyond:
                return DAMAGED, unit, at
            run, size = entry >> 10, entry >> 6 & 15
            if size == 0 and run < 15:
                n -= run
                ended = (one << run) + (bits >> n & (one << run) - 1)
                break
            n -= size
            others = np.int64(0)
            if refined:
                place, others = _pass_zeros(nonzero[unit], place, high, run)
            else:
                place += run
            if place > high:
                return DAMAGED, unit, at
            at, bits, n, beyond = _skip(data, at, bits, n, beyond, others)
            if size:
                nonzero[unit] |= one << place
            place += 1
        if ended:
            ended -= 1
            if refined and nonzero[unit]:
                _, others = _pass_zeros(nonzero[unit], place, high, np.int64(64))
                at, bits, n, beyond = _skip(data, at, bits, n, beyond, others)
        if n < beyond:
            return DAMAGED, unit, at
    end = -1 if ended else close(data, at, bits, n, beyond)
    return (FINE if end >= 0 else DAMAGED), nonzero.size - 1, end


walk_blocks = HostKernel("walk_blocks", _walk_blocks)
walk_band = HostKernel("walk_band", _walk_band)
