"""What is measured: a stage of fastmm, at three sizes, with its least work and its oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmm._space import Space

__all__ = ["HUGE", "SIZES", "Case", "Stage", "error"]

SIZES = ("small", "medium", "large")
HUGE = "huge"  # on a GPU too, where a launch would else take as long as the work


@dataclass(frozen=True)
class Case:
    """One stage at one size on one device, ready to be called.

    `n_bytes` must be read and written at least, `flops` be computed; `items` of `unit` go
    through in one call (None: the rate is that of the bytes or of the flops). `check` turns
    a result into its error against a float64 oracle, which must not exceed `tolerance`.
    """

    task: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    n_bytes: float
    flops: float
    dtype: str
    check: Callable[[Any], float]
    tolerance: float
    items: int | None = None
    unit: str = "img/s"
    close: Callable[[], None] | None = None


@dataclass(frozen=True)
class Stage:
    """A stage: `make(space, *sizes[name])` builds a case of about `memory(*sizes[name])` bytes.

    A stage may have a size `HUGE`, which is for GPUs.
    """

    name: str
    make: Callable[..., Case]
    sizes: Mapping[str, tuple[int, ...]]
    memory: Callable[..., float]


def error(found: Any, expected: Any, space: Space) -> float:
    """Return the greatest difference, relative to the greatest value that is right."""
    found = np.asarray(space.to_host(found), np.float64)
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-300))
