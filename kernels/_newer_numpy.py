"""Let numba-cuda set itself up beside NumPy 2.5, which has no ``row_stack`` any more.

numba-cuda 0.30, the last of its line, registers that name without asking whether it is there,
and so fails at the first kernel. No kernel uses it: it has to exist for that moment alone.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

import numpy as np
from numba import config

__all__ = ["set_up_numba_cuda"]


@cache
def set_up_numba_cuda() -> None:
    """Import the part of numba-cuda that asks NumPy for ``row_stack``."""
    if np.lib.NumpyVersion(np.__version__) < "2.5.0b1" or config.ENABLE_CUDASIM:
        return

    def row_stack(*arrays: object) -> None:
        """Stand for a function that nobody calls."""

    missing = not hasattr(np, "row_stack")
    if missing:
        np.row_stack = row_stack  # noqa: NPY201
    try:
        import_module("numba.cuda.np.arrayobj")
    except ImportError:  # Numba's own CUDA target, before numba-cuda took it over
        pass
    finally:
        if missing:
            del np.row_stack  # noqa: NPY201
