"""Where images come from, part by part: memory, mapped files, chunked stores, lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastmm._space import Space, enter
from fastmm.errors import FastmmError
from fastmm.streams.pages import around, drop_pages, fetch_pages, mapping_of

__all__ = [
    "ListSource",
    "MappedSource",
    "MemorySource",
    "Region",
    "Source",
    "StoredSource",
    "is_source",
    "open_source",
]

Region = tuple[slice, ...]


def is_source(images: Any) -> bool:
    """Say whether this is an array that is read by slices, such as those of zarr and h5py.

    Parameters
    ----------
    images : object
        Anything.

    Returns
    -------
    bool
        True for what has a shape, a dtype and slices, and is no array in memory.

    Examples
    --------
    >>> is_source(np.zeros(3)), is_source([1, 2])
    (False, False)
    """
    kind = type(images)
    if isinstance(images, np.ndarray) or kind.__module__.partition(".")[0] in ("pandas", "cupy"):
        return False
    if any(hasattr(images, n) for n in ("__dlpack__", "__cuda_array_interface__", "_ary")):
        return False
    return all(hasattr(images, name) for name in ("shape", "dtype", "__getitem__"))


class Source:
    """Images that are read by regions, in the order that they are asked for.

    `in_memory` parts cost nothing to have, `is_view` says that none are copied; `copies`
    counts buffers that a part needs while it is read, `extra` the bytes of a store's own
    chunk, and `grain` how many entries of each axis a store keeps together. Views of a `plain`
    file are what kernels take.
    """

    in_memory = is_view = True
    plain = False
    copies = 0.0
    extra = 0
    grain: tuple[int, ...] = ()

    def __init__(self, images: Any, space: Space, leave: Callable[[Any], Any]) -> None:
        self._images, self.space, self.leave = images, space, leave
        self.shape = tuple(int(size) for size in images.shape)
        self.dtype = np.dtype(images.dtype)

    def read(self, region: Region) -> Any:
        """Return a part as an array of the source's space."""
        return self._images[region or ...]

    def make(self, n_bytes: int) -> None:
        """Allocate what chunks of so many bytes need on their way."""

    def fetch(self, region: Region) -> None:
        """Begin to bring a part from the disk, if that is how it comes."""

    def drop(self, region: Region) -> None:
        """Give back what a part took."""

    def overlaps(self, array: Any) -> bool:
        """Say whether an array may lie in the same memory."""
        return bool(self.space.xp.may_share_memory(self._images, array))

    def empty(self, batch: bool) -> Any:
        """Return no images of this size, to learn what becomes of them.

        They have one axis more where there is no `batch` axis that could be empty.
        """
        part = self.space.xp.empty((0, *self.shape[1 if batch else 0 :]), self.dtype)
        return self.leave(part) if self.space.kind == "simulator" else part

    def way_out(self, made: Any) -> Any:
        """Return a result as what the images came as."""
        return made if self.space.kind == "simulator" else self.leave(made)


class MemorySource(Source):
    """An array in memory, on whatever device; parts are views."""

    def read(self, region: Region) -> Any:
        """Return a view, as what the operator finds in the right space."""
        part = self._images[region or ...]
        return self.leave(part) if self.space.kind == "simulator" else part


class MappedSource(Source):
    """A file mapped into memory: parts are views, whose pages go when they are done with."""

    in_memory, copies = False, 1.0

    def __init__(self, images: Any, space: Space, leave: Callable[[Any], Any]) -> None:
        super().__init__(images, space, leave)
        self.extra = around(images)
        flags = images.flags
        self.plain = bool(self.dtype.isnative and flags.c_contiguous and flags.aligned)

    def read(self, region: Region) -> Any:
        """Return a view; the kernel reads its pages when they are touched."""
        return np.asarray(self._images[region or ...])

    def fetch(self, region: Region) -> None:
        """Ask the kernel to read ahead."""
        fetch_pages(self._images[region or ...])

    def drop(self, region: Region) -> None:
        """Unmap the pages of a part; the file keeps them."""
        drop_pages(self._images[region or ...])


class StoredSource(Source):
    """An array behind slices: zarr, h5py and others; parts are read into memory."""

    in_memory, is_view, copies = False, False, 2.0

    def __init__(self, images: Any) -> None:
        super().__init__(images, Space("cpu"), lambda array: array)
        own = getattr(images, "shards", None) or getattr(images, "chunks", None)
        if own is not None and len(own) == len(self.shape):
            self.grain = tuple(int(size) for size in own)
            self.extra = int(np.prod(self.grain, dtype=np.int64)) * self.dtype.itemsize

    def read(self, region: Region) -> Any:
        """Read a part into memory."""
        try:
            part = np.asarray(self._images[region or ...])
        except (MemoryError, FileNotFoundError, PermissionError, FastmmError):
            raise
        except Exception as error:  # whatever a store raises about its chunks
            rows = region[0] if region else slice(None)
            raise FastmmError(
                f"`images` could not be read from row {rows.start} to {rows.stop}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if part.shape != tuple(s.stop - s.start for s in region) + self.shape[len(region) :]:
            raise FastmmError(
                f"`images` gave shape {part.shape} for the part {region} of shape {self.shape}."
            )
        return part

    def overlaps(self, array: Any) -> bool:
        """Say that memory is not shared."""
        return False


class ListSource(Source):
    """A list of arrays of several sizes; parts are lists."""

    def __init__(self, images: Sequence[Any]) -> None:
        space, arrays, leave = enter(**{f"images[{i}]": a for i, a in enumerate(images)})
        largest = max(arrays, key=lambda array: array.size)
        super().__init__(largest[None], space, leave)
        self.shape = (len(arrays), *largest.shape)
        self._arrays, self._native = list(images), arrays

    def read(self, region: Region) -> Any:
        """Return some of the arrays."""
        return self._arrays[region[0]]

    def overlaps(self, array: Any) -> bool:
        """Say whether any of the arrays may share memory."""
        return any(self.space.xp.may_share_memory(each, array) for each in self._native)


def open_source(images: Any) -> Source:
    """Return images as a source.

    Parameters
    ----------
    images : array, memory-mapped array, chunked store, or list of arrays
        What a call was given.

    Returns
    -------
    Source

    Raises
    ------
    TypeError
        If this is none of them.

    Examples
    --------
    >>> open_source(np.zeros((4, 2, 2))).shape
    (4, 2, 2)
    """
    if is_source(images):
        return StoredSource(images)
    if isinstance(images, (list, tuple)):
        shapes = {tuple(i.shape) for i in images if hasattr(i, "shape")}
        if len(shapes) > 1:
            return ListSource(images)
    space, (native,), leave = enter(images=images)
    if isinstance(images, np.ndarray) and mapping_of(images) is not None:
        return MappedSource(images, space, leave)
    return MemorySource(native, space, leave)
