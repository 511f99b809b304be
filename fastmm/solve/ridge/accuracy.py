r"""How many digits of ridge coefficients rounding leaves, estimated from the factorisation.

For least squares by orthogonal factorisations the relative error is at most about

.. math:: \epsilon\, \kappa\, (1 + \kappa \rho), \quad
    \rho = \frac{|(y - X \beta; \sqrt\alpha \beta)|}{|D \beta|} ,

:math:`\kappa` the condition number of :math:`(X; \sqrt\alpha I)` with columns brought to one
length, and D their lengths [1]_. The second term is what residuals, orthogonal to the columns,
tell of them by rounding; minimum-norm solutions of more columns than rows lack it.

References
----------
.. [1] Higham, N. J. (2002). Accuracy and Stability of Numerical Algorithms, 2nd ed., 20.1. SIAM.
   https://doi.org/10.1137/1.9780898718027
"""

from __future__ import annotations

import sys
import warnings
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Condition", "condition_of", "digits_warning", "level_of_caller", "relative_error"]

_EPS = float(np.finfo(np.float64).eps)
_FEW = 1e-6  # relative error of the coefficients from which on something is said


class Condition(NamedTuple):
    """The condition number, and how much more than its rounding each column was moved by."""

    number: float
    loss: float = 1.0


def condition_of(values: Any, vectors: Any, alpha: float, lengths: Any, xp: Any) -> Condition:
    """Return the condition of scaled columns from eigenvalues of X'X and vectors (d, r).

    A decomposition of X moves every column by rounding of the largest one.
    """
    kept = values > 0
    if not bool(kept.any()):
        return Condition(1.0)
    inverse = kept / xp.sqrt(xp.where(kept, values + alpha, 1.0))
    loss = float(xp.sqrt(values.max()) / lengths[lengths > 0].min())
    return Condition(float(xp.linalg.norm(lengths[:, None] * vectors * inverse)), max(1.0, loss))


def relative_error(
    coef: Any, left: Any, lengths: Any, alpha: float, condition: Condition, primal: bool, xp: Any
) -> float:
    """Estimate the relative error of coefficients (d, targets) with residuals (n, targets).

    The error of each coefficient counts times the length of its column.
    """
    number = condition.number
    if not primal or coef.size == 0:
        return _EPS * condition.loss * number
    size = xp.linalg.norm(lengths[:, None] * coef, axis=0)
    misfit = xp.sqrt((left**2).sum(axis=0) + alpha * (coef**2).sum(axis=0))
    share = float((misfit / xp.where(size > 0, size, np.inf)).max())
    return _EPS * condition.loss * number * (1 + number * share)


def digits_warning(error: float) -> None:
    """Say that few digits of the coefficients are to be trusted, where that is so."""
    if not error > _FEW:
        return
    from scipy.linalg import LinAlgWarning

    digits = max(0, int(-np.log10(error))) if error < 1 else 0
    warnings.warn(
        f"About {digits} digits of the coefficients are to be trusted: columns nearly repeat each "
        "other, and the penalty is too small to decide between them. Predictions keep more, for "
        "rows like those of the training. Give a larger `alpha`, or drop such columns.",
        LinAlgWarning,
        stacklevel=level_of_caller(),
    )


def level_of_caller() -> int:
    """Return the `stacklevel` at which a warning names the line that called fastmm."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("fastmm."):
        frame, level = frame.f_back, level + 1
    return level
