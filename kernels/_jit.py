"""How kernels are compiled and launched: the only file by which others reach Numba.

A kernel is one operation in two builds, a CPU loop and a CUDA loop, which share scalar
helpers. Kernel files write both as plain functions and tie them together::

    @scalar
    def blend(a, b, weight): ...

    def _rows(src, out, ...):     # CPU: ``prange`` over rows
    def _threads(src, out, ...):  # CUDA: a grid-stride loop over ``work`` elements

    linear = Kernel("linear", _rows, _threads)

Each build compiles when it is first needed.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numba
from numba import prange

from ._caching import cached
from ._intrinsics import columns, copier, prefetched, stretches, summer, turner
from ._launching import Launcher
from ._linked import store_of
from ._newer_numpy import set_up_numba_cuda
from ._overloading import with_names
from ._registers import ATOMS, GROUP, responder

__all__ = [
    "ATOMS",
    "GROUP",
    "HostKernel",
    "Kernel",
    "columns",
    "copier",
    "cuda",
    "foreign",
    "numba_cuda",
    "prange",
    "prefetched",
    "responder",
    "scalar",
    "stretches",
    "summer",
    "turner",
]

# Contraction lets a multiply and an add become one FMA, as CUDA does by itself; nothing
# else of fast-math is safe with NaN and infinity.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# Below this many elements waking the other threads costs more than they save.
_MIN_PARALLEL_WORK = 1 << 16
_THREADS_PER_BLOCK = 256
_MAX_BLOCKS = 1 << 20  # times 256 threads; beyond that the grid-stride loop takes over


class _StandIn:
    """Name for ``numba.cuda`` in kernel files, whose import CPU users need not pay."""


cuda: Any = _StandIn()


def numba_cuda() -> Any:
    """Import and return ``numba.cuda`` (the real one, or the simulator)."""
    from numba import cuda as module

    set_up_numba_cuda()
    return module


def cpu_threads() -> int:
    """Return how many threads of the host a kernel may use."""
    alone = _THREADS.forked or numba.config.DISABLE_JIT
    return 1 if alone else int(numba.config.NUMBA_NUM_THREADS)


def scalar(function: Callable[..., Any]) -> Any:
    """Compile a scalar helper that both builds of a kernel may call."""
    return numba.njit(**_OPTIONS)(function)


def foreign(name: str, result: str, *arguments: str) -> Any:
    """Name a function of the C library, with Numba's names of types, for helpers to call.

    None where it does not exist, or where helpers are not compiled.
    """
    if numba.config.DISABLE_JIT or not hasattr(ctypes.CDLL(None), name):
        return None
    kinds = [getattr(numba.types, kind) for kind in (result, *arguments)]
    return numba.types.ExternalFunction(name, kinds[0](*kinds[1:]))


class Kernel:
    """One operation in a CPU build and a CUDA build with the same arguments.

    `helpers` are the scalar functions that take the place of stand-ins of the same name
    in both loops, where those differ between dtypes.
    """

    def __init__(
        self, name: str, cpu: FunctionType, cuda: FunctionType, **helpers: Callable[..., Any]
    ) -> None:
        self.name, self._helpers = name, helpers
        self._key = "-".join([name, *(f"{n}.{h.__name__}" for n, h in helpers.items())])
        self._cpu, self._cuda = with_names(cpu, **helpers), cuda

    def __repr__(self) -> str:
        return f"Kernel({self.name!r})"

    def run_cpu(self, work: int, *args: Any) -> None:
        """Run the CPU build; in parallel where that pays and is safe."""
        if work < _MIN_PARALLEL_WORK or _THREADS.forked or numba.config.DISABLE_JIT:
            self._serial(*args)
        else:
            _THREADS.run(self._parallel, args)

    def run_serial(self, *args: Any) -> None:
        """Run the CPU build on the calling thread alone, which other threads may do too."""
        self._serial(*args)

    def run_cuda(self, work: int, stream: int, *args: Any) -> None:
        """Launch the CUDA build on the stream with that handle; returns at once."""
        blocks = min(-(-work // _THREADS_PER_BLOCK), _MAX_BLOCKS)
        self._launcher.launch(blocks, _THREADS_PER_BLOCK, stream, (work, *args))

    def run_simulator(self, work: int, *args: Any) -> None:
        """Run the CUDA build in Numba's simulator: few threads, so that loops stride."""
        self._device[min(-(-work // 8), 3), 8](work, *args)

    def ptx(self, signature: tuple[Any, ...], capability: tuple[int, int]) -> str:
        """Compile the CUDA build for Numba types to PTX; needs no GPU."""
        module = numba_cuda()
        function = with_names(self._cuda, cuda=module, **self._helpers)
        with _pretended_device(capability):
            ptx, _ = module.compile_ptx(
                function, numba.void(numba.int64, *signature), cc=capability
            )
        return str(ptx)

    @cached_property
    def _serial(self) -> Any:
        return cached(numba.njit(**_OPTIONS)(self._cpu), "serial", self._key)

    @cached_property
    def _parallel(self) -> Any:
        return cached(numba.njit(parallel=True, **_OPTIONS)(self._cpu), "parallel", self._key)

    @cached_property
    def _launcher(self) -> Launcher:
        return Launcher(
            lambda signature: self._device.compile(signature),
            self._launch_by_numba,
            store_of(self._key, self._cuda, *self._helpers.values()),
        )

    def _launch_by_numba(self, blocks: int, threads: int, stream: int, args: Any) -> None:
        module = numba_cuda()
        # Without sync=False Numba would wait for the stream once for each array.
        args = tuple(
            module.as_cuda_array(a, sync=False) if hasattr(a, "__cuda_array_interface__") else a
            for a in args
        )
        queue = module.external_stream(stream) if stream else module.default_stream()
        self._device[blocks, threads, queue](*args)

    @cached_property
    def _device(self) -> Any:
        module = numba_cuda()
        _allow_small_grids()
        return module.jit(with_names(self._cuda, cuda=module, **self._helpers))


class HostKernel:
    """An operation that only the host has use for: one build, on the calling thread."""

    def __init__(self, name: str, cpu: FunctionType, *, contract: bool = True) -> None:
        self.name, self._cpu, self._key = name, cpu, name
        self._options = {**_OPTIONS, "fastmath": _OPTIONS["fastmath"] if contract else False}

    def __repr__(self) -> str:
        return f"HostKernel({self.name!r})"

    def __call__(self, *args: Any) -> Any:
        """Run it; other threads of Python go on meanwhile."""
        return self._serial(*args)

    @cached_property
    def _serial(self) -> Any:
        return cached(numba.njit(**self._options)(self._cpu), "serial", self._key)


def _allow_small_grids() -> None:
    # Numba warns of each launch that does not fill a GPU. A small image never does.
    from numba.cuda import dispatcher

    if hasattr(dispatcher, "config"):
        dispatcher.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0


@contextmanager
def _pretended_device(capability: tuple[int, int]) -> Iterator[None]:
    # Numba asks the current device for its capability whenever a kernel calls a helper,
    # even when it only compiles; without a GPU there is none to ask.
    from numba.cuda import dispatcher

    if not hasattr(dispatcher, "get_current_device"):
        yield
        return
    real = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = real


def _came_from_fork() -> bool:
    """Say whether this process was forked without exec, before it imported this module."""
    # The parent may have used OpenMP (PyTorch does) although it never saw fastmm. Linux
    # keeps a flag, PF_FORKNOEXEC, in the 9th field; the 2nd may hold spaces.
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return bool(int(fields[6]) & 0x40)
    except (OSError, ValueError, IndexError):
        return False


class _Threads:
    """Guards the threading layer, which Numba picks at the first parallel call."""

    def __init__(self) -> None:
        self.forked = _came_from_fork()
        self._layer: str | None = None
        self._lock = threading.Lock()

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if self._layer in ("omp", "tbb"):
            function(*args)
            return
        with self._lock:  # the layer is not known yet, or (workqueue) not safe for threads
            function(*args)
            self._layer = numba.threading_layer()

    def after_fork(self) -> None:
        # The OpenMP layer kills a forked child that launches a parallel kernel, or hangs in it.
        self.forked = True
        self._lock = threading.Lock()


_THREADS = _Threads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_THREADS.after_fork)
