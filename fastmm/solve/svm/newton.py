r"""Newton's method on the squared hinge loss: a sequence of closed-form solves.

.. math:: F(a, b) = \tfrac12 a^\top K a + C \sum_i w_i \max(0, 1 - y_i f_i)^2,
    \quad f = K a + b

is quadratic where the set of active rows, y f < 1, does not change. A step solves for
the minimum of that quadratic and goes to the minimum of F on the way there and beyond.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastmm.solve.svm.algebra import dot
from fastmm.solve.svm.system import ActiveSystem, State

__all__ = ["Progress", "minimise", "violation"]

_LOOSE = 0.1  # of the slack, how exactly the first step is solved; each later one 30 x as exactly
_SETTLED = 0.03  # share of rows that may still change where the result is only a start


class Progress(NamedTuple):
    """What a run of Newton's method came to."""

    state: State
    n_iter: int
    residual: float
    converged: bool


def minimise(
    system: ActiveSystem, root: Any, state: State, tol: float, max_iter: int, *, rough: bool = False
) -> Progress:
    """Minimise F over the rows where `root`, the square root of the weight, is positive.

    Ends where `violation` is at most `tol`; with `rough`, where few rows change sides.
    """
    y, xp, exactness = system.y, system.space.xp, _LOOSE
    present = root > 0
    count = int(present.sum())
    last, finer = np.inf, 1.0
    for step in range(1, max_iter + 1):
        slack = xp.where(present, 1 - y * (state.field + state.intercept), 0.0)
        active = slack > 0
        found = xp.where(active, root * slack, 0.0)
        rows = float(active.sum())
        scale = _scale(root, state)
        least = finer * tol * scale / 4
        target = max(exactness * float(dot(found, found) / max(rows, 1.0)) ** 0.5, least)
        # Where no row is active, only the penalty pulls, and it pulls towards a = 0.
        new = (
            system.solve(xp.where(active, root, 0.0), state, target)
            if rows
            else State(0 * state.dual, state.intercept, 0 * state.field)
        )
        now = xp.where(present, 1 - y * (new.field + new.intercept), 0.0) > 0
        changed = int((now != active).sum())
        wrong = violation(system, root, new)
        settled = changed == 0 and exactness == 0 and wrong >= last / 2  # down to rounding
        if wrong <= tol or settled or (rough and changed <= _SETTLED * count):
            return Progress(new, step, wrong, True)
        if exactness == 0 and wrong > tol:  # signs of coefficients, of which 2 C is a factor
            finer = max(finer / 30, 1e-9)
        last = wrong
        length = _line_search(system, root, state, new) if changed else 1.0
        if length > 0:
            state = State(
                *(one + length * (two - one) for one, two in zip(state, new, strict=True))
            )
        exactness = 0.0 if changed == 0 or length == 0 else exactness / 30
        if exactness < 1e-6:
            exactness = 0.0
    return Progress(state, max_iter, violation(system, root, state), False)


def violation(system: ActiveSystem, root: Any, state: State) -> float:
    r"""Return the largest violation of the conditions of optimality, relative to max |f|.

    With :math:`s_i = 1 - y_i f_i` and :math:`z_i = y_i a_i / \sqrt{w_i}`, of which 0 is the
    least, the pull on :math:`z_i` and how it would end are

    .. math:: g_i = \sqrt{w_i} s_i - \frac{z_i}{2 C}, \quad
        d_i \left| z_i - \max(0, z_i + g_i / d_i) \right|, \quad
        d_i = w_i K_{ii} + \frac{1}{2 C}

    which is in the unit of decisions: a coefficient where none should be counts by what it
    adds to them, however small it is beside C.
    """
    xp, y = system.space.xp, system.y
    present = root > 0
    slack = 1 - y * (state.field + state.intercept)
    wanted = y * state.dual / xp.where(present, root, 1.0)
    own = root * root * system.diagonal + system.shift
    pull = root * slack - system.shift * wanted
    wrong = xp.where(pull < -own * wanted, own * abs(wanted), abs(pull))
    return float(xp.where(present, wrong, 0.0).max()) / _scale(root, state)


def _scale(root: Any, state: State) -> float:
    """Return max |f| of a row of the largest weight; 1 where f is 0."""
    largest = float(abs(root * (state.field + state.intercept)).max())
    return largest if largest > 0 else float(root.max())


def _line_search(system: ActiveSystem, root: Any, state: State, new: State) -> float:
    """Return the t >= 0 that minimises F on the line from `state` through `new`, exactly."""
    xp, y, weight = system.space.xp, system.y, root * root / (2 * system.shift)
    way = new.dual - state.dual
    penalty, bend = dot(way, state.field), dot(way, new.field - state.field)
    margin = 1 - y * (state.field + state.intercept)
    change = y * (new.field - state.field + new.intercept - state.intercept)
    low, high, t = 0.0, np.inf, 1.0
    for _ in range(100):
        # The slope is linear between places where a row changes sides: Newton's method
        # ends on the right piece, the bracket keeps it from going round.
        near = xp.where(margin - t * change > 0, weight * change, 0.0)
        at_zero = float(penalty - 2 * dot(near, margin))
        growth = float(bend + 2 * dot(near, change))
        slope = at_zero + t * growth
        if not growth > 0:
            return 1.0
        if slope > 0:
            high = t
        else:
            low = t
        nearer = -at_zero / growth
        if abs(nearer - t) <= 1e-12 * t:
            break
        t = nearer if low < nearer < high else (low + high) / 2 if high < np.inf else 2 * t
        if high < 1e-12:
            return 0.0  # no way down: the step was not solved exactly enough
    return t
