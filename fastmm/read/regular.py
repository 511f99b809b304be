"""Open regular files only: a pipe or a device may never answer, and is not touched."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fastmm.errors import FastmmError

__all__ = ["open_regular"]


@contextmanager
def open_regular(path: Path, error: type[FastmmError], expected: str) -> Iterator[BinaryIO]:
    """Open a regular file for reading; whatever else the path is raises `error`."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise error(f"{path}: is {what}; {expected} was expected.")
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as fault:
        raise error(f"{path}: cannot be read ({fault.strerror}).") from None
