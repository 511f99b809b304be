"""Images on disk for results on a GPU: chunks go up while the ones before them compute.

A thread reads a chunk into pinned memory and sends it up on a stream of its own, into one of
two buffers that kernels take turns with. Who gives images on disk and an `out` on a GPU has
said where they go: nothing else moves by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import Space, enter
from fastmm.streams.sources import Region, Source

__all__ = ["UploadedSource", "Uploads", "uploaded"]


class Uploads:
    """Two buffers on a GPU, each filled again once the kernels that read it are through.

    Parameters
    ----------
    space : Space
        A GPU. The buffers belong to the current stream, on which kernels are to run.
    n_bytes : int
        Of the largest chunk.
    """

    def __init__(self, space: Space, n_bytes: int) -> None:
        import cupyx

        self._cuda = space.xp.cuda
        self._device = self._cuda.Device(space.device)
        with self._device:
            self._stream = self._cuda.Stream(non_blocking=True)
            self._pinned = cupyx.empty_pinned(n_bytes, np.uint8)
            self._rooms = [space.xp.empty(n_bytes, np.uint8) for _ in range(2)]
            # The memory may have been that of an array which kernels still read.
            self._free = [self._cuda.get_current_stream().record() for _ in self._rooms]
        self._filled = self._read = 0

    def fill(self, part: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> Any:
        """Send a chunk up; return it when it is there. One call at a time, in any thread."""
        turn = self._filled % 2
        self._filled += 1
        staged = _shaped(self._pinned, part.shape, dtype)
        staged[...] = part
        room = _shaped(self._rooms[turn], part.shape, dtype)
        with self._device:
            self._free[turn].synchronize()
            room.set(staged, stream=self._stream)
            self._stream.synchronize()
        return room

    def drop(self) -> None:
        """Say that all kernels which read the oldest chunk are on the current stream."""
        with self._device:
            self._free[self._read % 2] = self._cuda.get_current_stream().record()
        self._read += 1


class UploadedSource(Source):
    """A source on disk whose parts are handed out on a device."""

    in_memory = is_view = False

    def __init__(self, source: Source, space: Space, leave: Any) -> None:
        self._source, self.space, self.leave = source, space, leave
        self.shape, self.dtype = source.shape, source.dtype.newbyteorder("=")
        self.grain, self.extra = source.grain, source.extra
        self.copies = source.copies + 3.0  # one that is pinned, two on the device
        self._uploads: Uploads | None = None

    def make(self, n_bytes: int) -> None:
        """Allocate for chunks of so many bytes, in the thread whose stream computes."""
        if self.space.kind == "cuda":
            self._uploads = Uploads(self.space, max(1, n_bytes))

    def fetch(self, region: Region) -> None:
        """Begin to bring a part from the disk."""
        self._source.fetch(region)

    def read(self, region: Region) -> Any:
        """Return a part that is on the device."""
        part = self._source.read(region)
        if self._uploads is None:
            return self.leave(np.array(part, self.dtype))
        return self._uploads.fill(part, self.dtype)

    def drop(self, region: Region) -> None:
        """Give back what a part took, once its kernels were launched."""
        self._source.drop(region)
        if self._uploads is not None:
            self._uploads.drop()

    def overlaps(self, array: Any) -> bool:
        """Say that memory is not shared."""
        return False


def uploaded(source: Source, out: Any) -> Source:
    """Return a source on disk as one on the device that `out` lives on, others as they are."""
    if source.in_memory or isinstance(out, np.ndarray) or not hasattr(out, "__dlpack__"):
        return source
    space, _, leave = enter(out=out)
    return source if space.kind == "cpu" else UploadedSource(source, space, leave)


def _shaped(room: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return the beginning of a buffer of bytes as an array."""
    return room[: int(np.prod(shape, dtype=np.int64)) * dtype.itemsize].view(dtype).reshape(shape)
