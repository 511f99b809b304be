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
_TRIALS = {"plain": 25, "nystrom": 60, "rounded": 25}  # products, before the next way is taken
_GAIN = 1e-4  # of the residual, down to which a correction in float32 is sought
_EPS = 1e-6  # times sqrt(n), of the diagonal: shifts below it do not outweigh float32's rounding
# Share of rows that may have left or joined since a preconditioner was built.
_STALE = {"nystrom": 0.03, "rounded": 0.01}


class ConjugateGradients:
    """Solves (r K r + shift I) z + r b = r y with r z = 0, each time for another r."""

    def __init__(self, shift: float, space: Space, way: str) -> None:
        self.shift, self.space, self.way = shift, space, way
        self._kept: _Preconditioner | None = None

    def solve(
        self, kernel: Symmetric, y: Any, r: Any, z: Any, field: Any, target: float
    ) -> tuple[Any, Any, Any] | None:
        """Return z, b and K r z with no residual over `target`; None if that is slow.

        `z`, orthogonal to `r`, is the start, and `field` K r z.
        """
        shift, total = self.shift, dot(r, r)
        noise = _EPS * r.size**0.5 * float((kernel.matrix.diagonal() * r * r).max())
        exact = shift < noise
        while self.way != "direct":
            precondition, left = None, _TRIALS[self.way]
            while True:
                raw = r * (y - field) - shift * z
                intercept = dot(r, raw) / total
                residual = raw - intercept * r
                size = float(abs(residual).max())
                if size <= target:
                    return z, intercept, field
                if left <= 0:
                    break
                precondition = precondition or self._preconditioner(kernel, r)
                if precondition is None:
                    break
                goal = target if exact else max(target / 2, _GAIN * size)
                times = kernel.times if exact else kernel.roughly
                change, image, used = self._correct(times, r, residual, precondition, goal, left)
                z = z + change
                field = field + (image if exact else kernel.times(r * change))
                left -= used + 1
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

    def _preconditioner(self, kernel: Symmetric, r: Any) -> Callable[[Any], Any] | None:
        total = dot(r, r)
        if self.way == "plain":
            return lambda v: v - r * (dot(r, v) / total)
        kept = self._kept
        if kept is None or not kept.fits(self.way, kernel, r):
            kept = self._kept = None  # so that its memory is free before the next one
            kept = self._kept = _Preconditioner(self.way, kernel, r, self.shift, self.space)
        if kept.of is None:
            return None
        solve = kept.within(r)
        border = solve(r)
        height = dot(r, border)

        def precondition(v: Any) -> Any:
            found = solve(v)
            return found - border * (dot(r, found) / height)

        return precondition


class _Preconditioner:
    """A preconditioner of some active rows, used for almost the same ones later."""

    def __init__(self, way: str, kernel: Symmetric, r: Any, shift: float, space: Space) -> None:
        self.way, self.kernel, self.r, self.shift, self.xp = way, kernel, r, shift, space.xp
        self.of: Any
        if way == "nystrom":
            self.of = NystromPreconditioner(kernel.matrix, r, shift, space)
        else:
            self.of = RoundedFactor.of(kernel.matrix, r, shift, space)

    def fits(self, way: str, kernel: Symmetric, r: Any) -> bool:
        if way != self.way or kernel is not self.kernel or self.of is None:
            return False
        changed = float(((self.r > 0) != (r > 0)).sum())
        return changed <= _STALE[way] * float((r > 0).sum())

    def within(self, r: Any) -> Callable[[Any], Any]:
        """Return the solver for the rows of r: that of the old rows, and the diagonal of new."""
        xp = self.xp
        stays, joined = (r > 0) & (self.r > 0), (r > 0) & (self.r == 0)
        if not bool(((self.r > 0) != (r > 0)).any()):
            return self.of.solve  # type: ignore[no-any-return]
        inverse = xp.where(joined, 1 / (self.kernel.matrix.diagonal() * r * r + self.shift), 0.0)
        return lambda v: xp.where(stays, self.of.solve(xp.where(stays, v, 0.0)), v * inverse)


def indefinite() -> ValueError:
    """Return the error of a kernel that has no minimum."""
    return ValueError(
        "The kernel is not positive semidefinite: K + I / (2 C) has an eigenvalue that is not "
        "positive. Lower `C`, or change the kernel."
    )
