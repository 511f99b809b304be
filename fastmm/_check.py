"""Validators of argument values, all speaking in one style.

A message names the argument in backticks, says what it must be and what came, and how
to mend it where that is not plain: "`step` must be a positive integer, got 0."
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

__all__ = ["dtype_of_result", "finite", "integer", "number", "one_of", "real", "sizes"]


_REAL = frozenset(map(np.dtype, "?bBhHiIlLqQefd"))


def integer(value: Any, name: str, *, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`."""
    what = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be {what}, got {value!r}.") from None
    if result < minimum:
        raise ValueError(f"`{name}` must be {what}, got {result}.")
    return result


def number(value: Any, name: str, *, minimum: float = -math.inf, above: float = -math.inf) -> float:
    """Return `value` as a finite float, at least `minimum` and strictly over `above`."""
    what = "a finite number"
    if minimum > -math.inf:
        what += f" of at least {minimum:g}"
    if above > -math.inf:
        what += f" greater than {above:g}"
    try:
        if isinstance(value, (bool, np.bool_, str, bytes)):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must be {what}, got {value!r}.") from None
    except OverflowError:
        raise ValueError(f"`{name}` must be {what}, got an integer beyond float64.") from None
    if not math.isfinite(result) or result < minimum or result <= above:
        raise ValueError(f"`{name}` must be {what}, got {result!r}.")
    return result


def one_of(value: Any, name: str, choices: Iterable[str]) -> str:
    """Return `value` if it is one of the strings in `choices`."""
    names = list(choices)
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be one of {_listed(names)}, got {value!r}.")
    if value not in names:
        raise ValueError(f"`{name}` must be one of {_listed(names)}, got {value!r}.")
    return value


def sizes(value: Any, name: str, *, lengths: Sequence[int] = (1, 2, 3)) -> tuple[int, ...]:
    """Return `value` as a tuple of positive integers, one for each spatial axis."""
    # Most calls bring a right tuple, for which the rest would cost a third of a small resize.
    if type(value) is tuple and len(value) in lengths:
        for item in value:
            if type(item) is not int or item < 1:
                break
        else:
            return value
    counts = " or ".join(str(n) for n in lengths)
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"`{name}` must be {counts} positive integers, got {value!r}.")
    items = tuple(value)
    if len(items) not in lengths:
        raise ValueError(f"`{name}` must be {counts} positive integers, got {items!r}.")
    return tuple(integer(item, f"{name}[{i}]") for i, item in enumerate(items))


def real(array: Any, name: str) -> None:
    """Refuse None, and arrays of anything but booleans, integers and real floats."""
    if array is None:
        raise TypeError(f"`{name}` must be an array, got None.")
    if array.dtype in _REAL:
        return
    dtype = np.dtype(array.dtype)
    if dtype.kind == "c":
        raise ValueError(
            f"`{name}` must hold real numbers, got Complex data not supported ({dtype})."
        )
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise TypeError(f"`{name}` must hold real numbers of at most 64 bits, got dtype {dtype}.")


@cache
def dtype_of_result(dtype: Any) -> np.dtype[Any]:
    """Return the float dtype that arithmetic on `dtype` runs in.

    float32 stays float32 and float64 stays float64; booleans, integers to 16 bits and
    float16 become float32, which holds each of their values; wider integers float64.
    """
    kind = np.dtype(dtype)
    wide = kind.itemsize > (4 if kind.kind == "f" else 2)
    return np.dtype(np.float64 if wide else np.float32)


def finite(array: Any, name: str, xp: Any) -> None:
    """Refuse NaN and infinity, with their count and the first place."""
    if np.dtype(array.dtype).kind != "f" or array.size == 0:
        return
    # One pass decides the common case: a sum is finite unless an element is not (or the
    # sum overflows, which the exact test below then clears).
    with np.errstate(over="ignore", invalid="ignore"):
        if bool(xp.isfinite(xp.sum(array))):
            return
    bad = ~xp.isfinite(array)
    count = int(bad.sum())
    if count:
        first = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), array.shape))
        raise ValueError(
            f"`{name}` contains NaN or infinity: {count} of {array.size} values, the first at "
            f"index {first if len(first) > 1 else first[0]}. Fill or drop them first."
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{n}"' for n in names)
