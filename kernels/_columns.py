"""Columns of rows that shrink by a whole factor, and rows asked for before they are needed.

What the loops of LLVM do not give: element 4 i + 1 of a row for all i is a gather to them,
of 0.7 ns an element, and a shuffle of vectors takes a tenth of that.
"""

from ._jit import columns, prefetched, scalar, stretches

__all__ = ["ahead", "pairs", "stretch"]

_LANES = 16  # elements of a vector; where the machine has shorter ones, LLVM takes several
_LINE = 64  # bytes of a cache line

stretch = stretches()
_prefetch = prefetched()
_pairs_of_2, _pairs_of_4, _pairs_of_8 = (columns(n, n // 2 - 1, _LANES) for n in (2, 4, 8))


@scalar
def ahead(flat, start, size):
    """Ask for elements of a flat array; beyond its end nothing happens."""
    for i in range(start, start + size, _LINE // flat.itemsize):
        _prefetch(flat, i)


@scalar
def pairs(line, step, left, right):
    """Copy the two middle elements of each `step` (2, 4, 8) of `line` to `left` and `right`."""
    middle = step // 2 - 1
    whole = left.size // _LANES * _LANES
    for i in range(0, whole, _LANES):
        if step == 2:
            _pairs_of_2(line, left, right, i)
        elif step == 4:
            _pairs_of_4(line, left, right, i)
        else:
            _pairs_of_8(line, left, right, i)
    for i in range(whole, left.size):
        left[i], right[i] = line[step * i + middle], line[step * i + middle + 1]
