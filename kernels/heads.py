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

DIFFERENT = 0  # from the file before
SCALED = 1  # it may differ in position and rescale only
ALIKE = 2  # it may differ in its position only
_MARK = 8  # bytes before the pixels, their VR and length, or tag and length


@scalar
def _copy(head, at, size, values, to):
    for i in range(size):
        values[to + i] = head[at + i]


@scalar
def _keep(head, wanted, found, values):
    """Move the elements from the head to `values`, the mark of the pixels to its end.

    What is found is then told by its place there, but for the pixels. Returns False where
    `values` is too small.
    """
    to = 0
    for n in range(wanted.size):
        at, size = found[n, 0], found[n, 1]
        if at < 0:
            continue
        if wanted[n] == PIXELS:
            _copy(head, at - _MARK, _MARK, values, values.size - _MARK)
        elif to + size > values.size - _MARK:
            return False
        else:
            _copy(head, at, size, values, to)
            found[n, 0] = to
            to += size
    return True


@scalar
def _differs(one, at, other, place, size):
    i = 0
    while i < size and one[at + i] == other[place + i]:
        i += 1
    return i < size


@scalar
def _compare(values, found, others, known, wanted, free):
    """Say how far the wanted elements of two files agree; their pixels lie at any place."""
    same, mark = ALIKE, values.size - _MARK
    for n in range(wanted.size):
        at, place, size = found[n, 0], known[n, 0], found[n, 1]
        if n == free[0]:
            continue
        if (at < 0) != (place < 0):
            return DIFFERENT
        if at < 0:
            continue
        differs = size != known[n, 1]
        if wanted[n] == PIXELS:
            at, place, size = mark, mark, _MARK
        if differs or _differs(values, at, others, place, size):
            if n != free[1] and n != free[2]:
                return DIFFERENT
            same = SCALED
    return same


@scalar
def _judge(head, i, wanted, free, found, values, status, same, numbers, inner):
    found[i] = -1
    numbers[i] = np.nan
    same[i] = DIFFERENT
    status[i] = find_in(head, head.size, wanted, found[i], inner)
    if status[i] != FOUND:
        return
    if not _keep(head, wanted, found[i], values[i]):
        status[i] = UNUSUAL
        return
    for n, first, stop in ((free[0], 0, 3), (free[1], 3, 4), (free[2], 4, 5)):
        if found[i, n, 0] >= 0:
            read_decimals(values[i], found[i, n, 0], found[i, n, 1], numbers[i, first:stop])
    if i > 0 and status[i - 1] == FOUND:
        same[i] = _compare(values[i], found[i], values[i - 1], found[i - 1], wanted, free)


def _find(head, i, wanted, free, found, values, status, same, numbers):
    """Find `wanted` tags, ascending, in the head of file `i`.

    Their values go to ``values[i]``, and their (offset, length) there to ``found[i]``, or -1;
    pixels, whose place is that in the file, leave their VR and length at its end. `free` are
    the places in `wanted` of position, intercept and slope, whose ``numbers[i]`` are x, y, z,
    intercept and slope: NaN where they are not there or not plain. `same` compares a file
    with the one before.
    """
    inner = np.zeros(DEEPEST, np.int64)
    _judge(head, i, wanted, free, found, values, status, same, numbers, inner)


def _read(paths, starts, steps, sizes, wanted, free, found, values, status, same, numbers):
    """Do as `find` does with the first bytes of each file.

    `paths` holds the names of the files, each with a zero at its end, from `starts` on. As
    many bytes are read as the first of `steps` says, and up to the next one while they do
    not reach the pixels. Of what is no regular file the size is -1, and nothing is read.
    """
    inner = np.zeros(DEEPEST, np.int64)
    about = np.zeros(32, np.int64)
    head = np.empty(steps[-1], np.uint8)
    for i in range(starts.size):
        name = paths.ctypes.data + starts[i]
        status[i], same[i] = UNUSUAL, DIFFERENT
        sizes[i] = regular_size(name, about)
        file = open_to_read(name) if sizes[i] >= 0 else np.int32(-1)
        if file < 0:
            continue
        have = 0
        for stop in steps:
            have += read_more(file, have, head.ctypes.data + have, stop - have)
            _judge(head[:have], i, wanted, free, found, values, status, same, numbers, inner)
            if status[i] != LATER or have < stop:
                break
        close(file)


find = HostKernel("find", _find)
read = HostKernel("read", _read)
