"""Reading of files by compiled code, so that threads which read do not wait for Python.

Only where the C library offers it by its POSIX names; elsewhere `READS` is False, and
those who would read here read in Python.
"""

import os

from ._jit import foreign, scalar

__all__ = ["READS", "read_at"]

_NAMES = {"open": ("int32", "uintp", "int32"), "close": ("int32", "int32")}
_NAMES["pread"] = ("int64", "int32", "uintp", "uintp", "int64")
_open, _close, _pread = (foreign(name, *_NAMES[name]) for name in ("open", "close", "pread"))
READS = os.name == "posix" and _open is not None
# A pipe that has taken the place of a file must not keep us waiting.
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


@scalar
def read_at(path, offset, into, size):
    """Read `size` bytes of a file at `offset` to the address `into`.

    `path` is the address of its name, which ends with a zero. Returns the number of bytes,
    less than `size` where the file ends or cannot be read.
    """
    file = _open(path, _FLAGS)
    if file < 0:
        return 0
    done = 0
    while done < size:
        count = _pread(file, into + done, size - done, offset + done)
        if count <= 0:
            break
        done += count
    _close(file)
    return done
