r"""Conjugate gradients for the active rows of a support vector machine.

Products with a kernel matrix read all of it, so that they take half the time in float32.
A correction is found with these, and what it leaves is measured in float64: rounding
costs a round more, not digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastmm._space import Space
from fastmm.solve.svm.algebra import Symmetric, dot
from fastmm.solve.svm.nystrom import NystromPreconditioner
from fastmm.solve.svm.rounded import RoundedFactor

__all__ = ["WAYS", "ConjugateGradients", "indefinite"]

WAYS = ("plain", "nystrom", "rounded", "direct")  # preconditioners, and none of this
_TRIALS = {"plain": 25, "nystrom": 50, "rounded": 25}  # products, before the next way is taken
_GAIN = 1e-4  # of the residual, down to which a correction in float32 is sought
_EPS = 1e-6  # times sqrt(n), of the diagonal: shifts below it do not outweigh float32's rounding


class ConjugateGradients:
    """Solves (r K r + shift I) z + r b = r y with r z = 0, each time for another r."""

    def __init__(self, shift: float, space: Space, way: str) -> None:
        self.shift, self.space, self.way = shift, space, way
        self._kept: NystromPreconditioner | RoundedFactor | None = None
        self._reused = False

    def solve(
        self, kernel: Symmetric, y: Any, r: Any, z: Any, field: Any, slack: Any, target: float
    ) -> tuple[Any, Any, Any] | None:
        """Return z, b and K r z with no residual over `target`; None if that is slow.

        `z`, orthogonal to `r`, is the start, and `field` K r z. `slack` tells which rows are
        likely to leave next.
        """
        shift, total = self.shift, dot(r, r)
        noise = _EPS * r.size**0.5 * float((kernel.matrix.diagonal() * r * r).max())
        exact = shift < noise
        while self.way != "direct":
            precondition, left, self._reused = None, _TRIALS[self.way], False
            while True:
                raw = r * (y - field) - shift * z
                intercept = dot(r, raw) / total
                residual = raw - intercept * r
                size = float(abs(residual).max())
                if size <= target:
                    return z, intercept, field
                if left <= 0:
                    break
                precondition = precondition or self._preconditioner(kernel, r, slack)
                if precondition is None:
                    break
                goal = target if exact else max(target / 2, _GAIN * size)
                times = kernel.times if exact else kernel.roughly
                change, image, used = self._correct(times, r, residual, precondition, goal, left)
                z = z + change
                field = field + (image if exact else kernel.times(r * change))
                left -= used + 1
            if self._reused and self.way == "rounded":
                self._kept = None
            else:
                self.way = WAYS[WAYS.index(self.way) + 1]
        return None

    def _correct(
        self,
        times: Callable[[Any], Any],
        r: Any,
        residual: Any,
        precondition: Callable[[Any], Any],
        goal: float,
        most: int,
    ) -> tuple[Any, Any, int]:
        total, change, image, step = dot(r, r), 0.0, 0.0, None
        decrease: Any = 0.0
        for count in range(most):
            if float(abs(residual).max()) <= goal:
                return change, image, count
            towards = precondition(residual)
            before, decrease = decrease, dot(residual, towards)
            step = towards if step is None else towards + (decrease / before) * step
            seen = times(r * step)
            product = r * seen + self.shift * step
            product -= r * (dot(r, product) / total)
            curvature = dot(step, product)
            if not bool(curvature > 0):
                raise indefinite()
            length = decrease / curvature
            change, image = change + length * step, image + length * seen
            residual = residual - length * product
        return change, image, most

    def _preconditioner(self, kernel: Symmetric, r: Any, slack: Any) -> Callable[[Any], Any] | None:
        total = dot(r, r)
        if self.way == "plain":
            return lambda v: v - r * (dot(r, v) / total)
        kept, solve = self._kept, None
        if kept is not None and kept.matrix is kernel.matrix and kept.way == self.way:
            solve = kept.solver(r)
        self._reused = solve is not None
        if solve is None:
            kept = self._kept = None  # so that its memory is free before the next one
            if self.way == "nystrom":
                kept = NystromPreconditioner(kernel.matrix, r, self.shift, self.space)
            else:
                kept = RoundedFactor(kernel.matrix, r, slack, self.shift, self.space)
            self._kept, solve = kept, kept.solver(r)
        if solve is None:
            return None
        border = solve(r)
        height = dot(r, border)

        def precondition(v: Any) -> Any:
            found = solve(v)
            return found - border * (dot(r, found) / height)

        return precondition


def indefinite() -> ValueError:
    """Return the error of a kernel that has no minimum."""
    return ValueError(
        "The kernel is not positive semidefinite: K + I / (2 C) has an eigenvalue that is not "
        "positive. Lower `C`, or change the kernel."
    )
