"""Find the wanted elements of DICOM headers, many files in one call; host only.

Of neighbours in a list it is also said whether they have the same values, and the numbers
in which the slices of a series differ are read, so that what follows can be short.
"""

import numpy as np

from ._decimals import read_decimals
from ._elements import DEEPEST, FOUND, LATER, PIXELS, UNUSUAL, find_in
from ._files import close, open_to_read, read_more, regular_size
from ._jit import HostKernel, scalar

__all__ = ["ALIKE", "DIFFERENT", "FOUND", "LATER", "SCALED", "UNUSUAL", "find", "read"]

DIFFERENT = 0  # from the head before
SCALED = 1  # it may differ in position and rescale only
ALIKE = 2  # it may differ in its position only


@scalar
def _differs(head, at, other, place, size):
    for i in range(size):
        if head[at + i] != other[place + i]:
            return True
    return False


@scalar
def _compare(head, found, other, known, wanted, free):
    """Say how far the wanted elements of two heads agree; their pixels lie at any place."""
    same = ALIKE
    for n in range(wanted.size):
        if n == free[0]:
            continue
        at, place, size = found[n, 0], known[n, 0], found[n, 1]
        if (at < 0) != (place < 0):
            return DIFFERENT
        if at < 0:
            continue
        differs = size != known[n, 1]
        if wanted[n] == PIXELS:
            at, place, size = at - 8, place - 8, 8  # VR and length, or tag and length
        if differs or _differs(head, at, other, place, size):
            if n != free[1] and n != free[2]:
                return DIFFERENT
            same = SCALED
    return same


@scalar
def _judge(heads, lengths, i, wanted, free, found, status, same, numbers, inner):
    found[i] = -1
    numbers[i] = np.nan
    same[i] = DIFFERENT
    status[i] = find_in(heads[i], lengths[i], wanted, found[i], inner)
    if status[i] != FOUND:
        return
    for n, first, stop in ((free[0], 0, 3), (free[1], 3, 4), (free[2], 4, 5)):
        if found[i, n, 0] >= 0:
            read_decimals(heads[i], found[i, n, 0], found[i, n, 1], numbers[i, first:stop])
    if i > 0 and status[i - 1] == FOUND:
        same[i] = _compare(heads[i], found[i], heads[i - 1], found[i - 1], wanted, free)


def _find(heads, lengths, wanted, free, found, status, same, numbers):
    """Find `wanted` tags, ascending, in each head: (offset, length) in `found`, or -1.

    `free` are the places in `wanted` of position, intercept and slope, whose `numbers` are
    x, y, z, intercept and slope: NaN where they are not there or not plain. `same` compares
    heads whose status is FOUND with the one before.
    """
    inner = np.zeros(DEEPEST, np.int64)
    for i in range(heads.shape[0]):
        _judge(heads, lengths, i, wanted, free, found, status, same, numbers, inner)


def _read(paths, starts, steps, heads, lengths, sizes, wanted, free, found, status, same,
          numbers):  # fmt: skip
    """Do as `find` does with the first bytes of files, which are read into `heads`.

    `paths` holds the names of the files, each with a zero at its end, from `starts` on. As
    many bytes are read as the first of `steps` says, and up to the next one while they do
    not reach the pixels. Of what is no regular file the size is -1, and nothing is read.
    """
    inner = np.zeros(DEEPEST, np.int64)
    about = np.zeros(32, np.int64)
    for i in range(starts.size):
        name = paths.ctypes.data + starts[i]
        lengths[i], status[i], same[i] = 0, UNUSUAL, DIFFERENT
        sizes[i] = regular_size(name, about)
        file = open_to_read(name) if sizes[i] >= 0 else np.int32(-1)
        if file < 0:
            continue
        for stop in steps:
            have = lengths[i]
            into = heads[i].ctypes.data + have
            lengths[i] += read_more(file, have, into, stop - have)
            _judge(heads, lengths, i, wanted, free, found, status, same, numbers, inner)
            if status[i] != LATER or lengths[i] < stop:
                break
        close(file)


find = HostKernel("find", _find)
read = HostKernel("read", _read)
