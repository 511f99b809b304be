"""How CUDA builds are launched: compiled and linked by Numba, started through CuPy.

Numba's own way to start a kernel costs the host 170 to 200 microseconds, several times what
a small image takes: it wraps each array, looks up its type and converts each parameter anew.
Here the types are read off the arrays, the code for them is looked up, and the parameters are
packed at once. Where Numba does not show its linked code, or the driver refuses it, a warning
says so once for each kernel, and Numba starts it after all.
"""

from __future__ import annotations

import ctypes
import struct
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

__all__ = ["Launcher", "kind_of", "packed"]

# Of each scalar its format in 8 bytes, as C lays it out, and its type for Numba.
_SCALARS: dict[type, tuple[str, Any]] = {
    bool: ("?7x", types.boolean),
    int: ("q", types.int64),
    float: ("d", types.float64),
    np.bool_: ("?7x", types.boolean),
    np.int64: ("q", types.int64),
    np.float32: ("f4x", types.float32),
    np.float64: ("d", types.float64),
}
_ARRAYS = "qqqqq"  # two of Numba's own that are not used, size, bytes of an element, address
_READY = threading.local()


class Launcher:
    """The CUDA builds of one kernel, by the types of what they are given.

    `compiled` returns what Numba made for a tuple of its types, linked for the current device;
    `by_numba` starts it in Numba's own way, with the same arguments as `launch`.
    """

    def __init__(
        self, compiled: Callable[[tuple[Any, ...]], Any], by_numba: Callable[..., None]
    ) -> None:
        self._compiled, self._by_numba = compiled, by_numba
        self._known: dict[tuple[Any, ...], tuple[Any, struct.Struct, Any] | None] = {}

    def launch(self, blocks: int, threads: int, stream: int, args: tuple[Any, ...]) -> None:
        """Start the build for these arguments on a stream; returns at once."""
        from cupy.cuda import driver, runtime

        device = runtime.getDevice()
        if getattr(_READY, "device", None) != device:  # a thread starts without a context
            runtime.free(0)
            _READY.device = device
        key = (device, *map(kind_of, args))
        if key not in self._known:
            self._known[key] = self._load(key[1:])
        found = self._known[key]
        if found is None:
            self._by_numba(blocks, threads, stream, args)
            return
        function, layout, offsets = found
        values = packed(layout, args)
        pointers = offsets + np.uint64(ctypes.addressof(values))
        driver.launchKernel(
            function.ptr, blocks, 1, 1, threads, 1, 1, 0, stream, pointers.ctypes.data, 0
        )

    def _load(self, kinds: tuple[Any, ...]) -> tuple[Any, struct.Struct, Any] | None:
        from cupy.cuda import function

        compiled = self._compiled(tuple(map(_type_of, kinds)))
        try:
            code = compiled._codelibrary.get_cubin()
            module = function.Module()
            # Linked code and not PTX, which a driver older than the compiler would refuse.
            module.load(bytes(getattr(code, "code", code)))
            entry = module.get_function(compiled.entry_name)
        except (AttributeError, TypeError, RuntimeError) as error:  # the driver's are of these
            message = f"A CUDA kernel starts through Numba, which costs the host more: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)
            return None
        layout = struct.Struct("=" + "".join(map(_format_of, kinds)))
        return entry, layout, np.arange(0, layout.size, 8, dtype=np.uint64)


def kind_of(arg: Any) -> Any:
    """Return what an argument's code depends on: of an array its dtype, rank and layout."""
    if type(arg) in _SCALARS:
        return type(arg)
    flags = arg.flags
    layout = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
    return arg.dtype, arg.ndim, layout


def packed(layout: struct.Struct, args: tuple[Any, ...]) -> Any:
    """Return the parameters that Numba's code expects, one every 8 bytes."""
    values: list[Any] = []
    for arg in args:
        if type(arg) in _SCALARS:
            values.append(arg)
        else:
            values += (0, 0, arg.size, arg.itemsize, arg.data.ptr, *arg.shape, *arg.strides)
    room = ctypes.create_string_buffer(layout.size)
    layout.pack_into(room, 0, *values)
    return room


def _type_of(kind: Any) -> Any:
    if isinstance(kind, tuple):
        dtype, ndim, layout = kind
        return types.Array(from_dtype(dtype), ndim, layout)
    return _SCALARS[kind][1]


def _format_of(kind: Any) -> str:
    if isinstance(kind, tuple):
        return _ARRAYS + "qq" * kind[1]
    return _SCALARS[kind][0]
