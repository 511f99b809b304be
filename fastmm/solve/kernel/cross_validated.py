"""Machines for some penalties, with what each says of the folds it has not seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from fastmm.solve.grouped import Folds
from fastmm.solve.kernel.bordered import BorderedSystem
from fastmm.solve.kernel.rounded_folds import RoundedFolds, pays
from fastmm.solve.threads import scipy_threads_only

__all__ = ["Candidate", "cross_validated"]

_CHEAPER = 1.5  # so many more factorisations in float32 than in float64 cost as much


class Candidate(NamedTuple):
    """A machine: decisions held out (n, targets), coefficients, intercepts, residual, rounding."""

    held_out: Any
    dual: Any
    intercept: Any
    residual: float
    rounding: float


def cross_validated(
    system: BorderedSystem, Cs: Sequence[float], folds: Folds
) -> Iterator[Candidate]:
    """Yield the machine for each C, in the order of the rows.

    Few values of C cost a factorisation each: in float32 where folds are few, whose rounding
    is corrected, else in float64. Many share an eigendecomposition.
    """
    rounded = None
    if pays(system, folds) and not system.prefers_spectrum(len(Cs) / _CHEAPER):
        rounded = RoundedFolds(system, folds)
    # NumPy's threads are those of the eigendecomposition, and SciPy's of all factorisations.
    inverse_at = None if rounded else system.inverses(len(Cs))
    spectral = rounded is None and system.prefers_spectrum(len(Cs))
    for C in Cs:
        with nullcontext() if spectral else scipy_threads_only(system.space):
            found = None if rounded is None else rounded.solve(1 / C)
            if found is not None:
                weighted, held_out = found[0], system.without_residuals(found[1], folds)
            else:
                inverse_at = inverse_at or system.inverses(1)
                inverse = inverse_at(1 / C)
                weighted = system.refined(inverse.times, 1 / C)
                held_out = system.held_out(inverse, weighted, folds)
                del inverse  # before the next is made
            residual = system.residual(weighted, 1 / C)
            dual, intercept = system.original(weighted)
            rounding = system.rounding_of(dual)
            held_out = system.in_rows(held_out)
            candidate = Candidate(held_out, dual, intercept, residual, rounding)
        yield candidate
