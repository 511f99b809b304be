"""How kernels are compiled and launched: the only file that imports Numba.

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
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numba
from llvmlite import ir
from numba import prange
from numba.core import caching, cgutils
from numba.extending import intrinsic, overload
from numba.np import arrayobj

from ._cache import cache_folder, source_hash

__all__ = [
    "HostKernel",
    "Kernel",
    "columns",
    "copier",
    "cuda",
    "foreign",
    "numba_cuda",
    "prange",
    "prefetched",
    "scalar",
    "stretches",
]

_LOG = logging.getLogger("fastmm")
# Contraction lets a multiply and an add become one FMA, as CUDA does by itself; nothing
# else of fast-math is safe with NaN and infinity.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# Below this many elements waking the other threads costs more than they save.
_MIN_PARALLEL_WORK = 1 << 15
_THREADS_PER_BLOCK = 256
_MAX_BLOCKS = 1 << 20  # times 256 threads; beyond that the grid-stride loop takes over


class _StandIn:
    """Name for ``numba.cuda`` in kernel files, whose import CPU users need not pay."""


cuda: Any = _StandIn()


def numba_cuda() -> Any:
    """Import and return ``numba.cuda`` (the real one, or the simulator)."""
    from numba import cuda as module

    return module


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


def prefetched() -> Any:
    """Return a helper that asks for the cache line of an element, and waits for nothing."""

    @intrinsic
    def prefetch(_typing: Any, flat: Any, i: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source = arrayobj.make_array(signature.args[0])(context, builder, args[0])
            pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
            call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            place = builder.bitcast(builder.gep(source.data, [args[1]]), pointer)
            # To read, into the nearest cache, data.
            builder.call(call, [place, number(0), number(3), number(1)])
            return context.get_dummy_value()

        return numba.types.void(flat, numba.types.intp), emit

    def plain(flat: Any, i: int) -> None:
        return None

    overload(plain)(lambda flat, i: lambda flat, i: prefetch(flat, i))
    return plain


def stretches() -> Any:
    """Return a helper: elements of a flat array, as a view that counts no references.

    A view costs two counts, more than a short row, and waits for other threads that count.
    """

    @intrinsic
    def stretch(_typing: Any, flat: Any, start: Any, size: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source = arrayobj.make_array(signature.args[0])(context, builder, args[0])
            view = arrayobj.make_array(signature.return_type)(context, builder)
            arrayobj.populate_array(
                view,
                data=builder.gep(source.data, [args[1]]),
                shape=[args[2]],
                strides=[source.itemsize],
                itemsize=source.itemsize,
                meminfo=None,
            )
            return view._getvalue()

        intp = numba.types.intp
        return flat.copy(ndim=1, layout="C")(flat, intp, intp), emit

    def plain(flat: Any, start: int, size: int) -> Any:
        return flat[start : start + size]

    overload(plain)(lambda flat, start, size: lambda flat, start, size: stretch(flat, start, size))
    return plain


def columns(step: int, first: int, lanes: int) -> Any:
    """Return a helper that takes two columns apart, for which LLVM would gather.

    ``take(flat, left, right, i)`` copies element step * (i + j) + first of `flat` to element
    i + j of `left`, and the next one to that of `right`, for j below `lanes`.
    """

    @intrinsic
    def take(_typing: Any, flat: Any, left: Any, right: Any, i: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, *targets = [
                arrayobj.make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args[:3], args, strict=False)
            ]
            element, number = source.data.type.pointee, ir.IntType(32)
            size = context.get_abi_sizeof(element)
            block = ir.VectorType(element, lanes * step).as_pointer()
            begin = builder.mul(args[3], args[3].type(step))
            place = builder.bitcast(builder.gep(source.data, [begin]), block)
            loaded = builder.load(place, align=size)
            for column, target in enumerate(targets, start=first):
                mask = [step * j + column for j in range(lanes)]
                mask = ir.Constant(ir.VectorType(number, lanes), mask)
                values = builder.shuffle_vector(loaded, loaded, mask)
                row = builder.gep(target.data, [args[3]])
                row = builder.bitcast(row, values.type.as_pointer())
                builder.store(values, row, align=size)
            return context.get_dummy_value()

        return numba.types.void(flat, left, right, numba.types.intp), emit

    def plain(flat: Any, left: Any, right: Any, i: int) -> None:
        block = flat[step * i : step * (i + lanes)].reshape(lanes, step)
        left[i : i + lanes], right[i : i + lanes] = block[:, first : first + 2].T

    overload(plain)(
        lambda flat, left, right, i: lambda flat, left, right, i: take(flat, left, right, i)
    )
    return plain


def copier(lanes: int) -> Any:
    """Return a helper, ``copy(src, start, out, begin)``, that copies `lanes` elements at once."""

    @intrinsic
    def copy(_typing: Any, src: Any, start: Any, out: Any, begin: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            places = []
            for kind, array, at in zip(signature.args[::2], args[::2], args[1::2], strict=True):
                flat = arrayobj.make_array(kind)(context, builder, array)
                vector = ir.VectorType(flat.data.type.pointee, lanes).as_pointer()
                places.append(builder.bitcast(builder.gep(flat.data, [at]), vector))
            size = context.get_abi_sizeof(flat.data.type.pointee)
            builder.store(builder.load(places[0], align=size), places[1], align=size)
            return context.get_dummy_value()

        intp = numba.types.intp
        return numba.types.void(src, intp, out, intp), emit

    def plain(src: Any, start: int, out: Any, begin: int) -> None:
        out[begin : begin + lanes] = src[start : start + lanes]

    overload(plain)(
        lambda src, start, out, begin: lambda src, start, out, begin: copy(src, start, out, begin)
    )
    return plain


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
        self._cpu, self._cuda = _with_names(cpu, **helpers), cuda

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
        module = numba_cuda()
        # Without sync=False Numba would wait for the stream once for each array.
        args = tuple(
            module.as_cuda_array(a, sync=False) if hasattr(a, "__cuda_array_interface__") else a
            for a in args
        )
        blocks = min(-(-work // _THREADS_PER_BLOCK), _MAX_BLOCKS)
        queue = module.external_stream(stream) if stream else module.default_stream()
        self._device[blocks, _THREADS_PER_BLOCK, queue](work, *args)

    def run_simulator(self, work: int, *args: Any) -> None:
        """Run the CUDA build in Numba's simulator: few threads, so that loops stride."""
        self._device[min(-(-work // 8), 3), 8](work, *args)

    def ptx(self, signature: tuple[Any, ...], capability: tuple[int, int]) -> str:
        """Compile the CUDA build for Numba types to PTX; needs no GPU."""
        module = numba_cuda()
        function = _with_names(self._cuda, cuda=module, **self._helpers)
        with _pretended_device(capability):
            ptx, _ = module.compile_ptx(
                function, numba.void(numba.int64, *signature), cc=capability
            )
        return str(ptx)

    @cached_property
    def _serial(self) -> Any:
        return _cached(numba.njit(**_OPTIONS)(self._cpu), "serial", self._key)

    @cached_property
    def _parallel(self) -> Any:
        return _cached(numba.njit(parallel=True, **_OPTIONS)(self._cpu), "parallel", self._key)

    @cached_property
    def _device(self) -> Any:
        module = numba_cuda()
        return module.jit(_with_names(self._cuda, cuda=module, **self._helpers))


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
        return _cached(numba.njit(**self._options)(self._cpu), "serial", self._key)


def _with_names(function: FunctionType, **names: Any) -> FunctionType:
    copy = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
    copy.__qualname__ = function.__qualname__
    return copy


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


class _Locator(caching._CacheLocator):
    """Keeps compiled kernels in the folder of their common source hash."""

    def __init__(self, folder: str, key: str) -> None:
        self._folder, self._key = folder, key

    def get_cache_path(self) -> str:
        return self._folder

    def get_source_stamp(self) -> str:
        return source_hash()

    def get_disambiguator(self) -> str:
        return self._key


class _Files(caching.IndexDataCacheFile):
    """Gives every build a file name of its own.

    Numba numbers them, so two processes that save different builds at once may take the
    same number, and the next one to load runs the code of the other build.
    """

    def _data_name(self, number: int) -> str:
        return self._data_name_pattern.format(number=uuid.uuid4().int)  # type: ignore[no-any-return]


class _Cache(caching.FunctionCache):
    """Takes a damaged file and a full disk for what they are: no reason to fail."""

    def __init__(self, function: FunctionType) -> None:
        super().__init__(function)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, source_hash())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # unpickling what is damaged may raise anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            _say_uncached_once()


def _cached(dispatcher: Any, build: str, name: str) -> Any:
    if numba.config.DISABLE_JIT:  # plain Python, for coverage and debuggers
        return dispatcher
    folder = cache_folder()
    if folder is None:
        _say_uncached_once()
        return dispatcher
    # Kernels may share a loop and differ in their helpers, of which Numba's key knows nothing.
    key = f"{name}-{dispatcher.py_func.__code__.co_firstlineno}"
    locator = _Locator(str(folder / build), key)

    class Impl(caching.CompileResultCacheImpl):
        _locator_classes = [SimpleNamespace(from_function=lambda *_: locator)]  # noqa: RUF012

    class Cache(_Cache):
        _impl_class = Impl

    dispatcher._cache = Cache(dispatcher.py_func)
    return dispatcher


def _say_uncached_once() -> None:
    if not _SAID:
        _SAID.append(True)
        _LOG.warning(
            "Compiled kernels cannot be written to disk, so each process compiles its own; "
            "set NUMBA_CACHE_DIR to a folder with room to keep them."
        )


_SAID: list[bool] = []
