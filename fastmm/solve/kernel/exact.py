"""Whether an exact kernel machine fits into the memory it may take, and what else there is."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import one_of
from fastmm._space import Space
from fastmm.solve._inputs import Training
from fastmm.solve.chunked.base import FLOAT, Rows
from fastmm.solve.chunked.rows import read_whole
from fastmm.solve.grouped import Folds
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.streams.limits import say_bytes

__all__ = ["Exact", "Needs", "needs_of", "settle", "settle_svm", "training_gram"]

_SPECTRAL = 4.2  # n x n values of an eigendecomposition, beside the kernel and a copy
_ROWS = 64  # of a tile: fewer are all overhead


class Needs(NamedTuple):
    """Values that an exact machine holds beside its rows."""

    copies: float  # of n x n
    rest: float = 0.0  # values
    copies_of_rows: int = 0  # beside those that are kept
    spectral: bool = False  # whether only an eigendecomposition will do


class Exact(NamedTuple):
    """How a machine is fitted: "direct" or "nystrom", to what data, and what it may take."""

    solver: str
    data: Training
    may_diagonalise: bool = True
    room: int | None = None  # bytes for making the kernel; None: as many as it takes


def needs_of(folds: Folds | None, weighted: bool, widths: int = 1) -> Needs:
    """Return what a least-squares machine holds; measured, see the tests."""
    copies = 2.2 if folds is None and not weighted else 3.2
    if folds is None:
        return Needs(copies)
    largest = max(rows.shape[1] for rows in folds.batches)
    return Needs(copies + (widths > 1), 2.0 * folds.codes.size * largest, 1)


def settle(estimator: Any, data: Training, needs: Needs, centres: bool = True) -> Exact:
    """Choose the solver; rows that come in chunks are read where the exact one fits.

    `centres` says whether the estimator can fit on centres instead.
    """
    asked = "auto"
    if centres:
        asked = one_of(estimator.solver, "solver", ("auto", "direct", "nystrom"))
    given = estimator.kernel == "precomputed" if isinstance(estimator.kernel, str) else False
    if given and asked == "nystrom":
        raise ValueError(
            '`solver="nystrom"` needs the function of the kernel; `kernel` must not be '
            '"precomputed".'
        )
    rows = data.X
    if asked == "nystrom" or not isinstance(rows, Rows):
        return Exact("direct" if asked == "auto" else asked, data)
    n = rows.shape[0]
    held = _held(estimator, rows, needs)
    least = held + int(FLOAT * (needs.copies * n * n + needs.rest))
    most = least + int(FLOAT * _SPECTRAL * n * n)
    needed = most if needs.spectral else least
    if needed <= rows.limit:
        whole = data._replace(X=read_whole(rows), own=True)
        tile = 4 * FLOAT * min(n, _ROWS) * rows.shape[1]
        # The kernel is made before what is made of it.
        room = max(tile, rows.limit - held - FLOAT * n * n)
        return Exact("direct", whole, most <= rows.limit, room)
    if asked == "direct" or not centres or given:
        raise ValueError(_refusal(estimator, rows, needed, centres and not given))
    warnings.warn(
        f"An exact {type(estimator).__name__} of {n} rows takes {say_bytes(needed)}, and may "
        f"take {say_bytes(rows.limit)}: it is approximated on few rows as centres. Ask for "
        '`solver="nystrom"` if that is what you want, or raise `memory_limit`.',
        UserWarning,
        stacklevel=3,
    )
    return Exact("nystrom", data)


def settle_svm(estimator: Any, data: Training) -> tuple[Training, int | None]:
    """Read rows in chunks; return the bytes left where the whole kernel does not fit."""
    rows = data.X
    if not isinstance(rows, Rows):
        return data, None
    needs, n = Needs(3.2, copies_of_rows=1), rows.shape[0]
    held = _held(estimator, rows, needs)
    needed = held + int(FLOAT * needs.copies * n * n)
    named = not callable(estimator.kernel) and estimator.kernel != "precomputed"
    # The rows, a tile of them with all, and vectors of the state.
    left = rows.limit - held - 40 * FLOAT * n
    if needed > rows.limit and (not named or left < 16 * FLOAT * n):
        raise ValueError(_refusal(estimator, rows, needed, False))
    whole = data._replace(X=read_whole(rows), own=True)
    return whole, None if needed <= rows.limit else left


def training_gram(function: KernelFunction, X: Any, space: Space, room: int | None) -> Any:
    """Return the kernel matrix of training rows, in tiles where copies of X have no room."""
    n, d = X.shape
    plain = function.kernel == "precomputed" or callable(function.kernel)
    if plain or room is None or 3 * FLOAT * n * d <= room:
        return function.training(X, space.xp)
    step = max(1, min(n, max(_ROWS, room // (6 * FLOAT * d))))
    gram = space.xp.empty((n, n))
    for i in range(0, n, step):
        first = slice(i, i + step)
        gram[first, first] = function.training(X[first], space.xp)
        for j in range(i + step, n, step):
            second = slice(j, j + step)
            tile = function.between(X[first], X[second], space.xp)
            gram[first, second], gram[second, first] = tile, tile.T
    return gram


def _held(estimator: Any, rows: Rows, needs: Needs) -> int:
    """Return the bytes of the rows, and of copies of them that last."""
    n, d = rows.shape
    size = np.dtype(rows.dtype).itemsize
    if estimator.kernel == "precomputed" or callable(estimator.kernel):
        copies = 4 * FLOAT  # as whole matrices, they are checked and made symmetric
        return n * d * size + copies * n * n
    centred = FLOAT * (1 + needs.copies_of_rows) if estimator.kernel == "linear" else 0
    return n * d * (size + max(centred, size * needs.copies_of_rows)) + (
        4 * FLOAT * min(n, _ROWS) * d
    )


def _refusal(estimator: Any, rows: Rows, needed: int, centres: bool) -> str:
    name, mend = type(estimator).__name__, "Raise `memory_limit`"
    if centres:
        mend += ', or take `solver="nystrom"`'
    elif estimator.kernel != "precomputed":
        mend += ", or take `NystromFeatures` and a linear model on them"
    return (
        f"{name} of {rows.shape[0]} rows needs their whole kernel matrix, {say_bytes(needed)} with "
        f"the rows and what it is factorised in, and may take {say_bytes(rows.limit)}. {mend}."
    )
