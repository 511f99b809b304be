"""Kernel ridge regression as its system is written, refitted without each group."""

from __future__ import annotations

import numpy as np
from sklearn.metrics.pairwise import laplacian_kernel, linear_kernel, polynomial_kernel, rbf_kernel

KERNELS = ("linear", "poly", "rbf", "laplacian")
ALPHAS = np.array([0.3, 5.0])


def gram(kernel, X, Y):
    return {
        "linear": linear_kernel,
        "poly": lambda A, B: polynomial_kernel(A, B, gamma=0.2),
        "rbf": lambda A, B: rbf_kernel(A, B, gamma=0.2),
        "laplacian": lambda A, B: laplacian_kernel(A, B, gamma=0.2),
    }[kernel](X, Y)


def naive_fit(K, y, alphas, intercept, weight=None):
    """Solve the system as it is written, on the rows that have weight."""
    weight = np.ones(len(y)) if weight is None else weight
    used = np.flatnonzero(weight)
    dual, b = np.zeros(y.shape), np.zeros(y.shape[1])
    for j, alpha in enumerate(np.broadcast_to(alphas, y.shape[1])):
        system = np.zeros((used.size + 1, used.size + 1))
        system[1:, 1:] = K[np.ix_(used, used)] + np.diag(alpha / weight[used])
        system[0, 0] = not intercept
        system[0, 1:] = system[1:, 0] = intercept
        solution = np.linalg.solve(system, np.concatenate([[0.0], y[used, j]]))
        b[j], dual[used, j] = solution[0], solution[1:]
    return dual, b


def naive_held_out(K, y, groups, alphas, intercept, weight=None):
    found = np.empty(y.shape)
    for name in np.unique(groups):
        test, train = groups == name, groups != name
        part = None if weight is None else weight[train]
        dual, b = naive_fit(K[np.ix_(train, train)], y[train], alphas, intercept, part)
        found[test] = K[np.ix_(test, train)] @ dual + b
    return found


def cohort(n=50, d=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = np.stack([np.sin(X[:, 0]) + X[:, 1], X[:, 2] ** 2], axis=1) + 0.1 * rng.normal(size=(n, 2))
    groups = np.array([f"p{g}" for g in rng.integers(0, n // 4, n)], dtype="U9")
    groups[:3] = "big"
    return X, y, groups
