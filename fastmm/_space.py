"""Where an array lives, and how work gets there: the only dispatch code of fastmm.

The type of an array decides. NumPy and CuPy arrays are at home; anything else that
speaks DLPack (torch, JAX) is a guest: it enters without a copy and results leave as
what it came as. Data never moves between devices here: that is the caller's to do.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmm._memory import empty
from fastmm.errors import DeviceMemoryError

if TYPE_CHECKING:
    from fastmm.kernels._jit import Kernel

__all__ = [
    "Space",
    "cuda_available",
    "enter",
    "enter_one",
    "on_this_thread",
    "space_for",
    "telling_of_memory",
]

_DLPACK_CPU, _DLPACK_CUDA = 1, 2
_LOG = logging.getLogger("fastmm")


@dataclass(frozen=True)
class Space:
    """A place where arrays live: the host, one GPU, or Numba's CUDA simulator."""

    kind: str  # "cpu" | "cuda" | "simulator"
    device: int = 0
    parallel: bool = True  # on the CPU, whether a launch may use other threads than its own

    def __hash__(self) -> int:
        return hash(self.kind)  # tables are looked up by it in every call: the quickest that does

    def __str__(self) -> str:
        return f"cuda:{self.device}" if self.kind == "cuda" else f"the {self.kind}"

    @property
    def xp(self) -> Any:
        """The array namespace: cupy on a GPU, numpy elsewhere."""
        if self.kind == "cuda":
            import cupy

            return cupy
        return np

    def asarray(self, array: np.ndarray[Any, Any]) -> Any:
        """Bring a small host array (a table, a parameter) here."""
        if self.kind != "cuda":
            return array
        with self.xp.cuda.Device(self.device):
            return self.xp.asarray(array)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an array of this place to be written: a result."""
        return empty(shape, dtype) if self.kind != "cuda" else self.xp.empty(shape, dtype)

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        """Copy an array that lives here to the host; on the host, return it."""
        return self.xp.asnumpy(array) if self.kind == "cuda" else array  # type: ignore[no-any-return]

    def launch(self, kernel: Kernel, work: int, *args: Any) -> None:
        """Run a kernel over `work` elements here, on the current stream."""
        if work == 0:
            return
        if self.kind == "cpu":
            for array in args:
                if isinstance(array, np.ndarray) and not array.flags.writeable:
                    args = tuple(map(_writable_alias, args))
                    break
            if self.parallel and not _CALLER.alone:
                kernel.run_cpu(work, *args)
            else:
                kernel.run_serial(*args)
        elif self.kind == "simulator":
            kernel.run_simulator(work, *args)
        else:
            with self.xp.cuda.Device(self.device):
                kernel.run_cuda(work, self.xp.cuda.get_current_stream().ptr, *args)


class _Caller(threading.local):
    """Whether this thread launches kernels of the CPU on itself alone."""

    alone = False


_CALLER = _Caller()


@contextmanager
def on_this_thread() -> Iterator[None]:
    """Have the calling thread run kernels of the CPU itself: others are at work of their own."""
    before, _CALLER.alone = _CALLER.alone, True
    try:
        yield
    finally:
        _CALLER.alone = before


_HOST = Space("cpu")  # one object, since caches are keyed by it and identity is compared first


@contextmanager
def telling_of_memory(space: Space) -> Iterator[None]:
    """Turn a device that is out of memory into a DeviceMemoryError, its pool emptied."""
    if space.kind != "cuda":
        yield
        return
    memory = space.xp.cuda.memory
    try:
        yield
    except memory.OutOfMemoryError as error:
        space.xp.get_default_memory_pool().free_all_blocks()
        raise DeviceMemoryError(f"{space} is out of memory: {error}") from None


def enter(**arrays: Any) -> tuple[Space, list[Any], Callable[[Any], Any]]:
    """Find where the named arrays live and take them in.

    Returns the space, the arrays as native arrays of its namespace (never copied, but
    for lists and byte-swapped data), and ``leave``, which turns a native result into
    what the first array came as. None passes through.
    """
    space: Space | None = None
    leave: Callable[[Any], Any] = _identity
    first = ""
    native: list[Any] = []
    for name, array in arrays.items():
        if array is None:
            native.append(None)
            continue
        here, taken, way_out = _take_in(array, name)
        if space is None:
            space, leave, first = here, way_out, name
        elif here != space:
            raise TypeError(
                f"`{first}` lives on {space} but `{name}` lives on {here}; "
                "move one of them first, fastmm does not move data silently."
            )
        native.append(taken)
    return space or Space("cpu"), native, leave


def enter_one(array: Any, name: str) -> tuple[Space, Any, Callable[[Any], Any]]:
    """Do as `enter` does for one array, which most operators have."""
    return (_HOST, None, _identity) if array is None else _take_in(array, name)


def cuda_available() -> bool:
    """Say whether CuPy is installed and sees a usable GPU."""
    return _cuda_fault() is None


def space_for(device: str) -> Space:
    """Return the space a ``device=`` argument names; "auto" takes a GPU if one works."""
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f'`device` must be one of "auto", "cpu", "cuda", got {device!r}.')
    if device == "cpu":
        return Space("cpu")
    fault = _cuda_fault()
    if device == "auto":
        _say_choice_once(fault)
    if fault is None:
        import cupy

        return Space("cuda", int(cupy.cuda.Device().id))
    if device == "cuda":
        raise ValueError(f'`device="cuda"` needs a usable GPU: {fault}.')
    return Space("cpu")


@cache
def _say_choice_once(fault: str | None) -> None:
    if fault is None:
        _LOG.info('device="auto": using the GPU.')
    elif fault.startswith("cupy is not installed"):
        _LOG.info('device="auto": using the CPU, %s.', fault)
    else:
        _LOG.warning('device="auto": using the CPU, since CUDA does not work here: %s.', fault)


@cache
def _cuda_fault() -> str | None:
    try:
        import cupy
    except ImportError:
        return 'cupy is not installed (pip install "fastmm[cuda13]" or "fastmm[cuda12]")'
    try:
        if cupy.cuda.runtime.getDeviceCount() < 1:
            return "CUDA reports no device"
        cupy.zeros(1)  # a driver too old for the runtime shows only here
    except Exception as error:  # whatever a broken CUDA raises means: not usable
        first, *_ = str(error).splitlines() or ["no message"]
        return f"{type(error).__name__}: {first}"
    return None


def _take_in(array: Any, name: str) -> tuple[Space, Any, Callable[[Any], Any]]:
    if type(array) is np.ndarray and array.dtype.isnative:  # most calls
        return _HOST, array, _identity
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"`{name}` is a masked array, whose mask would be lost; fill it first.")
    if isinstance(array, np.ndarray):
        return _HOST, _native_bytes(np.asarray(array)), _identity
    home = type(array).__module__
    if home.partition(".")[0] == "cupy":
        return Space("cuda", int(array.device.id)), array, _identity
    if home.startswith(("numba.cuda", "numba_cuda")):
        return _take_in_numba(array)
    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        return _take_in_guest(array, name)
    if isinstance(array, (str, bytes)) or not hasattr(array, "__len__"):
        raise TypeError(f"`{name}` must be an array, got {type(array).__name__}.")
    try:
        taken = np.asarray(array)
    except ValueError as error:
        raise ValueError(f"`{name}` does not form an array: {error}.") from None
    return Space("cpu"), _native_bytes(taken), _identity


def _take_in_numba(array: Any) -> tuple[Space, Any, Callable[[Any], Any]]:
    # Numba's own device arrays speak DLPack too, but only theirs leads to the simulator.
    from fastmm.kernels._jit import numba_cuda

    cuda = numba_cuda()
    if "simulator" in type(array).__module__:
        return Space("simulator"), array._ary, cuda.to_device
    import cupy

    taken = cupy.asarray(array)
    return Space("cuda", int(taken.device.id)), taken, cuda.as_cuda_array


def _take_in_guest(array: Any, name: str) -> tuple[Space, Any, Callable[[Any], Any]]:
    try:
        kind, device = array.__dlpack_device__()
        if int(kind) == _DLPACK_CPU:
            return Space("cpu"), np.from_dlpack(array), _way_out(array)
        if int(kind) == _DLPACK_CUDA:
            import cupy

            return Space("cuda", int(device)), cupy.from_dlpack(array), _way_out(array)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` ({type(array).__name__}) cannot be shared through DLPack: {error}"
        ) from None
    raise TypeError(f"`{name}` lives on a device of DLPack type {int(kind)}; CPU and CUDA work.")


def _way_out(array: Any) -> Callable[[Any], Any]:
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__().from_dlpack  # type: ignore[no-any-return]
    for kind in type(array).__mro__:  # a subclass may live in a package of its own
        namespace = sys.modules.get(kind.__module__.partition(".")[0])
        if hasattr(namespace, "from_dlpack"):
            return namespace.from_dlpack  # type: ignore[no-any-return, union-attr]
    raise TypeError("its library has no from_dlpack() to hand results back with")


def _native_bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


class _Alias:
    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__, self.owner = interface, array


def _writable_alias(array: Any) -> Any:
    # Numba compiles a second build for read-only arrays. Kernels do not write to their
    # inputs, so an alias of the same memory that claims to be writable spares it.
    if isinstance(array, np.ndarray) and not array.flags.writeable and array.size:
        return np.asarray(_Alias(array))
    return array


def _identity(array: Any) -> Any:
    return array
