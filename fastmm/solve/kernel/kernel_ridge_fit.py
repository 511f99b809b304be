"""The ways to fit kernel ridge regression, and which of them a problem is for."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from fastmm._space import Space
from fastmm.solve.chunked.base import Rows
from fastmm.solve.grouped import Folds
from fastmm.solve.kernel.accuracy import fault_of, warn
from fastmm.solve.kernel.centre_features import choose_centres, fit_in_chunks
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.matrix_free import solve_kernel_cg
from fastmm.solve.kernel.nystrom import NystromProblem, draw_centres
from fastmm.solve.kernel.products import KernelProducts, check_square
from fastmm.solve.kernel.system import KernelSystem
from fastmm.solve.memory import memory_limit

__all__ = ["SOLVERS", "Effort", "Fit", "Task", "choose_solver"]

_COPIES = 3  # of the kernel matrix, that the direct solver holds at most


class Task(NamedTuple):
    """What is to be fitted: y (n, targets) float64, alphas (targets,) on the host."""

    function: KernelFunction
    rows: Any
    y: Any
    weight: Any
    alphas: np.ndarray[Any, Any]
    fit_intercept: bool
    folds: Folds | None
    space: Space
    limit: int | None  # bytes; None: half of the memory


class Effort(NamedTuple):
    """How hard an iterative solver tries."""

    n_components: int
    seed: int
    tol: float
    max_iter: int


class Fit(NamedTuple):
    """Coefficients (r, targets) of `rows`, intercepts (targets,), and how they were found."""

    rows: Any
    dual: Any
    intercept: Any
    n_iter: int
    residual: float
    centres: Any = None
    held_out: Any = None


def choose_solver(asked: str, task: Task) -> str:
    """Return the solver for a task, and refuse what it cannot do."""
    n, found = task.rows.shape[0], asked
    if asked == "auto":
        fits = 8 * _COPIES * n * n <= _limit(task)
        found = "direct" if fits else "cg"
    if found != "direct" and not (task.alphas > 0).all():
        raise ValueError(
            f'`alpha` must be greater than 0 for `solver="{found}"`, got {task.alphas.min():g}.'
        )
    if found == "cg" and task.folds is not None:
        raise ValueError(
            f"Leaving out `groups` of {n} samples needs their whole kernel matrix, which "
            '`solver="cg"` never forms; take `solver="nystrom"`, or `solver="direct"` if the '
            "memory allows it."
        )
    return found


def _fit_directly(task: Task, _: Effort) -> Fit:
    xp, alphas = task.space.xp, task.alphas
    gram = task.function.training(task.rows, xp)
    system = KernelSystem(gram, task.y, task.weight, task.fit_intercept, task.space)
    weighted, residual = system.solve(alphas)
    warn(fault_of(system, alphas, residual))
    held_out = None
    if task.folds is not None:
        held_out = xp.empty_like(task.y)
        distinct = [float(alpha) for alpha in np.unique(alphas)]
        for some, found in system.candidates(task.folds, distinct):
            for one, alpha in zip(found.held_out, distinct[some], strict=True):
                at = xp.asarray(np.flatnonzero(alphas == alpha))
                held_out[:, at] = one[:, at]
    dual, intercept = system.original(weighted)
    return Fit(task.rows, dual, intercept, 1, float(residual.max()), held_out=held_out)


def _fit_by_conjugate_gradients(task: Task, effort: Effort) -> Fit:
    keep = _limit(task) // 2
    found = solve_kernel_cg(
        KernelProducts(task.function, task.rows, None, task.space, keep=keep),
        task.y,
        task.alphas,
        weight=task.weight,
        fit_intercept=task.fit_intercept,
        rank=effort.n_components,
        seed=effort.seed,
        tol=effort.tol,
        max_iter=effort.max_iter,
    )
    residual = _judged(found.n_iter, found.residual, effort.tol)
    return Fit(task.rows, found.dual, found.intercept, max(found.n_iter, 1), residual)


def _fit_on_centres(task: Task, effort: Effort) -> Fit:
    space, rows, n = task.space, task.rows, task.rows.shape[0]
    if isinstance(rows, Rows):
        return _fit_chunks_on_centres(task, effort)
    weight = None if task.weight is None else space.to_host(task.weight)
    centres = draw_centres(n, effort.n_components, weight, effort.seed)
    at, keep = space.asarray(centres), _limit(task) // 2
    if task.function.kernel == "precomputed":
        check_square(rows)
        few = left = rows[:, at]
        gram = task.function.training(few[at], space.xp)
    else:
        few, left = rows[at], rows
        gram = task.function.training(few, space.xp)
    products = KernelProducts(task.function, left, few, space, keep=keep)
    problem = NystromProblem(
        products, gram, task.y, task.weight, centres, task.fit_intercept, space
    )
    found = problem.solve(task.alphas, effort.tol, effort.max_iter)
    residual = _judged(found.n_iter, found.residual, effort.tol)
    held_out = None if task.folds is None else problem.held_out(found, task.alphas, task.folds)
    iterations = max(found.n_iter, 1)
    return Fit(few, found.dual, found.intercept, iterations, residual, centres, held_out)


def _fit_chunks_on_centres(task: Task, effort: Effort) -> Fit:
    count, seed = effort.n_components, effort.seed
    centres = choose_centres(task.rows, task.function, count, task.weight, seed, task.space)
    found = fit_in_chunks(
        task.rows, centres, task.y, task.weight, task.alphas, task.fit_intercept, task.folds
    )
    residual, index = found.residual, centres.numbers
    return Fit(centres.rows, found.dual, found.intercept, 1, residual, index, found.held_out)


SOLVERS = {
    "direct": _fit_directly,
    "cg": _fit_by_conjugate_gradients,
    "nystrom": _fit_on_centres,
}


def _limit(task: Task) -> int:
    return memory_limit(task.space) if task.limit is None else task.limit


def _judged(n_iter: int, residuals: np.ndarray[Any, Any], tol: float) -> float:
    """Return the largest residual, and warn if it is not what was asked for."""
    residual = float(residuals.max())
    if residual > tol:
        from sklearn.exceptions import ConvergenceWarning

        warnings.warn(
            f"After {n_iter} iterations the relative residual is {residual:.2g}, and `tol` "
            f"{tol:.2g}. Raise `max_iter`, `alpha` or `n_components`.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return residual
