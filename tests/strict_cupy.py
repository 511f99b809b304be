"""A CuPy that has no GPU, strict as the real one: a net for what only a GPU would show.

``use(monkeypatch)`` puts it where CuPy is imported from. As a plugin of pytest it runs every
test that is marked ``gpu``: ``PYTHONPATH=.:tests python -m pytest -p strict_cupy -m gpu``.
Kernels run in their CPU build; the arguments of each launch are kept in LAUNCHES.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from cupy_names import MODULES, cupy_names, signature
from strict_array import SCALARS, _Device, ndarray, spoil, taken, wrapped

LAUNCHES: dict[tuple[str, ...], Any] = {}
_ARRAYS = ("a", "m", "ar", "arr", "x", "condition", "v", "b", "indices", "input", "ary")
_FROM_HOST = ("array", "asarray", "ascontiguousarray", "asfortranarray", "asanyarray")
_CONSTANTS = (
    *("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", "inf", "nan", "newaxis", "pi"),
)
OutOfMemoryError = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})
_state = SimpleNamespace(linalg="ignore", room=None)


def use(patch: Any) -> None:
    """Make ``import cupy`` find this, and kernels run on its arrays."""
    from fastmm.kernels._jit import Kernel

    from fastmm import _space

    for name, module in _modules().items():
        patch.setitem(sys.modules, name, module)
    patch.setattr(Kernel, "run_cuda", _run)
    _space._cuda_fault.cache_clear()
    _space._say_choice_once.cache_clear()


def leave_room(calls: int | None) -> None:
    """Let so many functions of the stand-in still find memory; None: all."""
    _state.room = calls


def forget() -> None:
    """Let fastmm look for a GPU again."""
    from fastmm import _space

    leave_room(None)
    _space._cuda_fault.cache_clear()
    _space._say_choice_once.cache_clear()


def pytest_configure(config: Any) -> None:
    import pytest

    use(pytest.MonkeyPatch())


def _run(kernel: Any, work: int, stream: int, *args: Any) -> None:
    from fastmm.kernels._launching import _type_of, kind_of

    from fastmm._space import Space

    host = [a._host if isinstance(a, ndarray) else a for a in args]
    for given in args:
        if isinstance(given, (np.ndarray, list)):
            raise TypeError(f"{kernel!r} was given {type(given).__name__} of the host")
        _type_of(kind_of(given))  # a launch on a GPU knows what type this is to the kernel
    if kernel._key.startswith("boxes"):  # the CPU build has no parts to share its work among
        host[-1][1:] = 0
    LAUNCHES.setdefault((kernel._key, *map(_kind, args)), kernel)
    Space("cpu").launch(kernel, work, *host)


def _kind(value: Any) -> str:
    if not isinstance(value, ndarray):
        return type(value).__name__
    layout = "C" if value.flags.c_contiguous else "F" if value.flags.f_contiguous else "A"
    return f"{value.dtype.name}:{value.ndim}:{layout}"


@cache
def _modules() -> dict[str, ModuleType]:
    made: dict[str, ModuleType] = {}
    for path in ("cupy", "cupy.lib", "cupyx", "cupyx.scipy", *MODULES):
        made.setdefault(path, ModuleType(path))
        made[path].__path__ = []  # type: ignore[attr-defined]
        parent, _, own = path.rpartition(".")
        if parent:
            setattr(made[parent], own, made[path])
    for path, parameters in cupy_names().items():
        module, _, name = path.rpartition(".")
        if module in made:
            host = import_module({"cupyx": "numpy"}.get(module, _host_module(module)))
            if callable(getattr(host, name, None)):
                setattr(made[module], name, _function(name, getattr(host, name), parameters))
    cupy, cupyx = made["cupy"], made["cupyx"]
    for name in _CONSTANTS:
        setattr(cupy, name, getattr(np, name))
    cupy.__version__, cupy.ndarray = "14.2.0", ndarray
    cupy.asnumpy = lambda a, **_: a.get() if isinstance(a, ndarray) else np.asarray(a)
    cupy.empty, cupy.empty_like = _emptied(np.empty), _emptied(np.empty_like)
    for name in _FROM_HOST:
        setattr(cupy, name, _brought(getattr(np, name)))
    cupy.get_default_memory_pool = lambda: SimpleNamespace(
        free_all_blocks=lambda: None, used_bytes=lambda: 0, set_limit=lambda size: None
    )
    cupy.cuda = _cuda()
    cupy.linalg.LinAlgError = np.linalg.LinAlgError
    for name in ("cholesky", "inv", "solve", "eigh", "svd", "qr", "eigvalsh"):
        setattr(cupy.linalg, name, _unchecked(getattr(cupy.linalg, name)))
    cupy.linalg.solve = _same_batch(cupy.linalg.solve)
    cupyx.errstate, cupyx.empty_pinned = (
        _errstate,
        lambda shape, dtype=float: np.empty(shape, dtype),
    )
    cupy.random = SimpleNamespace(
        default_rng=lambda seed=None: SimpleNamespace(
            random=lambda size=None, dtype=np.float64, out=None: wrapped(
                np.random.default_rng(seed).random(size, dtype)
            )
        )
    )
    return {**made, "cupy.cuda": cupy.cuda}


def _host_module(module: str) -> str:
    return module.replace("cupyx.scipy", "scipy").replace("cupy", "numpy")


def _function(name: str, host: Any, parameters: str) -> Any:
    expected = signature(parameters)
    if parameters == "ufunc":
        keep = list(expected.parameters.values())
        expected = expected.replace(parameters=keep[: getattr(host, "nin", 3)] + keep[3:])

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = expected.bind(*args, **kwargs).arguments
        _take_room()
        for parameter, value in bound.items():
            if parameter in _ARRAYS and not isinstance(value, ndarray):
                several = name == "where" and isinstance(value, SCALARS)
                if value is not None and not several:
                    raise TypeError(f"cupy.{name} was given {type(value).__name__} as {parameter}")
        out = bound.get("out")
        given = {key: taken(value) for key, value in kwargs.items()}
        found = host(*map(taken, args), **given)
        return out if out is not None else wrapped(found)

    call.__name__ = name
    return call


def _take_room() -> None:
    if _state.room is not None:
        _state.room -= 1
        if _state.room < 0:
            raise OutOfMemoryError("no room for 1,024 bytes")


def _emptied(host: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        _take_room()
        made = host(*map(taken, args), **{key: taken(value) for key, value in kwargs.items()})
        spoil(made)
        return wrapped(made)

    return call


def _brought(host: Any) -> Any:
    def call(obj: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(obj, (list, tuple)):
            obj = [o._host if isinstance(o, ndarray) else o for o in obj]
        at_home = isinstance(obj, ndarray)
        found = host(obj._host if at_home else obj, *args, **kwargs)
        if found.dtype.kind not in "biufc":
            raise ValueError(f"Unsupported dtype {found.dtype}")
        return wrapped(found if at_home else found.copy("K"))

    return call


def _unchecked(function: Any) -> Any:
    def call(a: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(a, ndarray):
            raise np.linalg.LinAlgError("cupy.linalg only supports cupy.ndarray")
        try:
            return function(a, *args, **kwargs)
        except np.linalg.LinAlgError:
            if _state.linalg == "raise" or a.shape[-1] != a.shape[-2]:
                raise
            return wrapped(np.full((args[0] if args else a).shape, np.nan))

    return call


def _same_batch(solve: Any) -> Any:
    def call(a: Any, b: Any) -> Any:
        if a.shape[:-1] != b.shape[:-1] and not (b.ndim == 1 == a.ndim - 1):
            raise ValueError("a must have (..., M, M) shape and b must have (..., M, K)")
        return solve(a, b)

    return call


@contextmanager
def _errstate(*, linalg: str | None = None, **_: Any) -> Any:
    before, _state.linalg = _state.linalg, linalg or _state.linalg
    try:
        yield
    finally:
        _state.linalg = before


class _Stream:
    ptr = 0

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        self.null, self.non_blocking = null, non_blocking

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def record(self, event: Any = None) -> Any:
        return event or _Stream()


class _Memory:
    """Memory of others, from which an array is made."""

    def __init__(self, address: int, size: int, owner: Any, device: int = -1) -> None:
        self.address, self.size, self.owner = address, size, owner


class _MemoryPointer:
    def __init__(self, memory: _Memory, offset: int) -> None:
        self.memory, self.offset = memory, offset

    def view(self, shape: Any, dtype: Any) -> np.ndarray:
        import ctypes

        there = (ctypes.c_char * self.memory.size).from_address(self.memory.address + self.offset)
        there.owner = self.memory.owner
        return np.frombuffer(there, dtype).reshape(shape)


class _Hook:
    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


def _cuda() -> Any:
    cuda = ModuleType("cupy.cuda")
    properties = {"name": b"none", "multiProcessorCount": 1, "totalGlobalMem": 1 << 33}

    class Device(_Device):
        attributes: ClassVar = {"L2CacheSize": 1 << 20}
        compute_capability, mem_info = "90", (1 << 33, 1 << 33)

        def __init__(self, device: int = 0) -> None:
            assert device == 0

    cuda.Device, cuda.Stream = Device, _Stream
    cuda.get_current_stream = _Stream
    cuda.set_allocator = lambda allocator=None: None
    cuda.UnownedMemory, cuda.MemoryPointer = _Memory, _MemoryPointer
    cuda.memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    cuda.memory_hook = SimpleNamespace(MemoryHook=_Hook)
    cuda.runtime = SimpleNamespace(
        getDeviceCount=lambda: 1, memGetInfo=lambda: (1 << 33, 1 << 33),
        deviceSynchronize=lambda: None, getDeviceProperties=lambda device: properties,
        driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13000,
    )  # fmt: skip
    return cuda
