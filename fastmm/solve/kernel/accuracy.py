"""What is said of a kernel matrix that rounding has made too close to singular."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastmm.solve.kernel.system import KernelSystem
from fastmm.solve.ridge.accuracy import level_of_caller

__all__ = ["fault_of", "fault_of_residual", "warn"]

_POOR = 1e-6  # relative residual of a direct solve that says that float64 does not do


def fault_of(system: KernelSystem, alphas: Any, residual: np.ndarray[Any, Any]) -> str:
    """Return what is wrong with fits at these penalties, or an empty text.

    `residual` (targets,) is what the fits leave of the equations, relative to the targets.
    """
    n = system.y.shape[0]
    if (alphas == 0).any() and (rank := system.rank()) < n - (system.unit is not None):
        return (
            f"The kernel matrix of {n} samples has rank {rank} and alpha is 0: the solution of "
            "least norm is returned. Give a positive `alpha`."
        )
    return fault_of_residual(float(residual.max()), "raise `alpha`")


def fault_of_residual(residual: float, mend: str) -> str:
    """Return what is wrong with a fit that leaves such a residual, or an empty text."""
    if not residual > _POOR:
        return ""
    return (
        f"The kernel matrix is so ill-conditioned that a relative residual of {residual:.2g} is "
        f"left. Centre and rescale the features, or {mend}."
    )


def warn(fault: str) -> None:
    """Warn of a fault, if there is one, at the line that called fastmm."""
    if fault:
        from scipy.linalg import LinAlgWarning

        warnings.warn(fault, LinAlgWarning, stacklevel=level_of_caller())
