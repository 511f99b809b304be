"""How much memory a solver may plan for, where its arrays live."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from fastmm._space import Space

__all__ = ["memory_limit"]

_CONTAINER = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN = 8 << 30


def memory_limit(space: Space) -> int:
    """Return half of the memory of the device or host, in bytes.

    Parameters
    ----------
    space : Space
        Where the arrays live.

    Returns
    -------
    int
        Half of what is built in, or of what the container was given: not what is free
        just now, so that the same problem meets the same solver each time.

    Examples
    --------
    >>> memory_limit(Space("cpu")) > 1 << 20
    True
    """
    if space.kind == "cuda":
        with space.xp.cuda.Device(space.device) as device:
            return int(device.mem_info[1]) // 2
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        total = 2 * _UNKNOWN
    with contextlib.suppress(OSError, ValueError):  # no container, or "max"
        total = min(total, int(_CONTAINER.read_text()))
    return total // 2
