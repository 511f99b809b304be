"""An array of a CuPy that has no GPU: NumPy underneath, CuPy's strictness above.

It takes no NumPy array beside it, gives 0-d arrays where NumPy gives scalars, turns into no
NumPy array by itself, and has the methods, and those take the arguments, that CuPy has.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from cupy_names import cupy_names, signature

SCALARS = (bool, int, float, complex, np.generic)
_OPERATORS = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "divmod",
    "pow",
    "lshift",
    "rshift",
    "and",
    "or",
    "xor",
    "matmul",
    "lt",
    "le",
    "eq",
    "ne",
    "gt",
    "ge",
]


class ndarray:  # noqa: N801
    """An array that says it is CuPy's."""

    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 100

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None
    ) -> None:
        self._host = np.empty(shape, dtype) if memptr is None else memptr.view(shape, dtype)
        if memptr is None:
            spoil(self._host)

    def __getattr__(self, name: str) -> Any:
        path = f"cupy.ndarray.{name}"
        if path not in cupy_names() or name.startswith("__"):
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        return wrapped(getattr(self._host, name))

    data = property(lambda self: _Pointer(self._host.ctypes.data))
    device = property(lambda self: _Device())
    flags = property(lambda self: _Flags(self._host.flags))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        facts = self._host.__array_interface__
        return {**facts, "version": 3, "stream": None, "data": (facts["data"][0], False)}

    def __array__(self, *_: Any, **__: Any) -> None:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("there is no GPU behind this array")

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True):
        if out is None:
            return self._host.copy("C" if order == "A" else order)
        assert (out.dtype, out.shape) == (self.dtype, self.shape)
        out[...] = self._host
        return out

    def set(self, arr: Any, stream: Any = None) -> None:
        if type(arr).__mro__[-2] is not np.ndarray:
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if (arr.dtype, arr.shape) != (self.dtype, self.shape):
            raise TypeError("another dtype or shape")
        self._host[...] = arr

    def item(self) -> Any:
        return self._host.item()

    def tolist(self) -> Any:
        return self._host.tolist()

    def copy(self, order: str = "C") -> ndarray:
        return wrapped(self._host.copy(order))

    def astype(self, dtype: Any, order: str = "K", casting: Any = None, subok=None, copy=True):
        return wrapped(self._host.astype(dtype, order, casting or "unsafe", copy=copy))

    def fill(self, value: Any) -> None:
        self._host.fill(taken(value))

    def __getitem__(self, key: Any) -> ndarray:
        return wrapped(self._host[_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(value, (ndarray, *SCALARS)):
            # CuPy fills by a scalar, unless the index is an array, or all of one axis.
            alike = np.shape(value) == self.shape and np.asarray(value).dtype == self.dtype
            whole = isinstance(key, slice) and key == slice(None) and alike
            if np.ndim(value) and not whole and not _advanced(key):
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host[_index(key)] = value._host if isinstance(value, ndarray) else value

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return repr(self._host)

    def __format__(self, spec: str) -> str:
        return format(self._host, spec)

    def __bool__(self) -> bool:
        return bool(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    def __reduce__(self) -> Any:
        return _revived, (self._host,)

    def __neg__(self) -> ndarray:
        return wrapped(-self._host)

    def __abs__(self) -> ndarray:
        return wrapped(abs(self._host))

    def __invert__(self) -> ndarray:
        return wrapped(~self._host)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or f"cupy.{ufunc.__name__}" not in cupy_names():
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        out = kwargs.get("out")
        found = ufunc(*map(taken, inputs), **{name: taken(v) for name, v in kwargs.items()})
        return out if out is not None else wrapped(found)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        import cupy

        found: Any = cupy
        for part in [*func.__module__.split(".")[1:], func.__name__]:
            found = getattr(found, part, None)
        return NotImplemented if found is None else found(*args, **kwargs)


def taken(value: Any) -> Any:
    """Return what NumPy is to have of an argument; refuse what CuPy refuses."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(map(taken, value))
    return value


def wrapped(value: Any) -> Any:
    """Return what CuPy would for what NumPy gave."""
    if isinstance(value, (np.ndarray, np.generic)):
        made = ndarray.__new__(ndarray)
        made._host = np.asarray(value)
        return made
    if isinstance(value, (list, tuple)) and any(isinstance(v, np.ndarray) for v in value):
        parts = [wrapped(v) for v in value]
        return type(value)(parts) if type(value) in (list, tuple) else type(value)(*parts)
    return value


def spoil(host: np.ndarray) -> None:
    """Fill memory that nobody wrote yet, so that reading it shows."""
    if host.dtype.kind in "fc":
        host.fill(np.nan)
    else:
        host.view(np.uint8 if host.ndim and host.flags.c_contiguous else host.dtype).fill(77)


def _index(key: Any) -> Any:
    keys = [k._host if isinstance(k, ndarray) else k for k in _parts(key)]
    picks = any(isinstance(k, np.ndarray) and k.ndim == 0 for k in keys)
    # With an ellipsis NumPy gives a view of one element too, as CuPy does.
    return tuple(keys if picks or any(k is Ellipsis for k in keys) else [*keys, Ellipsis])


def _advanced(key: Any) -> bool:
    return any(isinstance(k, (ndarray, np.ndarray, list)) for k in _parts(key))


def _parts(key: Any) -> tuple[Any, ...]:
    return key if type(key) is tuple else (key,)


def _revived(host: np.ndarray) -> Any:
    return wrapped(host)


class _Pointer:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


class _Device:
    id = 0

    def __enter__(self) -> _Device:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


class _Flags:
    def __init__(self, flags: Any) -> None:
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.owndata, self.fnc = flags.owndata, flags.fnc


def _add_operators() -> None:
    def binary(name: str, turned: bool, inplace: bool) -> Any:
        plain = getattr(operator, f"__{name}__", None) or divmod
        own = getattr(operator, f"__i{name}__", None)

        def method(self: ndarray, other: Any) -> Any:
            if not isinstance(other, (ndarray, np.ndarray, *SCALARS)):
                return NotImplemented
            other = taken(other)
            if inplace:
                self._host = own(self._host, other)
                return self
            return wrapped(plain(other, self._host) if turned else plain(self._host, other))

        return method

    def method(path: str, name: str) -> Any:
        expected, function = signature(cupy_names()[path]), getattr(np.ndarray, name)

        def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
            expected.bind(*args, **kwargs)
            out = kwargs.get("out")
            given = {k: taken(v) for k, v in kwargs.items()}
            found = function(self._host, *map(taken, args), **given)
            return out if out is not None else wrapped(found)

        return call

    for name in _OPERATORS:
        for prefix in ("", "r", "i"):
            if f"cupy.ndarray.__{prefix}{name}__" in cupy_names():
                setattr(ndarray, f"__{prefix}{name}__", binary(name, prefix == "r", prefix == "i"))
    for path in cupy_names():
        name = path.removeprefix("cupy.ndarray.")
        if (
            name != path
            and callable(getattr(np.ndarray, name, None))
            and not hasattr(ndarray, name)
        ):
            setattr(ndarray, name, method(path, name))


_add_operators()
ndarray.__module__ = "cupy"
