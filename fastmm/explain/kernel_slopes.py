"""Mean slopes of RBF machines along the line from the mean of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmm.fusion.fused_kernels import combine, shares, squared_distances

__all__ = ["fused_kernel_slopes", "joint_kernel_slopes"]

_MOST_NODES = 1024  # of a quadrature that is doubled until its error is small
_SMALL = 1e-7  # of the largest score


def _until_exact(compute: Any, score: Any, nodes: int) -> tuple[Any, Any]:
    """Call ``compute(t, w)`` with ever more Gauss-Legendre nodes until its parts add up.

    It returns slopes, their sum over features times rows, and the baseline.
    """
    while True:
        points, weights = np.polynomial.legendre.leggauss(nodes)
        slopes, total, baseline = compute((points + 1) / 2, weights / 2)
        off = abs(score - baseline - total).max(initial=0.0)
        if off <= _SMALL * max(1.0, abs(score).max(initial=0.0)) or nodes >= _MOST_NODES:
            return slopes, baseline
        nodes *= 2


def joint_kernel_slopes(machine: Any, fused: Any, nodes: int) -> tuple[Any, Any]:
    """Return the slopes (n, targets, d) and baselines of one RBF kernel of all features."""
    train = np.asarray(machine.X_fit_, np.float64)
    gamma, dual = float(machine.gamma_), _columns(machine.dual_coef_)
    intercept = np.atleast_1d(machine.intercept_)
    inner, own = fused @ train.T, np.einsum("ij,ij->i", fused, fused)[:, None]
    norms = np.einsum("ij,ij->i", train, train)
    score = np.exp(-gamma * squared_distances(fused, train)) @ dual + intercept
    baseline = np.broadcast_to(np.exp(-gamma * norms) @ dual + intercept, score.shape)

    def compute(points: Any, weights: Any) -> Any:
        first, second = np.zeros_like(inner), np.zeros_like(inner)
        for t, weight in zip(points, weights, strict=True):
            kernel = weight * np.exp(-gamma * np.maximum(t * t * own - 2 * t * inner + norms, 0))
            first += kernel
            second += t * kernel
        slopes = _slopes(gamma, dual, first, second, fused, train)
        return slopes, np.einsum("nkd,nd->nk", slopes, fused), baseline

    return _until_exact(compute, score, nodes)


def fused_kernel_slopes(
    model: Any, rows: Mapping[str, Any], present: Mapping[str, Any], nodes: int
) -> tuple[Any, Any]:
    """Return the slopes of a fused kernel, with the products of `interactions` or not."""
    fusion, solver = model.fusion_, model.solver_
    support = getattr(solver, "support_", slice(None))
    dual, intercept = _columns(solver.dual_coef_), np.atleast_1d(solver.intercept_)
    train = {n: np.asarray(own, np.float64)[support] for n, own in fusion.train_.items()}
    there = {n: own[support] for n, own in fusion.present_.items()}
    weights, gammas, products = fusion.weights_, fusion.gamma_, fusion.interactions
    both = {n: weights[n] * (present[n][:, None] & there[n]) for n in rows}
    given = (weights, products)
    roots = np.sqrt(shares(present, *given)[:, None] * shares(there, *given))
    inner = {n: rows[n] @ train[n].T for n in rows}
    own = {n: np.einsum("ij,ij->i", rows[n], rows[n])[:, None] for n in rows}
    norms = {n: np.einsum("ij,ij->i", train[n], train[n]) for n in rows}

    def kernels(t: float) -> dict[str, Any]:
        return {
            n: np.exp(-gammas[n] * np.maximum(t * t * own[n] - 2 * t * inner[n] + norms[n], 0))
            for n in rows
        }

    def scores(t: float) -> Any:
        return combine(kernels(t), present, there, weights, products) @ dual + intercept

    score, baseline = scores(1.0), scores(0.0)

    def compute(points: Any, portions: Any) -> Any:
        first = {n: np.zeros_like(inner[n]) for n in rows}
        second = {n: np.zeros_like(inner[n]) for n in rows}
        for t, weight in zip(points, portions, strict=True):
            found = kernels(t)
            for n in rows:
                along = weight * both[n] * found[n] / roots
                if products:
                    for other in rows:
                        if other != n:
                            along = along * (1 + both[other] * found[other])
                first[n] += along
                second[n] += t * along
        slopes = {n: _slopes(gammas[n], dual, first[n], second[n], rows[n], train[n]) for n in rows}
        total = sum(np.einsum("nkd,nd->nk", slopes[n], rows[n]) for n in rows)
        return slopes, total, baseline

    return _until_exact(compute, score, nodes)


def _slopes(gamma: float, dual: Any, first: Any, second: Any, rows: Any, train: Any) -> Any:
    """Return -2 gamma sum_i a_i k_i (t x - x_i) over t: integrals of k_i, and of t k_i."""
    each = [-2 * gamma * ((second @ a)[:, None] * rows - (first * a) @ train) for a in dual.T]
    return np.stack(each, axis=1)


def _columns(dual: Any) -> Any:
    dual = np.asarray(dual, np.float64)
    return dual[:, None] if dual.ndim == 1 else dual
