"""A GPU that is out of memory, told in fastmm's own terms by every public call."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from fastmm.errors import DeviceMemoryError

__all__ = ["TellsOfMemory", "out_of_memory", "tells_of_memory"]

F = TypeVar("F", bound=Callable[..., Any])
_METHODS = (
    *("fit", "partial_fit", "fit_transform", "transform", "predict", "decision_function"),
    *("predict_proba", "score"),
)


def out_of_memory(error: MemoryError) -> MemoryError:
    """Return what a public call raises for `error`: a DeviceMemoryError for CuPy's own."""
    if type(error).__module__.partition(".")[0] != "cupy":
        return error
    import cupy

    cupy.get_default_memory_pool().free_all_blocks()
    return DeviceMemoryError(f"The GPU is out of memory: {error}")


def tells_of_memory(function: F) -> F:
    """Let a public function raise DeviceMemoryError where the memory of its device ends."""

    @wraps(function)
    def entry(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except MemoryError as error:
            told = out_of_memory(error)
            if told is error:
                raise
            raise told from None

    return entry  # type: ignore[return-value]


class TellsOfMemory:
    """Makes `tells_of_memory` of the public methods of every estimator below it."""

    def __init_subclass__(cls, **named: Any) -> None:
        for name in _METHODS:
            if callable(method := vars(cls).get(name)):
                setattr(cls, name, tells_of_memory(method))
        super().__init_subclass__(**named)
