"""How CUDA builds are launched: compiled and linked by Numba, started through CuPy.

Numba's own way to start a kernel costs the host 170 to 200 microseconds, several times what
a small image takes: it wraps each array, looks up its type and converts each parameter anew.
Here the types are read off the arrays, the code for them is looked up, and the parameters are
packed at once. The linked code is kept on disk (`_linked`), and Numba asked only where it is
not there. Where Numba does not show its linked code, or the driver refuses it, a warning
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

from ._linked import Linked, Store, forget, load, save

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
    `by_numba` starts it in Numba's own way, with the same arguments as `launch`; `store` names
    what is kept on disk.
    """

    def __init__(
        self,
        compiled: Callable[[tuple[Any, ...]], Any],
        by_numba: Callable[..., None],
        store: Store,
    ) -> None:
        self._compiled, self._by_numba, self._store = compiled, by_numba, store
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
        from cupy.cuda import Device

        layout = struct.Struct("=" + "".join(map(_format_of, kinds)))
        offsets = np.arange(0, layout.size, 8, dtype=np.uint64)
        file = self._store.file(kinds, str(Device().compute_capability))
        kept = load(file)
        if kept is not None:
            try:
                return _entry_of(kept), layout, offsets
            except RuntimeError:  # by a newer compiler than this driver knows
                forget(file)
        compiled = self._compiled(tuple(map(_type_of, kinds)))
        try:
            code = compiled._codelibrary.get_cubin()
            made = Linked(str(compiled.entry_name), bytes(getattr(code, "code", code)))
            entry = _entry_of(made)
        except (AttributeError, TypeError, RuntimeError) as error:  # the driver's are of these
            message = f"A CUDA kernel starts through Numba, which costs the host more: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)
            return None
        save(file, made)
        return entry, layout, offsets


def _entry_of(linked: Linked) -> Any:
    """Load code onto the current device: linked code, since PTX a driver may be too old for."""
    from cupy.cuda import function

    module = function.Module()
    module.load(linked.code)
    return module.get_function(linked.entry)


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
