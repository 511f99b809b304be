"""Memory of large results on the host, taken again for later ones once nobody holds it.

New memory comes from the kernel page by page, each filled with zeros first, which takes as
long as all the work of many an operator. The C library keeps what is freed below 32 MiB;
beyond that, blocks are kept here, marked as free to take for whoever needs memory.
"""

from __future__ import annotations

import math
import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["empty"]

_LEAST = 1 << 25  # bytes that the C library does not keep
_MOST = 1 << 30  # bytes that are kept at once
_PAGE = 1 << 21  # a huge one
_ABLE = hasattr(mmap, "MADV_FREE") and hasattr(mmap, "MADV_HUGEPAGE")


class _Block:
    """Memory straight from the kernel, in huge pages where it has them."""

    def __init__(self, size: int) -> None:
        # Private: a forked child must not write into the results of its parent.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.size, self._memory = size, mmap.mmap(-1, size, flags=flags)
        self._advise("MADV_HUGEPAGE")
        self.address = np.frombuffer(self._memory, np.uint8).__array_interface__["data"][0]

    def forget(self) -> None:
        """Let the kernel take the pages back when memory is short, and only then."""
        self._advise("MADV_FREE")

    def _advise(self, what: str) -> None:
        try:
            self._memory.madvise(getattr(mmap, what))
        except OSError:  # a kernel without it
            return


class _Shelf:
    """Blocks that no array is on. Lists change in single steps, so threads need no lock."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []

    def take(self, size: int) -> _Block:
        for block in sorted(self._blocks, key=lambda block: block.size):
            if size <= block.size < 2 * size:
                try:
                    self._blocks.remove(block)
                except ValueError:  # another thread was faster
                    continue
                return block
        return _Block(size)

    def keep(self, block: _Block) -> None:
        if block.size > _MOST:
            return
        block.forget()
        self._blocks.append(block)
        while sum(one.size for one in tuple(self._blocks)) > _MOST:
            del self._blocks[:1]

    def clear(self) -> None:
        self._blocks = []


class _Lease:
    """What an array on a block holds on to, and its views: the block goes back with the last."""

    def __init__(self, shelf: _Shelf, block: _Block, shape: tuple[int, ...], kind: Any) -> None:
        self._shelf, self._block = shelf, block
        self.__array_interface__ = {
            "data": (block.address, False),
            "shape": shape,
            "typestr": kind.str,
            "version": 3,
        }

    def __del__(self) -> None:
        self._shelf.keep(self._block)


_SHELF = _Shelf()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SHELF.clear)  # the parent's, which would be copied


def empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array to be written, as numpy.empty does; large ones from memory used before."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < _LEAST or size > _MOST or not _ABLE:
        return np.empty(shape, kind)
    try:
        block = _SHELF.take(-(-size // _PAGE) * _PAGE)
    except OSError:  # no memory: NumPy knows how to say so
        return np.empty(shape, kind)
    return np.asarray(_Lease(_SHELF, block, tuple(map(int, shape)), kind))
