"""What Numba runs in the place of a Python function, each under a name that no other code has.

Numba calls machine code by its qualified name, the types of its arguments, and a number that it
counts in each process. Builds that are loaded from disk were counted in another process. Where
two helpers came from one factory, such as `turner(8)` and `turner(16)`, name and types were the
same, and where the numbers met, the linker took one for the other: half of a row was not
written. So whatever a factory closes over has to be in the name.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from numba.extending import overload

__all__ = ["runs_as", "with_names"]


def runs_as(plain: Callable[..., Any], name: str, implementation: FunctionType) -> Any:
    """Have compiled code call `implementation`, which is named `name`, for `plain`."""
    implementation.__name__ = implementation.__qualname__ = name
    overload(plain, strict=False)(lambda *_, **__: implementation)
    return plain


def with_names(function: FunctionType, **names: Any) -> FunctionType:
    """Return a function that finds other things under these names, and bears theirs."""
    copy = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
    helpers = [f"{name}_{found.__name__}" for name, found in names.items() if callable(found)]
    copy.__qualname__ = "_".join([function.__qualname__, *helpers])
    return copy
