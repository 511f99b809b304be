"""Arrays as torch tensors and back, without a copy; and the device a network runs on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from fastmm._check import dtype_of_result, one_of
from fastmm._space import Space, _writable_alias
from fastmm.errors import DeviceMemoryError
from fastmm.streams.lazy_rows import LazyRows

__all__ = [
    "LazyTensor",
    "as_array",
    "as_tensor",
    "import_torch",
    "telling_of_memory",
    "torch_device",
]

_LOG = logging.getLogger("fastmm")


def import_torch() -> Any:
    """Import torch, or name the extra that brings it."""
    try:
        import torch
    except ImportError:
        raise ImportError('DeepClassifier needs PyTorch: pip install "fastmm[deep]".') from None
    return torch


class LazyTensor:
    """Rows on a disk, as far as batches know a tensor: indexed, they are read."""

    def __init__(self, rows: LazyRows, space: Space) -> None:
        self._rows, self._space = rows, space
        empty = as_tensor(np.empty((0, *rows.shape[1:]), rows.dtype), space)
        self.shape, self.ndim, self.dtype = rows.shape, rows.ndim, empty.dtype
        self.device, self._size = empty.device, empty.element_size()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> Any:
        """Read rows, by a slice or a tensor of their numbers."""
        part = rows if isinstance(rows, slice) else rows.numpy()
        return as_tensor(self._rows[part], self._space)

    def element_size(self) -> int:
        """Return the bytes of a value."""
        return int(self._size)


def as_tensor(array: Any, space: Space) -> Any:
    """Share an array that lives in `space` with torch, by DLPack.

    Copied are only what torch cannot hold or index: unsigned integers over 8 bits, and
    arrays with negative strides. What is on a disk stays there, as `LazyTensor`.
    """
    torch = import_torch()
    if isinstance(array, LazyRows):
        return LazyTensor(array, space)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(dtype_of_result(array.dtype))
    if any(stride < 0 or stride % array.itemsize for stride in array.strides):
        array = space.xp.ascontiguousarray(array)
    try:
        return torch.from_dlpack(_writable_alias(array))
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"`X` on {space} cannot be shared with torch: {error}") from None


def as_array(tensor: Any, space: Space) -> Any:
    """Bring a tensor to where the arrays of `space` live; shared, if it is there already."""
    if space.kind == "cuda":
        return space.xp.from_dlpack(tensor.detach())
    host: np.ndarray[Any, Any] = tensor.detach().cpu().numpy()
    return host


def torch_device(device: str, space: Space) -> Any:
    """Return the torch device that `device` names for arrays that live in `space`."""
    torch = import_torch()
    one_of(device, "device", ("auto", "cpu", "cuda"))
    if space.kind == "cuda":
        if device == "cpu":
            raise TypeError(f'`device` is "cpu" but `X` lives on {space}; move `X` there first.')
        if not torch.cuda.is_available():
            raise TypeError(f"`X` lives on {space}, which this installation of torch cannot use.")
        return torch.device("cuda", space.device)
    usable = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not usable:
        raise ValueError('`device="cuda"` needs a GPU that torch can use; it finds none.')
    if device == "auto":
        _say_choice_once(usable)
    return torch.device("cuda", torch.cuda.current_device()) if usable else torch.device("cpu")


@cache
def _say_choice_once(usable: bool) -> None:
    _LOG.info('device="auto": networks use the %s.', "GPU" if usable else "CPU")


@contextmanager
def telling_of_memory(device: Any) -> Iterator[None]:
    """Turn a GPU that is out of memory into a DeviceMemoryError, torch's pool emptied."""
    torch = import_torch()
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        raise DeviceMemoryError(f"{device} is out of memory; lower `batch_size`.") from None
