"""The least-squares SVM as its bordered system is written, refitted without each group."""

from __future__ import annotations

import numpy as np
from sklearn.metrics.pairwise import (
    laplacian_kernel,
    linear_kernel,
    polynomial_kernel,
    rbf_kernel,
)

CS = (0.05, 1.0, 30.0)
KERNELS = {
    "linear": linear_kernel,
    "poly": lambda X, Y: polynomial_kernel(X, Y, degree=3, gamma=0.2, coef0=1.0),
    "rbf": lambda X, Y: rbf_kernel(X, Y, gamma=0.2),
    "laplacian": lambda X, Y: laplacian_kernel(X, Y, gamma=0.2),
    "callable": lambda X, Y: polynomial_kernel(X, Y, degree=2),
}


def naive_machine(K, y, C, weight=None):
    """Solve the bordered system as it is written, on the rows that have weight."""
    weight = np.ones(len(y)) if weight is None else weight
    used = np.flatnonzero(weight)
    system = np.zeros((used.size + 1, used.size + 1))
    system[0, 1:] = system[1:, 0] = 1
    system[1:, 1:] = K[np.ix_(used, used)] + np.diag(1 / (C * weight[used]))
    solution = np.linalg.solve(system, np.vstack([np.zeros(y.shape[1]), y[used]]))
    dual = np.zeros(y.shape)
    dual[used] = solution[1:]
    return dual, solution[0]


def naive_held_out(K, y, groups, C, weight=None):
    decision = np.empty(y.shape)
    for name in np.unique(groups):
        test, train = groups == name, groups != name
        part = None if weight is None else weight[train]
        dual, intercept = naive_machine(K[np.ix_(train, train)], y[train], C, part)
        decision[test] = K[np.ix_(test, train)] @ dual + intercept
    return decision


def cohort(n=48, d=5, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % classes
    X = rng.normal(size=(n, d)) + codes[:, None] * rng.normal(size=d)
    groups = np.array([f"p{g}" for g in rng.integers(0, n // 4, n)], dtype="U9")
    groups[:3] = "big"
    return X, np.array(["benign", "grade 1", "grade 2"])[codes], groups


def signs_of(y):
    names = np.unique(y)
    return np.where(y[:, None] == (names[1:] if names.size == 2 else names), 1.0, -1.0)
