"""How much memory a call may take, as people say it."""

from __future__ import annotations

import math
import operator
import re
from typing import Any

import numpy as np

__all__ = ["check_limit", "refuse_below", "refuse_for_dask", "say_bytes"]

_UNITS = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}  # fmt: skip


def check_limit(value: Any, name: str = "memory_limit") -> int | None:
    """Return a limit in bytes, given as a number or as text such as "2GB" or "1.5 GiB".

    Parameters
    ----------
    value : int, str or None
        Bytes; or text with one of the units B, kB, MB, GB, TB (powers of 1000) and KiB,
        MiB, GiB, TiB (powers of 1024), in any case.
    name : str
        Name of the argument, for errors.

    Returns
    -------
    int or None
        Bytes; None stays None.

    Raises
    ------
    TypeError, ValueError
        If this is no such number or text, or not positive.

    Examples
    --------
    >>> check_limit("2GB"), check_limit("1.5 MiB"), check_limit(4096)
    (2000000000, 1572864, 4096)
    """
    if value is None:
        return None
    what = 'bytes as a positive integer, or text such as "2GB", "500MB" or "1GiB"'
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)\s*", value, re.ASCII | re.I)
        if found is None or found[2].lower() not in _UNITS:
            raise ValueError(f"`{name}` must be {what}, got {value!r}.")
        result = int(float(found[1]) * _UNITS[found[2].lower()])
    else:
        try:
            if isinstance(value, (bool, np.bool_)):
                raise TypeError
            result = operator.index(value)
        except TypeError:
            raise TypeError(f"`{name}` must be {what}, got {value!r}.") from None
    if result < 1:
        raise ValueError(f"`{name}` must be {what}, got {value!r}.")
    return result


def refuse_below(least: float, limit: int | None, what: str) -> None:
    """Refuse a limit under which something has no room.

    Parameters
    ----------
    least : float
        Bytes that are needed.
    limit : int or None
        Bytes that there are; None for no limit.
    what : str
        What needs them, and why.

    Raises
    ------
    ValueError
        If the limit is too low; the message says what is not.

    Examples
    --------
    >>> refuse_below(100, 200, "a sum")
    """
    if limit is not None and limit < least:
        raise ValueError(
            f"`memory_limit` must be at least {say_bytes(math.ceil(least))} here, got "
            f"{say_bytes(limit)}: {what}."
        )


def refuse_for_dask(memory_limit: Any, out: Any) -> None:
    """Refuse what a call on dask arrays cannot heed.

    Parameters
    ----------
    memory_limit, out : object
        What the call was given.

    Raises
    ------
    TypeError
        If one of them is not None.

    Examples
    --------
    >>> refuse_for_dask(None, None)
    """
    for name, value in (("memory_limit", memory_limit), ("out", out)):
        if value is not None:
            raise TypeError(
                f"`{name}` must be None for dask arrays: their chunks say what is in memory at a "
                "time, and to_zarr() or store() write them."
            )


def say_bytes(count: int) -> str:
    """Return a number of bytes as text that `check_limit` takes, rounded up.

    Parameters
    ----------
    count : int
        Bytes.

    Returns
    -------
    str
        Three digits and a unit, not below `count`.

    Examples
    --------
    >>> say_bytes(1_234_567), say_bytes(999)
    ('1.24MB', '999B')
    """
    for unit in ("TB", "GB", "MB", "kB"):
        size = _UNITS[unit.lower()]
        if count >= size:
            hundredths = -(-count * 100 // size)
            return f"{hundredths / 100:g}{unit}"
    return f"{count}B"
