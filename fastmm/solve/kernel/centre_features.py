"""What the kernels of a few rows tell of rows in chunks: features of a linear model."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space, enter
from fastmm.solve.chunked.base import FLOAT, Rows
from fastmm.solve.chunked.grid import ChunkedGrid
from fastmm.solve.chunked.problem import ChunkedProblem
from fastmm.solve.grouped import Folds
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.nystrom import draw_centres
from fastmm.solve.pivots import solve_upper, upper_factor
from fastmm.streams.limits import say_bytes

__all__ = ["CentreFit", "Centres", "choose_centres", "fit_in_chunks", "kernel_features"]


class Centres(NamedTuple):
    """Rows (m, d) whose kernels span the functions, their numbers, and U with U'U = K."""

    rows: Any
    numbers: np.ndarray[Any, Any]
    upper: Any
    function: KernelFunction


class CentreFit(NamedTuple):
    """Coefficients (m, targets) of the centres, and how they were found."""

    centres: Centres
    dual: Any
    intercept: Any  # (targets,)
    residual: float
    held_out: Any  # (n, targets), or None


def choose_centres(
    rows: Any, function: KernelFunction, m: int, weight: Any, seed: int, space: Space
) -> Centres:
    """Draw `m` rows, of an array or in chunks, and factorise their kernel."""
    host = None if weight is None else space.to_host(weight)
    index = draw_centres(rows.shape[0], m, host, seed)
    if isinstance(rows, Rows) and 4 * FLOAT * index.size * max(rows.shape[1], m) > rows.limit:
        needed = 4 * FLOAT * index.size * max(rows.shape[1], m)
        raise ValueError(
            f"`n_components` {index.size} need {say_bytes(needed)}, more than `memory_limit` "
            f"{say_bytes(rows.limit)}; take fewer, or raise it."
        )
    few = rows.take(index) if isinstance(rows, Rows) else rows[space.asarray(index)]
    gram = function.training(few, space.xp)
    return Centres(few, index, upper_factor(gram, space), function)


def kernel_features(X: Any, centres: Centres) -> Any:
    """Return features (n, m), float64, whose inner products are those of the functions."""
    space, (X,), _ = enter(X=X)
    kernel = centres.function.between(X, centres.rows, space.xp)
    return space.xp.ascontiguousarray(
        solve_upper(centres.upper, kernel.T, space, transposed=True).T
    )


def fit_in_chunks(
    rows: Rows,
    centres: Centres,
    y: Any,
    weight: Any,
    alphas: np.ndarray[Any, Any],
    fit_intercept: bool,
    folds: Folds | None,
) -> CentreFit:
    """Fit kernel ridge regression on centres: a ridge regression on their features."""
    space = rows.space
    features = rows.mapped(kernel_features, centres.numbers.size, (centres,))
    problem = ChunkedProblem(features, y, weight, fit_intercept, space)
    held_out = None
    if folds is None:
        coef = problem.solve(alphas if np.ptp(alphas) else float(alphas[0])).coef
        coef, intercept = problem.original(coef)
    else:
        distinct, chosen = np.unique(alphas, return_inverse=True)
        found = ChunkedGrid(problem, folds, distinct.tolist()).fit(chosen)
        coef, intercept, held_out = found[:3]
    coef = coef.reshape(y.shape[1], -1).T
    residual = problem.backward_error(coef, alphas)
    dual = solve_upper(centres.upper, coef, space)
    intercept = space.xp.broadcast_to(space.xp.asarray(intercept), (y.shape[1],))
    return CentreFit(centres, dual, intercept, residual, held_out)
