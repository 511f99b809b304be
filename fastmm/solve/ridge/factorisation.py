"""Which factorisation of a design keeps the digits that a penalty needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmm.solve.ridge.design import Design, refuse_squares
from fastmm.solve.ridge.graded import GradedSpectrum, is_graded
from fastmm.solve.ridge.spectral import Spectrum, dual_spectrum, singular_spectrum
from fastmm.solve.spd import RCOND

__all__ = ["factorise", "factorise_exactly"]


def factorise(
    design: Design, smallest_alpha: float, primal: bool | None = None, gram: Any = None
) -> Spectrum | GradedSpectrum:
    """Diagonalise a Gram matrix, or factorise X itself where that would lose digits.

    By default the smaller one; `gram` is it, where it is known.
    """
    n, d = design.shape
    primal, xp = d <= n if primal is None else primal, design.xp
    gram = design.gram(primal) if gram is None else gram
    if not primal:
        values, basis = dual_spectrum(gram, design.unit, xp)
        values = values.clip(0)
        spectrum = Spectrum(
            "dual", False, basis, values, lambda z: design.transposed_times(basis @ z)
        )
    else:
        values, vectors = xp.linalg.eigh(gram)
        values = values.clip(0)
        basis = design.times(vectors)
        spectrum = Spectrum("primal", True, basis, values, lambda z: vectors @ z)
    if values.size and float(values[0]) + smallest_alpha <= RCOND * float(values[-1]):
        return factorise_exactly(design, smallest_alpha)
    return spectrum


def factorise_exactly(design: Design, smallest_alpha: float) -> Spectrum | GradedSpectrum:
    """Factorise X itself, which keeps the digits that its Gram matrix would lose."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = design.squares()
        refuse_squares(float(squares.sum()))
    if is_graded(squares, smallest_alpha):
        return GradedSpectrum(design)
    return singular_spectrum(design)
