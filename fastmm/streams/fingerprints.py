"""What made a result, told apart by digests: files without their names, and operators."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["describe_operator", "digest_of_files", "digest_of_values"]


def digest_of_values(array: np.ndarray[Any, Any]) -> str:
    """Return a digest of shape, dtype and values.

    Parameters
    ----------
    array : ndarray
        Any.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> digest_of_values(np.zeros(3)) == digest_of_values(np.ones(3))
    False
    """
    made = blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    made.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
    return made.hexdigest()


def digest_of_files(paths: Iterable[Any]) -> str:
    """Return a digest of the sizes and times of change of files, in their order.

    Parameters
    ----------
    paths : iterable of path, tuple of paths, or None
        Folders count with all files in them, sorted by name; None is one that is missing.

    Returns
    -------
    str
        32 hexadecimal digits; no name, which may be a patient's, goes into them.

    Raises
    ------
    FileNotFoundError, PermissionError
        If a path cannot be looked at.

    Examples
    --------
    >>> digest_of_files([None]) == digest_of_files([None, None])
    False
    """
    made = blake2b(digest_size=16)
    for path in paths:
        for one in path if isinstance(path, tuple) else (path,):
            made.update(b"-" if one is None else b"+")
            for file in () if one is None else _files(Path(one)):
                about = file.stat()
                made.update(f"{about.st_size} {about.st_mtime_ns};".encode())
        made.update(b"|")
    return made.hexdigest()


def _files(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def describe_operator(operator: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells an operator and its parameters from others, as plain data.

    Parameters
    ----------
    operator : callable, estimator's method, or dataclass
        Learnt attributes of an estimator count.
    options : mapping
        Arguments it is called with.

    Returns
    -------
    dict
        For JSON.

    Raises
    ------
    TypeError
        If a parameter is nothing that can be compared.

    Examples
    --------
    >>> describe_operator(np.add, {"axis": (0, 1)})
    {'operator': 'numpy.add', 'axis': [0, 1]}
    """
    return {"operator": _plain(operator, "operator"), **_plain(dict(options), "options")}


def _plain(value: Any, name: str) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return digest_of_values(np.asarray(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, partial):
        return [_plain(part, name) for part in (value.func, value.args, value.keywords)]
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, type(os)):
        return {"method": value.__name__, **_plain_owner(owner, name)}
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"class": _name(type(value)), **_plain(own, name)}
    if hasattr(value, "get_params"):
        return {"class": _name(type(value)), **_plain(_estimator(value), name)}
    if callable(value) and hasattr(value, "__qualname__" if not _is_ufunc(value) else "__name__"):
        return _function(value, name)
    raise TypeError(
        f"`{name}` must be plain data, an array, an estimator or a function, which can be "
        f"compared with those of another run; got {type(value).__name__}."
    )


def _plain_owner(owner: Any, name: str) -> dict[str, Any]:
    made = _plain(owner, name)
    return made if isinstance(made, dict) else {"of": made}


def _estimator(value: Any) -> dict[str, Any]:
    learnt = {n: v for n, v in vars(value).items() if n.endswith("_") and not n.startswith("_")}
    return {**value.get_params(deep=False), **learnt}


def _function(value: Any, name: str) -> Any:
    if "<locals>" not in _name(value) and "<lambda>" not in _name(value):
        return _name(value)
    # Its name does not tell it from others: what it does has to.
    cells = [cell.cell_contents for cell in value.__closure__ or ()]
    code = value.__code__
    plain = [c for c in code.co_consts if isinstance(c, (bool, int, float, str))]
    made = blake2b(code.co_code + repr((code.co_names, plain)).encode(), digest_size=16)
    return [made.hexdigest(), _plain(cells, name)]


def _name(value: Any) -> str:
    module = getattr(value, "__module__", None) or "numpy"
    return f"{module}.{getattr(value, '__qualname__', getattr(value, '__name__', ''))}"


def _is_ufunc(value: Any) -> bool:
    return isinstance(value, np.ufunc)
