"""Ridge regression where both sides of the design are large: preconditioned iterations."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from fastmm._check import integer, number
from fastmm._space import Space, enter
from fastmm.solve.memory import memory_limit
from fastmm.solve.ridge.design import refuse_squares
from fastmm.solve.ridge.row_products import ExactProducts, FastProducts
from fastmm.solve.ridge.sketch import Preconditioner, sketch_gram
from fastmm.solve.ridge.solution import target_penalties
from fastmm.solve.ridge.system import RidgeSystem

__all__ = ["IterativeSolution", "iterative_pays", "solve_ridge_iteratively"]

_RANK = 256  # directions of the preconditioner: they cost about as much as 10 iterations
_ROUGH = 1e-3  # what products in float32 are asked for between two exact residuals
_PATIENCE = 40  # iterations in which these must halve the best energy so far


class IterativeSolution(NamedTuple):
    """Coefficients (d,) or (targets, d) and intercept, and how they were reached.

    Parameters
    ----------
    coef : array of shape (d,) or (targets, d), float64
        Coefficients, where X lives.
    intercept : float or array of shape (targets,)
        Prediction at X = 0.
    n_iter : int
        Iterations, all targets in step.
    residual : float
        Backward error, as of :func:`fastmm.solve.ridge.solution.solve_ridge`.
    """

    coef: Any
    intercept: Any
    n_iter: int
    residual: float


def iterative_pays(n: int, d: int, targets: int, space: Space) -> bool:
    """Say whether iterations are to be preferred to a factorisation of the smaller side.

    Parameters
    ----------
    n, d, targets : int
        Rows, features and targets.
    space : Space
        Where the arrays live.

    Returns
    -------
    bool
        Whether the Gram matrix and its factor would take more than half of the memory,
        or 4 times as many operations as 60 iterations; an iteration of few targets waits
        for memory, and counts as one of 16.

    Examples
    --------
    >>> iterative_pays(1_000, 100_000, 1, Space("cpu"))
    False
    """
    smaller = min(n, d)
    direct = float(n) * d * smaller + smaller**3 / 3
    steps = 4.0 * n * d * (60 * max(targets, 16) + _RANK)
    return 2 * 8 * smaller**2 > memory_limit(space) or direct > 4 * steps


def solve_ridge_iteratively(
    X: Any,
    y: Any,
    alpha: Any,
    *,
    fit_intercept: bool = True,
    sample_weight: Any = None,
    scale: Any = None,
    tol: float = 1e-10,
    max_iter: int = 1000,
) -> IterativeSolution:
    r"""Solve ridge regressions without forming or copying any large matrix.

    .. math:: \min_{\beta, b} \sum_i w_i (y_{it} - x_i^\top S \beta - b)^2
        + \alpha_t \|\beta\|^2

    Parameters
    ----------
    X : array of shape (n, d), NumPy or CuPy
        Design, of any real dtype, finite.
    y : array of shape (n,) or (n, targets)
        Targets, where `X` lives.
    alpha : float or array of shape (targets,), on the host
        Penalty of each target, not negative. 0 tends to the minimum-norm solution.
    fit_intercept : bool, default True
        Whether b is free; else it is 0.
    sample_weight : array of shape (n,), optional
        Weights w, not negative. Default: 1.
    scale : array of shape (d,), optional
        Factors S of the columns, positive. The coefficients returned are S beta.
    tol : float, default 1e-10
        Relative error of the fitted values at which to stop: the larger of an estimate and of
        a lower bound, what the best coefficient alone would still change. The estimate is the
        preconditioned norm of the true gradient, times how far it was below any change of
        the fit so far.
    max_iter : int, default 1000
        Iterations at most.

    Returns
    -------
    IterativeSolution
        Coefficients, intercepts, iterations and residuals.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Warns
    -----
    ConvergenceWarning
        If `tol` was not reached.

    Notes
    -----
    Conjugate gradients in the form for least squares, which keep A beta beside beta and
    never square the design, for all targets in step; preconditioned by a randomised
    Nystrom sketch. Products are taken in the precision X has; every true residual, from
    which the iterations then go on, in float64 from centred rows. Where the rough
    products stop to help, the exact ones take over. Cost: 4 n d targets flops and two
    readings of X per iteration. Memory: beside X, 256 d values and about
    6 (n + d) targets.

    References
    ----------
    .. [1] Bjorck, A., Elfving, T., & Strakos, Z. (1998). Stability of conjugate gradient
       and Lanczos methods for linear least squares problems. SIAM Journal on Matrix
       Analysis and Applications, 19(3), 720-736.
       https://doi.org/10.1137/S089547989631202X
    .. [2] Frangella, Z., Tropp, J. A., & Udell, M. (2023). Randomized Nystrom
       preconditioning. SIAM Journal on Matrix Analysis and Applications, 44(2), 718-752.
       https://doi.org/10.1137/21M1466244

    Examples
    --------
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 2.0])
    >>> solve_ridge_iteratively(X, y, 0.5).coef.round(6)
    array([0.8])
    """
    tol, limit = number(tol, "tol", above=0), integer(max_iter, "max_iter")
    space, (X, y, weight, scale), _ = enter(X=X, y=y, sample_weight=sample_weight, scale=scale)
    system = RidgeSystem(X, y, weight, fit_intercept, space)
    system = system if scale is None else system.scaled(scale)
    targets = system.y.shape[1]
    alpha = np.full(targets, target_penalties(alpha, targets))
    found, taken = _refine(system, space.asarray(alpha), tol, limit)
    residual = system.backward_error(found, alpha)
    coef, intercept = system.original(found)
    return IterativeSolution(coef, intercept, taken, residual)


def _refine(system: RidgeSystem, alphas: Any, tol: float, limit: int) -> tuple[Any, int]:
    """Return coefficients (d, targets) and the number of iterations."""
    xp, design, unit = system.xp, system.design, _units(system.y, system.xp)
    y = system.y / unit  # else squares of tiny targets would be 0
    exact, fast = ExactProducts(design), FastProducts.possible(design)
    products: Any = FastProducts(design) if fast else exact
    rough = _ROUGH if fast and design.X.dtype == np.float32 else 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # then the exact products take over
        inverse = sketch_gram(products, min(_RANK, *design.shape))
    if fast and inverse.values.size == 0:  # nothing but rounding, or beyond float32
        fast, products, rough = False, exact, 0.0
        inverse = sketch_gram(products, min(_RANK, *design.shape))
    coef = xp.zeros((design.shape[1], y.shape[1]))
    gradient = right = exact.transposed_times(y)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = exact.squares()
        refuse_squares(float(squares.sum()))
    lengths = xp.sqrt(squares[:, None] + alphas)
    start = _energy(inverse, gradient, alphas)
    estimate, taken = (start > 0).astype(np.float64), 0
    least, blind = xp.zeros_like(estimate), xp.ones_like(estimate)
    error = estimate
    while float(error.max()) > tol and taken < limit:
        wanted = max(tol / float(error.max()), rough) / 2
        left = xp.where(error > tol, gradient, 0.0)  # targets that are done stay as they are
        with np.errstate(over="ignore", invalid="ignore"):
            change, steps = _descend(products, inverse, left, alphas, wanted, limit - taken)
            trial = coef + change
            found = exact.gradient(y, trial) - alphas * trial
            size = _root(trial * (right - found), xp)
            moved = _root(change * (gradient - found), xp)
            before = size * xp.where(error > tol, estimate, 0.0)
            blind = xp.maximum(blind, _underrated(moved, before, xp))
            told = xp.sqrt(_energy(inverse, found, alphas) / xp.where(start > 0, start, 1.0))
            short = _shortfall(found, lengths, size, xp)
        taken += steps
        error, reached = xp.maximum(blind * estimate, least), xp.maximum(blind * told, short)
        better = reached < error / 2
        keep = (reached < error) & (error > tol)
        coef = xp.where(keep, trial, coef)
        gradient = xp.where(keep, found, gradient)
        settled = (error <= tol) | better | (xp.minimum(reached, error) <= tol)
        estimate, least = xp.where(keep, told, estimate), xp.where(keep, short, least)
        error = xp.where(keep, reached, error)
        if not bool(settled.all()):
            if not fast:
                break
            fast, products, rough = False, exact, 0.0
    if float(error.max()) > tol:
        _warn(float(error.max()), tol, taken, limit)
    return coef * unit, taken


def _units(y: Any, xp: Any) -> Any:
    """Return the power of two next to the largest of each target, (targets,)."""
    largest = xp.abs(y).max(axis=0)
    return 2.0 ** xp.round(xp.log2(xp.where(largest > 0, largest, 1.0)))


def _descend(
    products: Any, inverse: Preconditioner, gradient: Any, alphas: Any, tol: float, limit: int
) -> tuple[Any, int]:
    """Return the change that reduces the gradient's preconditioned norm by `tol`."""
    xp = products.xp
    change, image, left = xp.zeros(gradient.shape), 0.0, gradient
    direction = inverse.solve(left, alphas)
    energy = (left * direction).sum(axis=0)
    goal = tol * tol * energy
    best, since, steps = float(energy.sum()), 0, 0
    for _ in range(limit):
        steps += 1
        moved = products.times(direction)
        curvature = (moved * moved).sum(axis=0) + alphas * (direction * direction).sum(axis=0)
        step = energy / xp.where(curvature > 0, curvature, np.inf)
        change += step * direction
        image = image + step * moved
        # From the image as a whole: what is rounded in one step is seen in the next.
        left = gradient - products.transposed_times(image) - alphas * change
        raised = inverse.solve(left, alphas)
        before, energy = energy, (left * raised).sum(axis=0)
        if not bool((energy > goal).any()):  # reached, or not a number
            break
        best, since = (now, 0) if (now := float(energy.sum())) < best / 2 else (best, since + 1)
        if since == _PATIENCE and isinstance(products, FastProducts):
            break
        direction = raised + (energy / xp.where(before > 0, before, np.inf)) * direction
    return change, steps


