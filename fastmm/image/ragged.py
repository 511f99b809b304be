"""Lists of images of different sizes, resized in one launch without being joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmm._check import dtype_of_result, real
from fastmm._interp import Method, resize_flat
from fastmm._space import Space, enter

__all__ = ["is_list_of_images", "resize_list"]


def is_list_of_images(images: Any, spatial: int) -> bool:
    """Say whether this is a list of whole images, rather than one array spelled as a list."""
    return (
        isinstance(images, (list, tuple))
        and len(images) > 0
        and all(hasattr(i, "shape") and len(i.shape) >= spatial for i in images)
    )


def resize_list(images: Sequence[Any], shape: tuple[int, ...], method: Method) -> Any:
    """Resize each image of a list to `shape`; all have one dtype and the same batch axes."""
    space, arrays, leave, batch = _taken(images, len(shape))
    dtype = arrays[0].dtype
    result = np.dtype(dtype) if method.interpolation == "nearest" else dtype_of_result(dtype)
    if method.interpolation != "nearest" and dtype in (np.float16, np.bool_):
        arrays = [array.astype(result) for array in arrays]
    spatial, count = len(shape), int(np.prod(batch, dtype=np.int64))
    out = space.empty((len(arrays) * count, *(1,) * (3 - spatial), *shape), result)
    if count:
        flat, firsts = _joined(space, arrays)
        places = np.ones((len(arrays), count, 4), np.int64)
        for row, array, first in zip(places, arrays, firsts, strict=True):
            row[:, 4 - spatial :] = array.shape[-spatial:]
            row[:, 0] = first + np.arange(count) * (array.size // count)
        resize_flat(space, flat, places.reshape(-1, 4), out, method)
    return leave(out.reshape((len(arrays), *batch, *shape)))


def _taken(
    images: Sequence[Any], spatial: int
) -> tuple[Space, list[Any], Callable[[Any], Any], tuple[int, ...]]:
    space, arrays, leave = enter(**{f"images[{i}]": image for i, image in enumerate(images)})
    first = arrays[0]
    for i, array in enumerate(arrays):
        real(array, f"images[{i}]")
        if 0 in array.shape[-spatial:]:
            raise ValueError(
                f"`images[{i}]` must not be empty along its last {spatial} axes, got shape "
                f"{tuple(array.shape)}."
            )
        if array.dtype != first.dtype:
            raise TypeError(
                f"`images` must have one dtype, got {first.dtype} for `images[0]` and "
                f"{array.dtype} for `images[{i}]`; convert one of them."
            )
        if array.shape[:-spatial] != first.shape[:-spatial]:
            raise ValueError(
                f"`images` must have the same axes before the spatial ones, got shape "
                f"{tuple(first.shape)} for `images[0]` and {tuple(array.shape)} for "
                f"`images[{i}]`."
            )
    return space, arrays, leave, tuple(first.shape[:-spatial])


def _joined(space: Space, arrays: list[Any]) -> tuple[Any, list[int]]:
    """Return one flat array that holds all of `arrays`, and where each begins in it.

    It spans the memory from the lowest to the highest of them, whatever else lies there:
    kernels touch only the elements that belong to an image, and nothing is copied.
    """
    xp, itemsize = space.xp, arrays[0].dtype.itemsize
    arrays[:] = [xp.ascontiguousarray(array) for array in arrays]
    if space.kind == "simulator":  # which copies its arguments, all that they span
        return _copied(xp, arrays)
    addresses = [_address(array) for array in arrays]
    base = min(addresses)
    if any((address - base) % itemsize for address in addresses):
        return _copied(xp, arrays)  # one begins at no whole number of elements
    firsts = [(address - base) // itemsize for address in addresses]
    count = max(first + array.size for first, array in zip(firsts, arrays, strict=True))
    return _span(space, base, count, arrays), firsts


def _copied(xp: Any, arrays: list[Any]) -> tuple[Any, list[int]]:
    ends = np.cumsum([0, *(array.size for array in arrays)])
    return xp.concatenate([array.ravel() for array in arrays]), [int(e) for e in ends[:-1]]


def _address(array: Any) -> int:
    if isinstance(array, np.ndarray):
        return int(array.__array_interface__["data"][0])
    return int(array.data.ptr)


class _Memory:
    """Memory of the host from an address on, kept alive by those who own parts of it."""

    def __init__(self, address: int, count: int, dtype: np.dtype[Any], owners: list[Any]) -> None:
        self.owners = owners
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (count,),
            "typestr": dtype.str,
            "version": 3,
        }


def _span(space: Space, address: int, count: int, owners: list[Any]) -> Any:
    dtype = owners[0].dtype
    if space.kind == "cuda":
        memory = space.xp.cuda.UnownedMemory(address, count * dtype.itemsize, owners, space.device)
        return space.xp.ndarray((count,), dtype, space.xp.cuda.MemoryPointer(memory, 0))
    span: NDArray[Any] = np.asarray(_Memory(address, count, dtype, owners))
    return span
