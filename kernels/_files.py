"""Reading of files by compiled code, so that threads which read do not wait for Python.

Only where the C library offers it by its POSIX names; elsewhere `READS` is False, and
those who would read here read in Python. `LOOKS` says the same of looking at what a path
is, which takes a call of Linux whose result has one form on all processors.
"""

import os

import numpy as np

from ._jit import foreign, scalar

__all__ = ["LOOKS", "READS", "close", "open_to_read", "read_at", "read_more", "regular_size"]

_NAMES = {"open": ("int32", "uintp", "int32"), "close": ("int32", "int32")}
_NAMES["pread"] = ("int64", "int32", "uintp", "uintp", "int64")
_NAMES["statx"] = ("int32", "int32", "uintp", "int32", "uint32", "uintp")
_open, _close, _pread, _statx = (
    foreign(name, *_NAMES[name]) for name in ("open", "close", "pread", "statx")
)
READS = os.name == "posix" and _open is not None
LOOKS = READS and _statx is not None
# A pipe that has taken the place of a file must not keep us waiting.
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_HERE = -100  # AT_FDCWD: a relative path is relative to the current folder
_KIND_AND_SIZE = 0x201  # STATX_TYPE | STATX_SIZE
_KIND, _REGULAR = 0o170000, 0o100000


@scalar
def regular_size(path, about):
    """Return the size of a regular file, or -1; `about` is room for 256 bytes."""
    if _statx(_HERE, path, 0, _KIND_AND_SIZE, about.ctypes.data) != 0:
        return np.int64(-1)
    mode = np.int64(about.view(np.uint16)[14])
    return about[5] if mode & _KIND == _REGULAR else np.int64(-1)


@scalar
def open_to_read(path):
    """Open the file whose name lies at the address `path`; negative where that fails."""
    return _open(path, _FLAGS)


@scalar
def read_more(file, offset, into, size):
    """Read up to `size` bytes of an open file at `offset` to the address `into`."""
    done = 0
    while done < size:
        count = _pread(file, into + done, size - done, offset + done)
        if count <= 0:
            break
        done += count
    return done


@scalar
def close(file):
    """Close an open file."""
    _close(file)


@scalar
def read_at(path, offset, into, size):
    """Read `size` bytes of a file at `offset` to the address `into`.

    `path` is the address of its name, which ends with a zero. Returns the number of bytes,
    less than `size` where the file ends or cannot be read.
    """
    file = open_to_read(path)
    if file < 0:
        return 0
    done = read_more(file, offset, into, size)
    close(file)
    return done