def _energy(inverse: Preconditioner, gradient: Any, alphas: Any) -> Any:
    return (gradient * inverse.solve(gradient, alphas)).sum(axis=0)


def _shortfall(gradient: Any, lengths: Any, size: Any, xp: Any) -> Any:
    """Return what the best coefficient alone would still change, relative to the fit.

    The error is no smaller, whatever the sketch, which sees no column far below the largest.
    """
    change = (xp.abs(gradient) / xp.where(lengths > 0, lengths, np.inf)).max(axis=0)
    return change / xp.where(size > 0, size, 1.0)


def _underrated(moved: Any, before: Any, xp: Any) -> Any:
    """Return how many times further the fit moved than the error had been estimated before."""
    ratio = moved / xp.where(before > 0, before, np.inf)
    return xp.where(xp.isfinite(ratio), ratio, 0.0)


def _root(products: Any, xp: Any) -> Any:
    return xp.sqrt(xp.maximum(products.sum(axis=0), 0.0))


def _warn(error: float, tol: float, taken: int, limit: int) -> None:
    from sklearn.exceptions import ConvergenceWarning

    why = f"`max_iter` = {limit} was reached" if taken >= limit else "rounding allows no more"
    warnings.warn(
        f"The iterations stopped at a relative error of {error:.1e}, not {tol:.1e}, since {why}. "
        "Raise `alpha`, bring the columns to one scale, or raise `tol` or `max_iter`.",
        ConvergenceWarning,
        stacklevel=4,
    )
