"""Where results go, part by part: memory, mapped files, chunked stores."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm._space import enter
from fastmm.errors import FastmmError
from fastmm.streams.pages import around, drop_pages, mapping_of
from fastmm.streams.sources import Region, Source

__all__ = ["Sink", "open_sink"]


class Sink:
    """An array that results are written to; `copies` are buffers that a write needs.

    `in_memory` says that a write is a mere copy, and `own` that the array was made here.
    """

    in_memory, own, copies = True, False, 0.0
    extra = 0
    grain: tuple[int, ...] = ()

    def __init__(self, array: Any, out: Any) -> None:
        self._array, self._out = array, out

    def make(self) -> None:
        """Allocate what has no place yet."""

    def finish(self) -> Any:
        """Return what the caller gets."""
        return self._out

    def place(self, region: Region) -> np.ndarray[Any, Any] | None:
        """Return where a part may be made, which spares to copy it there, if that can be."""
        if not isinstance(self._array, np.ndarray):
            return None
        part = np.asarray(self._array[region or ...])
        return part if part.flags.c_contiguous and part.flags.aligned else None

    def write(self, region: Region, part: Any) -> None:
        """Write a part, unless it was made in its place."""
        target = self._array[region or ...]
        if not _is_same(target, part):
            target[...] = part


class _OwnSink(Sink):
    own = True

    def __init__(self, source: Source, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(None, None)
        self._source, self._shape, self._dtype = source, shape, dtype

    def make(self) -> None:
        self._array = self._source.space.empty(self._shape, self._dtype)

    def finish(self) -> Any:
        return self._source.leave(self._array)


class _MappedSink(Sink):
    in_memory, copies = False, 2.0

    def __init__(self, array: Any, out: Any) -> None:
        super().__init__(array, out)
        self.extra = around(array)

    def write(self, region: Region, part: Any) -> None:
        super().write(region, part)
        drop_pages(self._array[region or ...])


class _StoredSink(Sink):
    """A chunked store; parts are made in memory, and encoded from there."""

    in_memory, copies = False, 3.0

    def __init__(self, array: Any) -> None:
        super().__init__(array, array)
        own = getattr(array, "shards", None) or getattr(array, "chunks", None)
        if own is not None and len(own) == len(array.shape):
            self.grain = tuple(int(size) for size in own)
            self.extra = int(np.prod(self.grain, dtype=np.int64)) * np.dtype(array.dtype).itemsize

    def write(self, region: Region, part: Any) -> None:
        try:
            self._array[region or ...] = part
        except (MemoryError, FileNotFoundError, PermissionError, FastmmError):
            raise
        except Exception as error:  # whatever a store raises about its chunks
            raise FastmmError(
                f"`out` could not be written: {type(error).__name__}: {error}"
            ) from error


def open_sink(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], source: Source) -> Sink:
    """Return `out` as a sink for a result, or make an array for it where it is None.

    Parameters
    ----------
    out : array, memory-mapped array, chunked store, or None
        What a call was given.
    shape : tuple of int
        Of the result.
    dtype : numpy.dtype
        Of the result.
    source : Source
        Where the result is made of; one that is made here lies in the same place.

    Returns
    -------
    Sink

    Raises
    ------
    TypeError, ValueError
        If `out` cannot take the result.

    Examples
    --------
    >>> from fastmm.streams.sources import open_source
    >>> open_sink(None, (2, 3), np.dtype("f4"), open_source(np.zeros(2))).own
    True
    """
    if out is None:
        return _OwnSink(source, shape, dtype)
    if not all(hasattr(out, name) for name in ("shape", "dtype", "__setitem__")):
        raise TypeError(
            f"`out` must be an array that can be written to, got {type(out).__name__}; "
            "numpy.lib.format.open_memmap and zarr.create_array make such arrays on disk."
        )
    kind = np.dtype(out.dtype) if not hasattr(out, "__dlpack__") else None
    if not isinstance(out, np.ndarray) and kind is not None:
        _check(out.shape, kind, shape, dtype)
        return _StoredSink(out)
    space, (native,), _ = enter(out=out)
    _check(native.shape, np.dtype(native.dtype), shape, dtype)
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("`out` must be writable, got a read-only array.")
    if space != source.space:
        raise TypeError(
            f"`images` lives on {source.space} but `out` lives on {space}; move one of them "
            "first, fastmm does not move data silently."
        )
    if source.overlaps(native):
        raise ValueError("`out` must not share memory with `images`; give another array.")
    if not isinstance(out, np.ndarray):
        return Sink(native, out)
    # Not `native`, which of another byte order is a copy.
    return Sink(np.asarray(out), out) if mapping_of(out) is None else _MappedSink(out, out)


def _is_same(target: Any, part: Any) -> bool:
    """Say whether an array on the host is the very memory of another."""
    if not (isinstance(target, np.ndarray) and isinstance(part, np.ndarray)):
        return False
    one, other = target.__array_interface__, part.__array_interface__
    return (one["data"][0], target.strides, target.shape, target.dtype) == (
        other["data"][0], part.strides, part.shape, part.dtype,
    )  # fmt: skip


def _check(shape: Any, dtype: np.dtype[Any], wanted: tuple[int, ...], kind: np.dtype[Any]) -> None:
    if tuple(shape) != wanted:
        raise ValueError(f"`out` must have the shape {wanted} of the result, got {tuple(shape)}.")
    if dtype != kind:
        raise ValueError(f"`out` must have the dtype {kind} of the result, got {dtype}.")
